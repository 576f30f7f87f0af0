"""What the benchmarks are to reach, and what the last results say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping[str, str]
Results = Mapping[str, Sequence[Row]]  # by suite; an absent one was not measured
LARGE, BEFORE = 100_000_000, 10_000_000
END_TO_END = {  # how rows are → CPU ratio to the scan, peak GB
    "ordered": (3.0, 0.9),
    "shuffled": (4.5, 0.8),
    "shuffled, text ids": (3.5, 0.9),
}
GROWN = 10.5  # cost of ten times the touchpoints
SAME = 1.1  # "the same memory", for no two runs have it to the byte
WITH_INTERVALS = 1.3
SOLVING = {  # case → wall seconds
    "markov(order=1), 12 players": 0.0002,
    "markov(order=1), 12 players, customers, 1,000 replicates": 1.0,
    "markov(order=1), 1,000 players": 0.15,
    "markov(order=1), 5,000 players": 6.0,
    "markov(order=2), 100 players": 0.5,
    "markov(order=3), 50 players": 3.0,
    "markov(order=3), 100 players": 60.0,
    "shapley(rate), 24 players": 1.0,
    "shapley(markov), 24 players": 5.0,
}
SOLVING_GB = {"markov(order=3), 100 players": 4.0}
PEERS = {"ChannelAttribution": 5.0, "marketing-attribution-models": 8.0}
EITHER = 20.0  # times faster than each of them from an event log
START_UP = {"import attrib": 0.3, "attrib --help": 0.5}
JOURNEYS = 1_000_000
CUSTOMERS, SCORED = 1_000_000, 30.0
MODELS = (
    "ChurnClassifier, logistic",
    "ChurnClassifier, boosting",
    "ReferralLikelihood",
    "SurvivalChurn, Cox",
    "BetaGeoNBD",
    "GammaGamma",
    "lifetime_value",
    "lifetime_value, intervals of 200 draws",
)
DESCRIBED, SNAPSHOT = 10_000_000, 60.0
WORLDS, REPLAYED, REPLAY = "channels, all 1,024 worlds", 100_000, 120.0


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal: ``value`` is None where it was not measured, ``nearest`` what was measured in its place."""

    what: str
    limit: float
    unit: str
    value: float | None
    at_least: bool = False
    nearest: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the value keeps to the limit; None where there is none."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def wanted(self) -> str:
        """The limit as text."""
        return f"{'≥' if self.at_least else '≤'} {quantity(self.limit, self.unit)}"

    @property
    def found(self) -> str:
        """The value as text."""
        if self.value is not None:
            return quantity(self.value, self.unit)
        return "not measured" + (f" ({self.nearest})" if self.nearest else "")

    @property
    def judgement(self) -> str:
        """Reached or not, as text."""
        return {True: "reached", False: "**not reached**", None: "–"}[self.reached]


def quantity(value: float, unit: str) -> str:
    """Write a number with its unit, in three digits; short times in milliseconds.

    Examples
    --------
    >>> quantity(0.00017, "s"), quantity(3.456, "×"), quantity(12.0, "GB")
    ('0.17 ms', '3.46 ×', '12 GB')
    """
    return f"{1000 * value:.3g} ms" if unit == "s" and value < 0.01 else f"{value:.3g} {unit}"


def goals(results: Results) -> list[Goal]:
    """All goals with what was measured."""
    return [
        *_end_to_end(results),
        *_solving(results),
        *_peers(results),
        *_scoring(results),
        *_replay(results),
        *_start_up(results),
    ]


def _end_to_end(results: Results) -> Iterator[Goal]:
    found = {(int(row["touchpoints"]), row["order"], row["task"]): row for row in results.get("latest", ())}

    def ratio(over: tuple[int, str, str], under: tuple[int, str, str], column: str) -> float | None:
        if over not in found or under not in found:
            return None
        return float(found[over][column]) / float(found[under][column])

    for kind, (limit, peak) in END_TO_END.items():
        what = f"{LARGE:,} touchpoints, {kind}"
        row = found.get((LARGE, kind, "credit"))
        sizes = [size for size, rows, task in found if rows == kind and task == "credit"]
        nearest = found[max(sizes), kind, "credit"] if sizes else None
        at = f"at {max(sizes):,}" if sizes else ""
        yield Goal(
            f"{what}: CPU against a bare scan", limit, "×", float(row["cpu_ratio_to_scan"]) if row else None,
            nearest=f"{float(nearest['cpu_ratio_to_scan']):.3g} × {at}" if nearest else "",
        )  # fmt: skip
        yield Goal(
            f"{what}: peak memory", peak, "GB", float(row["peak_gb"]) if row else None,
            nearest=f"{float(nearest['peak_gb']):.3g} GB {at}" if nearest else "",
        )  # fmt: skip
        large, before = (LARGE, kind, "credit"), (BEFORE, kind, "credit")
        yield Goal(f"{what}: CPU over that of {BEFORE:,}", GROWN, "×", ratio(large, before, "cpu_s"))
        yield Goal(f"{what}: peak memory over that of {BEFORE:,}", SAME, "×", ratio(large, before, "peak_gb"))
        drawn = (LARGE, kind, "credit with intervals")
        yield Goal(
            f"{what}: CPU with 1,000 replicates over that without", WITH_INTERVALS, "×", ratio(drawn, large, "cpu_s")
        )


def _solving(results: Results) -> Iterator[Goal]:
    found = {row["case"]: row for row in results.get("solve", ())}
    for case, limit in SOLVING.items():
        row = found.get(case)
        yield Goal(f"{case}: solving, wall", limit, "s", float(row["wall_s"]) if row else None)
        if case in SOLVING_GB:
            peak = float(row["peak_gb"]) if row else None
            yield Goal(f"{case}: solving, peak memory", SOLVING_GB[case], "GB", peak)


def _peers(results: Results) -> Iterator[Goal]:
    found = {
        (row["task"], row["package"]): float(row["cpu_s"])
        for row in results.get("peers", ())
        if int(row["journeys"]) == JOURNEYS and row["method"] == "markov"
    }

    def ratio(task: str, package: str) -> float | None:
        theirs, ours = found.get((task, package)), found.get((task, "attrib"))
        return theirs / ours if theirs is not None and ours is not None else None

    for package, limit in PEERS.items():
        value = ratio("path table", package)
        what = f"path table of {JOURNEYS:,} journeys to Markov 1: CPU of {package} over ours"
        yield Goal(what, limit, "×", value, at_least=True)
    what = f"event log of {JOURNEYS:,} journeys end to end: CPU of either over ours"
    ratios = {package: value for package in PEERS if (value := ratio("event log", package)) is not None}
    each = ", ".join(f"{package} {quantity(value, '×')}" for package, value in ratios.items())
    smaller = min(ratios.values()) if len(ratios) == len(PEERS) else None
    yield Goal(what, EITHER, "×", smaller, at_least=True, nearest=each)


def _scoring(results: Results) -> Iterator[Goal]:
    found = {(row["case"], int(row["size"])): float(row["wall_s"]) for row in results.get("scoring", ())}
    for model in MODELS:
        yield Goal(f"scores of {CUSTOMERS:,} customers, {model}: wall", SCORED, "s", found.get((model, CUSTOMERS)))
    sizes = [size for case, size in found if case == "snapshot"]
    nearest = f"{found['snapshot', max(sizes)]:.3g} s at {max(sizes):,}" if sizes else ""
    what = f"snapshot of {DESCRIBED:,} touchpoints at one date: wall"
    yield Goal(what, SNAPSHOT, "s", found.get(("snapshot", DESCRIBED)), nearest=nearest)


def _replay(results: Results) -> Iterator[Goal]:
    found = {(row["case"], int(row["customers"])): float(row["wall_s"]) for row in results.get("replay", ())}
    yield Goal(f"truth of {REPLAYED:,} customers, {WORLDS}: wall", REPLAY, "s", found.get((WORLDS, REPLAYED)))


def _start_up(results: Results) -> Iterator[Goal]:
    found = {row["case"]: float(row["wall_s"]) for row in results.get("startup", ())}
    for case, limit in START_UP.items():
        yield Goal(f"`{case}`: wall", limit, "s", found.get(case))
