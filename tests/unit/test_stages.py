"""Stage models, presets and stage files."""

from __future__ import annotations

import dataclasses

import pytest

from attrib import STAGES, Milestone, SpecError, Stage, StageColumn, StageModel
from attrib.stages import load_stages, resolve_stages


def says(text: str, key: str = "bad_stages"):
    """Expect an error with this key and text."""
    return pytest.raises(SpecError, match=text) if key is None else _Keyed(text, key)


class _Keyed:
    def __init__(self, text: str, key: str) -> None:
        self.key, self.context = key, pytest.raises(SpecError, match=text)

    def __enter__(self):
        self.caught = self.context.__enter__()
        return self.caught

    def __exit__(self, *error):
        done = self.context.__exit__(*error)
        assert self.caught.value.key == self.key
        return done


def test_the_presets_are_those_of_the_contract():
    def short(model):
        return [(s.name, s.milestone.outcome, s.milestone.nth) for s in model.stages]

    assert list(STAGES) == ["three", "aida", "five", "six", "retail"]
    assert short(STAGES["five"]) == [
        ("awareness", "visit", 1), ("consideration", "intent", 1), ("decision", "purchase", 1),
        ("loyalty", "purchase", 2), ("advocacy", "referral", 1),
    ]  # fmt: skip
    assert short(STAGES["three"])[-1] == ("decision", "purchase", 1)
    assert short(STAGES["aida"])[1] == ("interest", "engage", 1)
    assert short(STAGES["six"])[-2:] == [("after_sales", "resolved", 1), ("loyalty", "purchase", 2)]
    assert short(STAGES["retail"])[2] == ("onboarding", "activation", 1)
    with pytest.raises(TypeError):
        STAGES["mine"] = STAGES["five"]  # type: ignore[index]


def test_milestones_may_be_names_objects_or_absent():
    model = StageModel([("a", "visit"), ["b", Milestone("buy", nth=2)], Stage("c", Milestone("buy", 3)), ("d", None)])
    assert model.names == ("a", "b", "c", "d")
    assert model.milestones == (Milestone("visit"), Milestone("buy", 2), Milestone("buy", 3), None)
    assert model.outcomes == ("visit", "buy")
    assert model == StageModel(model.stages)
    assert hash(model) == hash(StageModel(model.stages))
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.stages = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("stages", "text"),
    [
        ([], "needs at least one stage"),
        ([("a", None)], "the only stage 'a' has no milestone"),
        ([("a", None), ("b", "x")], "stage 'a' has no milestone; only the last stage may go without"),
        ([("a", "x"), ("a", "y")], "stage names occur twice: a"),
        ([("", "x")], "a stage needs a name, not ''"),
        ([(1, "x")], "a stage needs a name, not 1"),
        ([("a", 5)], "5 is not a milestone"),
        (["a"], "'a' is not a stage"),
        ([("a", "  ")], "needs the name of an outcome"),
    ],
)
def test_wrong_models(stages, text):
    with says(text):
        StageModel(stages)


@pytest.mark.parametrize("nth", [0, -1, 1.5, True, "2"])
def test_wrong_nth(nth):
    with says("whole number from 1"):
        Milestone("purchase", nth=nth)


@pytest.mark.parametrize("order", [(), ("a", "a"), "abc"])
def test_wrong_stage_columns(order):
    with says("StageColumn"):
        StageColumn("stage", order=order)


FILE = """
[[stage]]
name = "aware"
milestone = "visit"
label = "Awareness"
objective = "be known"
actions = ["advertise"]
expected_channels = ["tv", "display"]

[[stage]]
name = "buy"
milestone = "purchase"
nth = 2

[[stage]]
name = "loyal"
"""


def test_a_stage_file(tmp_path):
    (tmp_path / "mine.toml").write_text(FILE)
    model = load_stages(tmp_path / "mine.toml")
    assert model.names == ("aware", "buy", "loyal")
    assert model.milestones == (Milestone("visit"), Milestone("purchase", 2), None)
    first = model.stages[0]
    assert (first.label, first.objective) == ("Awareness", "be known")
    assert (first.actions, first.expected_channels) == (("advertise",), ("tv", "display"))
    assert resolve_stages(str(tmp_path / "mine.toml")) == model


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("[[stage]\nname = 1", "bad_toml", "stage file 'mine.toml'"),
        ("", "bad_stages", "has no \\[\\[stage\\]\\] table"),
        ("stage = 1", "bad_stages", "has no \\[\\[stage\\]\\] table"),
        ("stage = [1]", "bad_stages", "has no \\[\\[stage\\]\\] table"),
        (FILE + "\n[stages]\nx = 1", "unknown_key", "unknown key 'stages'; did you mean 'stage'\\?"),
        (
            FILE.replace("milestone =", "milestones ="),
            "unknown_key",
            "unknown key 'milestones'; did you mean 'milestone'",
        ),
        (FILE.replace("objective", "zzz"), "unknown_key", "unknown key 'zzz'; known: actions, "),
        (FILE.replace('milestone = "purchase"', ""), "bad_stages", "stage 'buy' has nth but no milestone"),
        (FILE.replace("nth = 2", 'nth = "2"'), "bad_stages", "nth = .2. is no"),
        (FILE.replace('name = "aware"', ""), "bad_stages", "a stage needs a name, not ''"),
        (FILE.replace('"loyal"', '"buy"'), "bad_stages", "stage names occur twice: buy"),
    ],
)
def test_wrong_stage_files(tmp_path, text, key, message):
    (tmp_path / "mine.toml").write_text(text)
    with says(message, key):
        load_stages(tmp_path / "mine.toml")


def test_stage_files_that_cannot_be_read(tmp_path):
    with says("stage file 'none.toml' cannot be read", "no_file"):
        load_stages(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'[[stage]]\nname = "\xe9"')
    with says("stage file 'latin.toml'", "bad_toml"):
        load_stages(tmp_path / "latin.toml")


def test_unknown_presets_name_the_nearest():
    with says("unknown stage preset 'fife'; did you mean 'five'", "unknown_stages"):
        resolve_stages("fife")
    with says("presets: three, aida, five, six, retail", "unknown_stages"):
        resolve_stages("zzzzzz")
    with says("is not a preset, a stage model or a path", "unknown_stages"):
        resolve_stages(5)  # type: ignore[arg-type]
    assert resolve_stages(None) is None
    assert resolve_stages("five") is STAGES["five"]
