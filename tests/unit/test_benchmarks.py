"""What the benchmarks conclude from their measurements. No test looks at a time."""

import json

import polars as pl
import pytest
from benchmarks.gate import slower
from benchmarks.growth import SIZES, credit, data, exponent
from benchmarks.measure import check_sums
from benchmarks.peers import __main__ as peers
from benchmarks.record import load, save

OURS = {"a": 0.5, "b": 0.3, "c": 0.2}


@pytest.mark.parametrize(
    ("base", "head", "expected"),
    [
        (1.0, 1.5, True),
        (1.0, 1.3, False),  # at the ratio, not past it
        (0.01, 0.05, False),  # many times, but too little to notice
        (10.0, 11.0, False),  # a second, but a tenth only
        (2.0, 1.0, False),
    ],
)
def test_the_gate_needs_both_thresholds(base, head, expected):
    assert slower(base, head, ratio=1.3, seconds=0.1) is expected


def test_exponents_are_those_of_powers():
    sizes = SIZES["touchpoints"]
    assert exponent(sizes, [3 * n**1.5 for n in sizes]) == pytest.approx(1.5)
    assert exponent(sizes, [2.0] * len(sizes)) == pytest.approx(0)


@pytest.mark.parametrize("stages", [1, 3])
def test_the_growth_data_has_conversions_in_every_stage(tmp_path, monkeypatch, stages):
    monkeypatch.setattr("benchmarks.growth.DATA", tmp_path)
    table, journeys = credit(data(2_000, 3, stages), 2, stages)
    check_sums(table, journeys.reconcile())
    sums = table.group_by("method", "stage").agg(pl.col("conversions").sum())
    assert sums.height == 4 * stages
    assert (sums["conversions"] > 0).all()


def test_an_answer_that_agrees():
    near = {"a": 0.5 + 1e-12, "b": 0.3, "c": 0.2 - 1e-12}
    assert peers.judge("mta", "shapley", near, OURS, {}) == "agrees"


def test_an_answer_that_should_agree_and_does_not_ends_the_run():
    with pytest.raises(SystemExit, match=r"mta, shapley: .* by up to 0\.1"):
        peers.judge("mta", "shapley", {"a": 0.6, "b": 0.3, "c": 0.1}, OURS, {})
    with pytest.raises(SystemExit, match=r"by up to 0\.2"):  # a channel left out
        peers.judge("mta", "shapley", {"a": 0.6, "b": 0.4}, OURS, {})


def test_a_known_difference_must_be_the_one_that_was_kept():
    theirs = {"a": 0.7, "b": 0.2, "c": 0.1}
    kept = {"mta": {"markov": theirs}}
    assert peers.judge("mta", "markov", theirs, OURS, kept).endswith("by up to 20.0 points")
    for other in (OURS, {"a": 0.8, "b": 0.1, "c": 0.1}):
        with pytest.raises(SystemExit, match="no longer differs"):
            peers.judge("mta", "markov", other, OURS, kept)


def test_simulated_answers_may_differ_by_their_noise():
    near, far = {"a": 0.51, "b": 0.29, "c": 0.2}, {"a": 0.6, "b": 0.2, "c": 0.2}
    assert "simulated, by up to 1.0 points" in peers.judge("ChannelAttribution", "markov", near, OURS, {})
    with pytest.raises(SystemExit, match="more than its noise"):
        peers.judge("ChannelAttribution", "markov", far, OURS, {})


def test_every_known_difference_but_the_simulated_is_kept():
    kept = json.loads(peers.EXPECTED.read_text(encoding="utf-8"))
    found = {(package, method) for package, answers in kept.items() for method in answers}
    assert found == {key for key, note in peers.DIFFERENT.items() if "simulated" not in note}


def test_a_gpl_package_runs_only_where_the_user_names_its_python(monkeypatch):
    monkeypatch.delenv("CHANNELATTRIBUTION", raising=False)
    assert "channelattribution" not in peers.pythons()
    monkeypatch.setenv("CHANNELATTRIBUTION", "/some/python")
    assert str(peers.pythons()["channelattribution"]) == "/some/python"
    for file in (peers.HERE / "requirements.txt", peers.ROOT.parent / "tests" / "peers" / "requirements.txt"):
        assert "channelattribution" not in file.read_text(encoding="utf-8").lower()


def test_results_name_machine_versions_and_seed(tmp_path):
    save([{"case": "a, b", "cpu_s": 0.5}], tmp_path / "x.csv", seed=3)
    machine, rows = load(tmp_path / "x.csv")
    assert rows == [{"case": "a, b", "cpu_s": "0.5"}]
    assert "; seed 3; load average" in machine
    assert "polars" in machine


@pytest.mark.skipif(not (peers.PEERS.parents[1] / ".bench-installed").is_file(), reason="make bench-peers builds it")
def test_all_answers_are_as_known(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "DATA", tmp_path)
    monkeypatch.delenv("CHANNELATTRIBUTION", raising=False)
    known = peers.check()
    assert len(known) == 5
    from_events = {said["package"] for said in known.values() if said["answers"]["event log"]}
    assert from_events == {"attrib", "do-attribution", "marketing-attribution-models"}


def test_the_event_log_holds_the_journeys_of_the_path_table(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "DATA", tmp_path)
    rows = list(pl.read_csv(peers.event_log(300)).iter_rows())
    assert rows != sorted(rows)  # shuffled
    assert len({row[:2] for row in rows}) == len(rows)  # no two touches of a customer at one time
    journeys, path = [], []
    rows.sort()
    for (customer, _, channel, converted), (following, *_) in zip(rows, [*rows[1:], (None,)], strict=True):
        path.append(channel)
        if converted or following != customer:
            journeys.append((" > ".join(path), converted, 1 - converted))
            path = []
    assert sorted(journeys) == sorted(pl.read_csv(peers.path_table(300)).iter_rows())
