"""What the page says of the goals, of profiles and of Spark: pure functions of the results."""

import pytest
from benchmarks import page as pages
from benchmarks.goals import LARGE, Goal, goals, quantity
from benchmarks.page import page, profile, where_spark_pays
from benchmarks.record import save


def found(results, words):
    (goal,) = (goal for goal in goals(results) if words in goal.what)
    return goal


def credit(size, kind="ordered", task="credit", cpu="1.0", peak="0.5", ratio="2.9"):
    row = {"touchpoints": str(size), "order": kind, "task": task, "cpu_s": cpu, "wall_s": cpu, "peak_gb": peak}
    return row | {"cpu_ratio_to_scan": ratio}


def test_without_results_nothing_counts_as_measured():
    assert {goal.judgement for goal in goals({})} == {"–"}
    assert {goal.found.split(" (")[0] for goal in goals({})} == {"not measured"}
    assert "Of 40 goals 0 are reached, 0 are not, 40 were not measured." in pages.reached({})


@pytest.mark.parametrize(
    ("value", "at_least", "judgement"),
    [
        (3.0, False, "reached"),
        (3.01, False, "**not reached**"),
        (3.0, True, "reached"),
        (2.99, True, "**not reached**"),
    ],
)
def test_a_goal_is_reached_at_its_limit(value, at_least, judgement):
    assert Goal("x", 3.0, "×", value, at_least).judgement == judgement


def test_the_ratio_of_the_large_size_is_judged_and_another_size_is_only_told():
    rows = [credit(1_000_000, ratio="28.9"), credit(10_000_000, ratio="5.5")]
    goal = found({"latest": rows}, f"{LARGE:,} touchpoints, ordered: CPU against")
    assert goal.found == "not measured (5.5 × at 10,000,000)"
    assert goal.reached is None
    goal = found({"latest": [*rows, credit(LARGE, ratio="2.9")]}, f"{LARGE:,} touchpoints, ordered: CPU against")
    assert (goal.found, goal.reached) == ("2.9 ×", True)


def test_costs_are_compared_within_one_order_of_rows():
    rows = [
        credit(10_000_000, cpu="2.0", peak="0.6"), credit(LARGE, cpu="22.0", peak="0.63"),
        credit(LARGE, task="credit with intervals", cpu="27.5"), credit(10_000_000, "shuffled"),
    ]  # fmt: skip
    results = {"latest": rows}
    assert found(results, "ordered: CPU over").value == pytest.approx(11.0)
    assert found(results, "ordered: CPU over").reached is False
    assert found(results, "ordered: peak memory over").value == pytest.approx(1.05)
    assert found(results, "ordered: CPU with 1,000").value == pytest.approx(1.25)
    assert found(results, "shuffled: CPU over").value is None


def test_solving_goes_by_wall_time_and_the_largest_chain_by_memory_too():
    case = "markov(order=3), 100 players"
    results = {"solve": [{"case": case, "wall_s": "59.0", "cpu_s": "110.0", "peak_gb": "4.2"}]}
    assert found(results, f"{case}: solving, wall").reached is True
    assert found(results, f"{case}: solving, peak").reached is False


def peer(journeys, package, cpu, method="markov", task="path table"):
    row = {"task": task, "journeys": journeys, "channels": "10", "method": method, "package": package, "version": "1"}
    return row | {"answers": "agrees", "cpu_s": cpu, "wall_s": cpu, "peak_gb": "0.5", "cpu_ratio_to_attrib": "1"}


def test_peers_are_compared_on_the_same_table():
    rows = [
        peer("100000", "attrib", "9.0"), peer("100000", "ChannelAttribution", "1.0"),
        peer("1000000", "attrib", "0.5", "shapley"), peer("1000000", "attrib", "0.3"),
        peer("1000000", "ChannelAttribution", "1.8"), peer("1000000", "attrib", "9.0", task="event log"),
    ]  # fmt: skip
    assert found({"peers": rows}, "CPU of ChannelAttribution").value == pytest.approx(6.0)
    assert found({"peers": rows}, "CPU of marketing").value is None


def test_from_events_the_nearer_of_two_packages_counts_and_the_faster_way_to_paths():
    rows = [
        peer("1000000", "attrib", "0.5", task="event log"),
        peer("1000000", "ChannelAttribution", "4.0", task="event log"),
        peer("1000000", "attrib", "0.1", "markov_groupby", task="event log"),
        peer("1000000", "ChannelAttribution", "20.0", "markov_groupby", task="event log"),
    ]
    goal = found({"peers": rows}, "event log of")
    assert (goal.found, goal.reached) == ("not measured (ChannelAttribution 8 ×)", None)
    rows.append(peer("1000000", "marketing-attribution-models", "11.0", task="event log"))
    goal = found({"peers": rows}, "event log of")
    assert (goal.found, goal.reached) == ("8 ×", False)


def test_a_run_is_lost_within_its_own_task(tmp_path):
    rows = [
        peer("1000", "attrib", "0.1"), peer("1000", "mta", "0.2"),
        peer("1000", "attrib", "0.9", task="event log"), peer("1000", "mta", "0.8", task="event log"),
    ]  # fmt: skip
    save(rows, tmp_path / "peers.csv", seed=0)
    text = page(tmp_path)
    assert "### Path table, Markov chain of order 1: 1,000 journeys, 10 channels" in text
    assert "### Event log, Markov chain of order 1: 1,000 journeys, 10 channels" in text
    (lost,) = (line for line in text.splitlines() if "takes less" in line)
    assert lost.startswith("- Event log, Markov chain of order 1, 1,000 journeys: **mta** takes less CPU (0.8 against")


def test_scores_and_snapshots_go_by_the_wall_time_of_their_size():
    def row(case, size, wall):
        return {"case": case, "size": size, "wall_s": wall}

    rows = [row("BetaGeoNBD", "1000000", "31.0"), row("GammaGamma", "1000", "0.1"), row("snapshot", "1000000", "7.0")]
    results = {"scoring": rows}
    assert found(results, "BetaGeoNBD").reached is False
    assert found(results, "GammaGamma").reached is None
    assert found(results, "snapshot").found == "not measured (7 s at 1,000,000)"
    assert found({"scoring": [*rows, row("snapshot", "10000000", "59.0")]}, "snapshot").reached is True


def test_short_times_are_written_in_milliseconds():
    assert (quantity(0.00018, "s"), quantity(0.15, "s"), quantity(0.9, "GB")) == ("0.18 ms", "0.15 s", "0.9 GB")


def test_steps_of_a_profile_are_sums_of_their_parts():
    def part(size, step, name, time, percent):
        row = {"touchpoints": size, "order": "ordered", "step": step, "part": name}
        return row | {"cpu_ns_per_touch": time, "cpu_percent": percent}

    rows = [
        part("10", "code", "a", "900", "99"), part("100", "code", "a", "10.0", "40.0"),
        part("100", "code", "b", "0.5", "2.0"), part("100", "cut", "c", "14.5", "58.0"),
    ]  # fmt: skip
    text = "".join(profile(rows))
    assert "of 100 touchpoints" in text
    assert "| code | 10.5 (42 %) |" in text
    assert "| a | 10.0 (40 %) |" in text
    assert "| b |" not in text  # too small to name


def engine(name, size, cpu, wall):
    return {"engine": name, "touchpoints": str(size), "cpu_s": str(cpu), "wall_s": str(wall)}


def test_where_spark_pays_is_worked_out_from_the_two_largest_sizes():
    rows = [
        engine("local", 1_000, 99, 99),  # a smaller size counts for nothing
        engine("local", 1_000_000, 1.0, 0.6), engine("local", 11_000_000, 11.0, 6.0),  # 1 µs a touch
        engine("Spark local[2]", 1_000_000, 5.0, 21.5), engine("Spark local[2]", 11_000_000, 35.0, 40.0),  # 3 µs
    ]  # fmt: skip
    said, written = where_spark_pays(rows)
    assert "takes\n1 µs of CPU a touch and Spark 3, 3 times as much" in said
    assert "and 20 s a run" in said  # 21.5 s of wall less 3 s of CPU on two cores
    # level with 16 cores where 20 s + 3 µs n / 16 = 1 µs n / 2
    assert "| one machine of 2 cores | 64,000,000 |" in written
    # and never with eight of one machine: they do 8 touches a µs, 16 of Spark's 16 / 3
    assert "| one machine of 8 cores | never |" in written


@pytest.mark.parametrize("rows", [[engine("local", 10, 1, 1), engine("local", 20, 2, 2)], []])
def test_one_engine_or_one_size_is_not_enough(rows):
    assert "must have been measured at two sizes" in where_spark_pays(rows)[0]


def test_times_that_do_not_grow_work_nothing_out():
    rows = [engine(name, size, 1.0, 1.0) for name in ("local", "Spark local[2]") for size in (10, 20)]
    assert "do not grow" in where_spark_pays(rows)[0]


def test_a_page_of_no_results_says_so_in_every_section(tmp_path):
    text = page(tmp_path)
    assert text.count("*Not measured.*") == len(pages.SUITES)
    assert "issue" not in text


def test_a_page_shows_what_a_suite_has_saved(tmp_path):
    save([{"case": "import attrib", "wall_s": 0.04, "cpu_s": 0.03, "runs": 5}], tmp_path / "startup.csv", seed=0)
    text = page(tmp_path)
    assert "| `import attrib` | 40 ms | 30 ms |" in text
    assert "| `import attrib`: wall | ≤ 0.3 s | 0.04 s | reached |" in text
    assert text.count("*Not measured.*") == len(pages.SUITES) - 1
