"""Other packages on the same path tables: where definitions are the same, so are the numbers.

Each runs in an environment of its own (`make peers`), through an adapter in tests/peers. Where a definition differs,
a test says how, and that it still does: by a twin of their definition that gives their numbers.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections import Counter
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import attrib

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".peers" / "bin" / "python"
SEP = " > "
Paths = list[tuple[list[str], int, int]]  # touches, conversions, nulls
Answers = dict[str, dict[str, dict[str, float]]]  # by table, by label, by channel

pytestmark = pytest.mark.skipif(not (ROOT / ".peers" / ".installed").is_file(), reason="make peers builds it")


# --- path tables ---


def drawn(seed: int, names: list[str], paths: int, longest: int, most: int, *, rare: int = 1) -> Paths:
    """Draw paths with repeats and skewed channels; one in ``rare`` of them has conversions."""
    random = np.random.default_rng(seed)
    weights = 1 / np.arange(1, len(names) + 1)
    table = []
    for number in range(paths):
        touches = random.choice(names, size=random.integers(1, longest + 1), p=weights / weights.sum()).tolist()
        conversions = int(random.integers(0, most + 1)) if number % rare == 0 else 0
        table.append((touches, conversions, int(random.integers(0, most + 1))))
    return table


LETTERS = list("abcdefghij")
HOSTILE = ['comma, "quoted"', "two  spaces", "Ünïcödé 💡", "null", "NA", "(conversion)", "0", "-"]
TABLES: dict[str, Paths] = {
    "long": drawn(1, LETTERS[:4], paths=120, longest=14, most=4),
    "short": drawn(2, LETTERS[:7], paths=150, longest=3, most=5),
    "ten channels": drawn(3, LETTERS, paths=150, longest=8, most=3),
    "rare conversions": drawn(4, LETTERS[:6], paths=160, longest=7, most=6, rare=16),
    "no nulls": [(touches, 1 + conversions, 0) for touches, conversions, _ in drawn(5, LETTERS[:5], 60, 6, 3)],
    "null player": [*drawn(6, LETTERS[:4], 60, 5, 3), (["idle"], 0, 9), (["a", "idle", "b"], 0, 2)],
    "single touches": [([name], 3 + 2 * at, 7 * at) for at, name in enumerate(LETTERS[:6])],
    "hostile names": drawn(7, HOSTILE, paths=90, longest=6, most=3),
    "doubled rows": drawn(8, LETTERS[:3], 25, 4, 3) * 2,
}
LARGE: dict[str, Paths] = {
    # for peers that need not write out each journey
    "large counts": [(touches, c * 10**8 + 1, n * 10**9) for touches, c, n in drawn(9, LETTERS[:5], 80, 6, 9)],
}
ODD: dict[str, Paths] = {
    "reserved": [(["NULL", "a"], 4, 1), (["a"], 2, 3), (["NULL"], 5, 5), (["b", "NULL"], 0, 2)],
    "separator": [(["x>y", "z"], 4, 1), (["z"], 1, 1)],
}


def frame(table: Paths) -> pl.DataFrame:
    columns = {"path": [SEP.join(touches) for touches, _, _ in table]}
    return pl.DataFrame(
        columns | {"total_conversions": [c for _, c, _ in table], "total_null": [n for _, _, n in table]}
    )


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Run an adapter on all tables at once; the same answers for every test."""
    folder = tmp_path_factory.mktemp("paths")

    @cache
    def ask(peer: str) -> Answers:
        tables = TABLES | ODD | (LARGE if peer != "shapley_attribution" else {})
        files = [folder / f"{name}.csv" for name in tables]
        for file, table in zip(files, tables.values(), strict=True):
            frame(table).write_csv(file)
        command = [PYTHON, "-W", "ignore", ROOT / "tests" / "peers" / f"run_{peer}.py", *files]
        done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", cwd=folder, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return ask


def ours(table: Paths, method: attrib.Method, column: str = "conversions") -> dict[str, float]:
    credit = method.credit(attrib.Journeys.from_paths(frame(table))).filter(kind="player")
    return dict(credit.select("channel", column).iter_rows())


def assert_close(found: dict[str, float], theirs: dict[str, float], rel: float) -> None:
    """Compare channel by channel; one that a peer leaves out has nothing."""
    assert set(theirs) <= set(found)
    scale = sum(map(abs, theirs.values()))
    for channel, number in found.items():
        assert number == pytest.approx(theirs.get(channel, 0.0), rel=rel, abs=rel * scale), channel


# --- do-attribution: removal_strategy="redirect_to_null" is our removal="null" (semantics §5) ---


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", [*TABLES, *LARGE])
def test_markov_chains_of_do_attribution(answers, name, order):
    """Higher orders too: its first state is the first k touches, ours grows up to it; the chains are the same.

    It solves once a channel, we once for all, so they agree to the rounding of two linear solvers.
    """
    table, theirs = (TABLES | LARGE)[name], answers("do_attribution")[name]
    method = attrib.Markov(order=order)
    assert_close(ours(table, method, "effect"), theirs[f"effect {order}"], rel=1e-9)
    assert_close(ours(table, method, "share"), theirs[f"share {order}"], rel=1e-9)
    conversions, nulls = (sum(row[at] for row in table) for at in (1, 2))
    assert theirs[f"probability {order}"][""] == pytest.approx(conversions / (conversions + nulls), rel=1e-9)


def test_do_attribution_has_names_that_no_channel_may_have(answers):
    """START, CONVERSION and NULL are states of its chain: a channel of that name gets nothing. To us it is a name."""
    theirs = answers("do_attribution")["reserved"]
    assert set(theirs["share 1"]) == {"a", "b"}
    table = ODD["reserved"]
    found = ours(table, attrib.Markov(order=1), "share")
    assert found["NULL"] > 0.3
    renamed = [([{"NULL": "n"}.get(t, t) for t in touches], c, n) for touches, c, n in table]
    assert sorted(found.values()) == pytest.approx(sorted(ours(renamed, attrib.Markov(order=1), "share").values()))


# --- rules and Shapley ---

POSITIONS = {
    "position 40/40": attrib.PositionBased(first=0.4, last=0.4),
    "position 30/60": attrib.PositionBased(first=0.3, last=0.6),
}
SAME = {
    "first_touch": attrib.FirstTouch(),
    "last_touch": attrib.LastTouch(),
    "linear": attrib.Linear(),
    "position 40/40": POSITIONS["position 40/40"],
    "shapley": attrib.Shapley(worth="conversions"),
}


@pytest.mark.parametrize("label", [*SAME, "position 30/60"])
@pytest.mark.parametrize("name", [*TABLES, *LARGE])
def test_rules_and_shapley_of_mta(answers, name, label):
    """Its Shapley value is the definition over all coalitions (of the game of exact channel sets): our closed form."""
    assert_close(ours((TABLES | LARGE)[name], (SAME | POSITIONS)[label]), answers("mta")[name][label], rel=1e-11)


@pytest.mark.parametrize("name", [*TABLES, *LARGE])
def test_linear_over_distinct_channels_of_mta_is_shapley(answers, name):
    theirs = answers("mta")[name]["linear over distinct channels"]
    assert_close(ours((TABLES | LARGE)[name], attrib.Shapley(worth="conversions")), theirs, rel=1e-11)


@pytest.mark.parametrize("label", SAME)
@pytest.mark.parametrize("name", TABLES)
def test_rules_and_shapley_of_shapley_attribution(answers, name, label):
    assert_close(ours(TABLES[name], SAME[label]), answers("shapley_attribution")[name][label], rel=1e-11)


@pytest.mark.parametrize("name", TABLES)
def test_time_decay_of_shapley_attribution(answers, name):
    """It halves from touch to touch: ours, where touches are one half-life apart. So events are made that are."""
    start, day = datetime(2025, 1, 1), timedelta(days=1)  # noqa: DTZ001
    touched, reached, customer = [], [], 0
    for touches, conversions, nulls in TABLES[name]:
        for converts in [True] * conversions + [False] * nulls:
            customer += 1
            touched += [(customer, start + day * at, channel) for at, channel in enumerate(touches)]
            reached += [(customer, start + day * (len(touches) - 1), "purchase", 1.0)] * converts
    schema = ["customer_id", "timestamp", "channel"]
    journeys = attrib.Journeys.from_events(
        pl.DataFrame(touched, schema=schema, orient="row"),
        pl.DataFrame(reached, schema=[*schema[:2], "outcome", "value"], orient="row"),
        target="purchase",
        lookback="unlimited",
    )
    credit = attrib.TimeDecay(half_life="1d").credit(journeys).filter(kind="player")
    found = dict(credit.select("channel", "conversions").iter_rows())
    assert_close(found, answers("shapley_attribution")[name]["time_decay"], rel=1e-11)


@pytest.mark.parametrize("name", [*TABLES, *LARGE])
def test_shao_and_li_of_mta(answers, name):
    """Its contributions are summed over conversions as ours are, and not scaled: ours are, to the conversions."""
    theirs = answers("mta")[name]["shao"]
    table = (TABLES | LARGE)[name]
    scale = sum(conversions for _, conversions, _ in table) / sum(theirs.values())
    found = {channel: number * scale for channel, number in theirs.items()}
    assert_close(ours(table, attrib.ShaoLi()), found, rel=1e-11)


# --- where they define it otherwise ---


def test_two_touches_by_position_in_shapley_attribution(answers):
    """Of two touches it halves what the ends leave over; we (and mta) share all in the ratio of the ends (§4)."""
    first, last = 0.3, 0.6
    credit: Counter[str] = Counter()
    for touches, conversions, _ in TABLES["short"]:
        rest = (1 - first - last) / max(1, len(touches) - 2)
        weights = [first, *[rest] * (len(touches) - 2), last]
        weights = {1: [1.0], 2: [first + rest / 2, last + rest / 2]}.get(len(touches), weights)
        for channel, weight in zip(touches, weights, strict=True):
            credit[channel] += weight * conversions
    theirs = answers("shapley_attribution")["short"]["position 30/60"]
    assert theirs == pytest.approx(credit)
    found = ours(TABLES["short"], POSITIONS["position 30/60"])
    assert sum(found.values()) == pytest.approx(sum(theirs.values()))
    assert max(abs(found[c] - theirs[c]) for c in found) > 0.1


@pytest.mark.parametrize("name", ["long", "short"])
def test_time_decay_of_mta_knows_no_time(answers, name):
    """The distinct channels of a path, by first occurrence, weigh 1, 2, 3, … (§4: by the time before the outcome)."""
    credit: Counter[str] = Counter()
    for touches, conversions, _ in TABLES[name]:
        distinct = list(dict.fromkeys(touches))
        for weight, channel in enumerate(distinct, 1):
            credit[channel] += conversions * weight / math.comb(len(distinct) + 1, 2)
    assert answers("mta")[name]["time_decay"] == pytest.approx(credit)


@pytest.mark.parametrize("name", [*TABLES, *LARGE])
def test_markov_of_mta_sums_over_observed_rows(answers, name):
    """It adds the probabilities of the paths in the table that converted, and drops those with the channel.

    The chain converts along other paths too, and a path in two rows counts twice: so it is ours only where the table
    holds every path of the chain, each once, as where all have one touch.
    """
    table = (TABLES | LARGE)[name]
    steps: Counter[tuple[str, str]] = Counter()
    for touches, conversions, nulls in table:
        for step in zip(["(start)", *touches], touches, strict=False):
            steps[step] += conversions + nulls
        steps[touches[-1], "(conversion)"] += conversions
        steps[touches[-1], "(null)"] += nulls
    left: Counter[str] = Counter()
    for (state, _), count in steps.items():
        left[state] += count

    def converts(without: str | None = None) -> float:
        return math.fsum(
            math.prod(steps[s] / left[s[0]] for s in zip(["(start)", *t], [*t, "(conversion)"], strict=True))
            for t, conversions, _ in table
            if conversions > 0 and without not in t
        )

    players = {channel for touches, _, _ in table for channel in touches}
    twin = {channel: 1 - converts(channel) / converts() for channel in players}
    theirs = answers("mta")[name]["markov"]
    assert theirs == pytest.approx(twin, rel=1e-9, abs=1e-12)
    found = ours(table, attrib.Markov(order=1), "effect")
    if name == "single touches":
        assert_close(found, theirs, rel=1e-9)
    else:
        assert max(abs(found[c] - theirs[c]) for c in found) > 0.01


def test_mta_cuts_names_at_the_bare_separator(answers):
    """It takes the blanks off the separator first, so x>y is two channels; to us it is one."""
    assert set(answers("mta")["separator"]["linear"]) == {"x", "y", "z"}
    assert set(ours(ODD["separator"], attrib.Linear())) == {"x>y", "z"}
