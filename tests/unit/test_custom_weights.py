"""Weights of one's own: as a table, as a function, from a job file."""

import dataclasses
import json
from datetime import datetime
from fractions import Fraction

import numpy as np
import polars as pl
import pytest

import attrib
from attrib.errors import SolveError, SpecError
from attrib.io.manifest import canonical
from attrib.job import run
from attrib.loading import build_method, load
from stories import tell

STORY = """
    ann   0ad 172800mail 259200seo | 345600purchase=4
    bob   0ad 86400ad              | 86400purchase=2.5 90000purchase
    cid   5seo                     | 86405purchase=-1
    dan   0mail 3600seo            |
"""
DAYS = {"ann": [4.0, 2.0, 1.0], "bob": [1.0, 0.0], "cid": [1.0]}
PATHS = pl.DataFrame({"path": ["a > b", "a", "b > a > b"], "total_conversions": [3, 1, 2]})


def credited(table):
    return table.filter(kind="player").select("channel", "conversions", "value").rows()


@pytest.fixture(scope="module")
def journeys():
    return tell(STORY, refunds="keep")


@pytest.fixture(scope="module")
def paths():
    return attrib.Journeys.from_paths(PATHS)


SAME = {
    "first_touch": (attrib.FirstTouch(), lambda p, _: p == 1),
    "last_touch": (attrib.LastTouch(), lambda p, _: p == len(p)),
    "linear": (attrib.Linear(), lambda p, _: np.ones(len(p))),
    "position_based": (attrib.PositionBased(), lambda p, _: {1: [1], 2: [1, 1], 3: [4, 2, 4]}[len(p)]),
    "time_decay": (attrib.TimeDecay(half_life="36h"), lambda _, ages: 2.0 ** (-ages / 1.5)),
}


@pytest.mark.parametrize("rule", SAME)
def test_a_function_that_spells_out_a_rule_equals_it(journeys, rule):
    method, function = SAME[rule]
    own = attrib.CustomWeights(function)
    for number, (found, wanted) in enumerate(
        zip(credited(own.credit(journeys)), credited(method.credit(journeys)), strict=True)
    ):
        assert found[0] == wanted[0], number
        assert found[1:] == pytest.approx(wanted[1:], rel=1e-12, abs=1e-12)
    draws = attrib.credit(journeys, {"own": own, "rule": method}, replicates=10)
    one, other = (draws.filter(method=name).drop("method") for name in ("own", "rule"))
    for column in ("conversions_low", "value_high", "share_low"):
        assert one[column].to_list() == pytest.approx(other[column].to_list(), rel=1e-12, abs=1e-12, nan_ok=True)


TABLES = {
    "first_touch": (attrib.FirstTouch(), [[1], [1, 0], [1, 0, 0]]),
    "last_touch": (attrib.LastTouch(), {"1": [1], "2": [0, 3], "3": [0, 0, 1e300]}),
    "linear": (attrib.Linear(), {1: [1e308], 2: [1e308, 1e308], 3: [5e-324] * 3}),
    "position_based": (attrib.PositionBased(), {3: (2, 1, 2), 2: np.array([1, 1]), 1: [Fraction(1, 3)]}),
}


@pytest.mark.parametrize("rule", TABLES)
def test_a_table_that_spells_out_a_rule_equals_it(journeys, paths, rule):
    method, table = TABLES[rule]
    for some in (journeys, paths):
        found, wanted = (credited(m.credit(some)) for m in (attrib.CustomWeights(table), method))
        assert [row[0] for row in found] == [row[0] for row in wanted]
        for one, other in zip(found, wanted, strict=True):
            assert one[1:] == pytest.approx(other[1:], rel=1e-12)


def test_a_function_sees_positions_and_days(journeys):
    seen = []

    def weights(positions, ages):
        seen.append((positions.tolist(), ages.tolist(), positions.dtype.kind, ages.dtype.kind))
        return positions

    attrib.CustomWeights(weights).credit(journeys)
    wanted = [(list(range(1, len(ages) + 1)), ages, "i", "f") for ages in DAYS.values()]
    assert sorted(seen, key=str) == sorted(wanted, key=str)  # once a converting journey; dan bought nothing


def test_a_function_sees_no_ages_in_a_path_table(paths):
    seen = []
    attrib.CustomWeights(lambda positions, ages: seen.append(ages) or positions).credit(paths)
    assert np.isnan(np.concatenate(seen)).all()
    with pytest.raises(SolveError, match="a path table has no times") as caught:
        attrib.CustomWeights(lambda _, ages: 1 / (1 + ages)).credit(paths)
    assert caught.value.key == "no_times"


WRONG = {
    "nothing": [],
    "an empty mapping": {},
    "a number": 7,
    "text": "1, 2",
    "bytes": b"\x01",
    "too few numbers": [[1], [1]],
    "too many numbers": [[1, 1]],
    "a negative number": [[1], [-1, 2]],
    "not a number": [[1], [float("nan"), 1]],
    "infinity": [[float("inf")]],
    "nothing but zeros": [[1], [0, 0]],
    "truth": [[True]],
    "text for a number": [["1"]],
    "text for a row": [[1], "ab"],
    "a number beyond floats": [[10**400]],
    "a row without order": {2: {1, 3}},
    "a row with names": {2: {1: 3, 2: 1}},
    "a key that is no number": {"one": [1]},
    "a key that is truth": {True: [1]},
    "a key between two numbers": {1.5: [1]},
    "a key of 0": {0: []},
    "a key that asks for a huge table": {10**9: [1]},
    "one number of touches twice": {1: [1], "1": [2]},
}


@pytest.mark.parametrize("weights", WRONG.values(), ids=WRONG)
def test_tables_that_are_none_are_refused(weights):
    with pytest.raises(SpecError) as caught:
        attrib.CustomWeights(weights)
    assert caught.value.key == "bad_parameter"


def test_a_length_without_weights_is_an_error_with_its_conversions(paths):
    for table in ([[1], [1, 1]], {1: [1], 2: [1, 1], 4: [1, 1, 1, 1]}, [[1], [1, 1], []]):
        with pytest.raises(SolveError, match=r"no row for journeys of 3 touches \(2 conversions here\)") as caught:
            attrib.CustomWeights(table).credit(paths)
        assert caught.value.key == "no_weights"


def test_only_journeys_that_convert_need_weights():
    story = """
        ann  1ad            | 2purchase
        bob  1ad 2ad 3ad    |
    """
    assert credited(attrib.CustomWeights([[1]]).credit(tell(story))) == [("ad", 1.0, 1.0)]


BAD_ANSWERS = {
    "too few": lambda _p, _a: [1],
    "a number": lambda _p, _a: 3,
    "nothing": lambda _p, _a: None,
    "text": lambda _p, _a: "x",
    "a table": lambda p, _a: p[:, None],
    "ragged": lambda _p, _a: [[1], [1, 2]],
    "negative": lambda p, _a: p - 2,
    "zeros": lambda p, _a: p * 0,
    "infinite": lambda p, _a: p * np.inf,
    "not a number": lambda p, _a: p * np.nan,
}


@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_bad_answers_of_a_function_are_errors(journeys, answer):
    with pytest.raises(SolveError) as caught:
        attrib.CustomWeights(BAD_ANSWERS[answer]).credit(journeys)
    assert caught.value.key == "bad_weights"


def test_the_error_of_a_function_reaches_its_author(journeys):
    def weights(positions, ages):
        raise ZeroDivisionError("mine")

    for threads in (1, 2):
        some = tell(STORY, refunds="keep", engine=attrib.LocalEngine(threads=threads))
        with pytest.raises(ZeroDivisionError, match="mine"):
            attrib.CustomWeights(weights).credit(some)
        assert attrib.Linear().credit(some).equals(attrib.Linear().credit(journeys))  # nothing half done is remembered


@pytest.mark.parametrize("size", [1e308, 5e-324])
def test_no_size_of_answers_is_too_large_or_small(paths, size):
    found = attrib.CustomWeights(lambda p, _: np.full(len(p), size)).credit(paths)
    for one, other in zip(credited(found), credited(attrib.Linear().credit(paths)), strict=True):
        assert one[1:] == pytest.approx(other[1:], rel=1e-12)


def test_an_object_that_compares_by_content_can_be_a_function(paths):
    @dataclasses.dataclass
    class Decay:  # has no hash
        ratio: float

        def __call__(self, positions, _ages):
            return self.ratio**positions

    table = attrib.credit(
        paths, {"slow": attrib.CustomWeights(Decay(0.9)), "fast": attrib.CustomWeights(Decay(0.1))}, intervals=None
    )
    slow, fast = (table.filter(channel="a", method=name)["conversions"].item() for name in ("slow", "fast"))
    assert slow == pytest.approx(1 + 3 / 1.9 + 2 * 0.9 / (1 + 0.9 + 0.81))
    assert fast == pytest.approx(1 + 3 / 1.1 + 2 * 0.1 / (1 + 0.1 + 0.01))


def test_two_tables_need_names(paths):
    methods = [attrib.CustomWeights([[1], [1, 1], [1, 1, 1]]), attrib.CustomWeights([[1], [1, 2], [1, 2, 3]])]
    assert [m.label for m in methods] == ["custom_weights"] * 2
    with pytest.raises(SpecError, match="name them"):
        attrib.credit(paths, methods)
    table = attrib.credit(paths, dict(zip(("one", "two"), methods, strict=True)), intervals=None)
    first, second = (credited(table.filter(method=name)) for name in ("one", "two"))
    assert first == credited(methods[0].credit(paths))
    assert second == credited(methods[1].credit(paths)) != first
    assert attrib.CustomWeights([[1]]) == attrib.CustomWeights({"1": [3]})


AS_LISTS = "weights = [[1], [3, 1], [3, 2, 1]]"
AS_TABLE = 'weights = { "1" = [1], "2" = [3, 1], "3" = [3.0, 2, 1] }'


@pytest.mark.parametrize("weights", [AS_LISTS, AS_TABLE])
def test_a_job_names_weights_in_either_form(tmp_path, weights):
    PATHS.write_parquet(tmp_path / "paths.parquet")
    job = tmp_path / "job.toml"
    job.write_text(
        '[input]\npaths = "paths.parquet"\n[intervals]\nreplicates = 3\n'
        f'[[models]]\nmethod = "custom_weights"\n{weights}'
    )
    loaded = load(job)
    method = attrib.CustomWeights({1: [1], 2: [3, 1], 3: [3, 2, 1]})
    assert loaded.methods == {"custom_weights": method}
    spec = json.loads(canonical(loaded.full_spec()))
    written = spec["models"][0]["parameters"]["weights"]
    assert build_method("custom_weights", {"weights": written}, "run.json") == method
    result = run(loaded)
    assert credited(result.credit) == credited(method.credit(attrib.Journeys.from_paths(PATHS)))
    recorded = json.loads((tmp_path / "out" / "run.json").read_text())
    assert recorded["spec"]["models"][0]["parameters"] == {"weights": written, "otherwise": None}


SLIPS = {
    'weights = "linear"': "is neither a table nor a function",
    "weights = [[1], [1]]": "weights of 2 touches: ",
    'weights = { "2" = [-1, 2] }': "weights of 2 touches: ",
    "weights = { two = [1, 2] }": "weights: 'two' is not a number of touches",
    "weights = [[1e308], [inf, 1]]": "weights of 2 touches: ",
    "": "missing 1 required positional argument: 'weights'",
    "weigths = [[1]]": "did you mean weights?",
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_a_job_is_named_with_its_place(tmp_path, slip):
    job = tmp_path / "job.toml"
    job.write_text(f'[input]\npaths = "p.parquet"\n[[models]]\nmethod = "custom_weights"\n{slip}')
    with pytest.raises(SpecError) as caught:
        load(job)
    assert "job.toml: [[models]] no. 1" in str(caught.value)
    assert SLIPS[slip] in str(caught.value)


def test_ages_are_days_for_every_resolution_of_times():
    for unit in ("ms", "us", "ns"):
        seen = []
        touches = pl.DataFrame({
            "customer_id": [7], "timestamp": pl.Series([datetime(2025, 1, 1)]).cast(pl.Datetime(unit)),  # noqa: DTZ001
            "channel": ["ad"],
        })  # fmt: skip
        orders = touches.select(
            "customer_id", pl.col("timestamp") + pl.duration(days=1, hours=12), outcome=pl.lit("purchase")
        )
        some = attrib.Journeys.from_events(touches, orders)
        attrib.CustomWeights(lambda p, ages, seen=seen: seen.append(ages.tolist()) or p).credit(some)
        assert seen == [[1.5]], unit


OTHERWISE = {
    "linear": attrib.Linear(), "first_touch": attrib.FirstTouch(), "last_touch": attrib.LastTouch(),
    "position_based": attrib.PositionBased(),
}  # fmt: skip


@pytest.mark.parametrize("rule", OTHERWISE)
def test_lengths_without_a_row_follow_the_rule_named(journeys, paths, rule):
    for some in (journeys, paths):
        alone = attrib.CustomWeights({1: [1]}, otherwise=rule).credit(some)
        for one, other in zip(credited(alone), credited(OTHERWISE[rule].credit(some)), strict=True):
            assert one[1:] == pytest.approx(other[1:], rel=1e-12)
    mixed = attrib.CustomWeights({2: [3, 1]}, otherwise=rule).credit(paths)
    by_hand = attrib.CustomWeights(lambda p, _: [3, 1] if len(p) == 2 else {
        "linear": p * 0 + 1, "first_touch": p == 1, "last_touch": p == len(p),
        "position_based": np.array([4, 2, 4])[: len(p)],
    }[rule])  # fmt: skip
    for one, other in zip(credited(mixed), credited(by_hand.credit(paths)), strict=True):
        assert one[1:] == pytest.approx(other[1:], rel=1e-12)


@pytest.mark.parametrize("otherwise", ["time_decay", "", 1, ["linear"]])
def test_otherwise_names_a_rule_without_parameters(otherwise):
    with pytest.raises(SpecError) as caught:
        attrib.CustomWeights([[1]], otherwise=otherwise)
    assert caught.value.key == "bad_parameter"
    with pytest.raises(SpecError, match="a function answers for every length"):
        attrib.CustomWeights(lambda p, _: p, otherwise="linear")


def test_a_function_is_asked_anew_each_time():
    """What it closes over may have changed."""
    journeys, first = tell(STORY, refunds="keep"), 1.0
    method = attrib.CustomWeights(lambda positions, _: np.where(positions == 1, first, 1.0))
    even = attrib.credit(journeys, method, intervals=None)
    first = 9.0
    steep = attrib.credit(journeys, method, intervals=None)
    assert not steep.equals(even)
    assert not any(callable(getattr(need, "weights", None)) for need, _ in journeys._memory.sums)  # nor kept for ever
