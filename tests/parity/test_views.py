"""Every view equals its definition, written down in plain Python over the twin's journeys."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import timedelta
from fractions import Fraction
from itertools import combinations, pairwise, permutations
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
import reference
from strategies import event_tables, public, random_tables, recipes, to_frames

Player = tuple[Any, ...]
SORTS = {"frequency": "journeys", "conversions": "conversions", "rate": "rate", "value": "value"}


class Twin:
    """The journeys of one game, and the questions asked of them."""

    def __init__(self, journeys: list[reference.Journey], order: Any, label: Any) -> None:
        self.order, self.label = order, label
        # (players, conversions, nulls, value) of the journeys that are neither open nor without a touch
        self.closed = [
            (j.players, j.conversions, int(j.status == "null"), j.value, j)
            for j in journeys
            if j.status in ("converting", "null") and j.players
        ]
        self.met: dict[Any, set[Player]] = defaultdict(set)
        for journey in journeys:
            if journey.players:
                self.met[journey.customer] |= set(journey.players)
        self.buyers = {j.customer for *_, j in self.closed if j.conversions}
        self.bare = [j for j in journeys if j.status == "unattributed"]

    def paths(self) -> list[dict[str, Any]]:
        sums: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, Fraction(0)])
        for players, conversions, nulls, value, _ in self.closed:
            for i, number in enumerate((conversions, nulls, value)):
                sums[players][i] += number
        total = sum(c + n for _, c, n, *_ in self.closed)
        return [
            {
                "path": " > ".join(map(self.label, players)),
                "players": [self.label(p) for p in players],
                "length": len(players),
                "journeys": c + n,
                "conversions": c,
                "nulls": n,
                "rate": Fraction(c, c + n),
                "value": value,
                "share": Fraction(c + n, total),
                "order": [self.order(p) for p in players],
            }
            for players, (c, n, value) in sums.items()
        ]

    def best(self, n: int | None, sort: str, *, worst: bool, min_journeys: int) -> list[dict[str, Any]]:
        asked = SORTS[sort]
        others = [name for name in SORTS.values() if name != asked]

        def place(row: dict[str, Any]) -> Any:
            return (row[asked] if worst else -row[asked], *(-row[name] for name in others), row["order"])

        rows = sorted((row for row in self.paths() if row["journeys"] >= min_journeys), key=place)
        return [{k: v for k, v in row.items() if k != "order"} for row in rows[:n]]

    def ends(self) -> dict[Player, Any]:
        out: Counter[Player] = Counter()
        converted: Counter[Player] = Counter()
        lost: Counter[Player] = Counter()
        for players, conversions, nulls, *_ in self.closed:
            for player in players:
                out[player] += conversions + nulls
            converted[players[-1]] += conversions
            lost[players[-1]] += nulls
        return {
            p: {
                "conversions": converted[p],
                "nulls": lost[p],
                "exit_rate": Fraction(lost[p], out[p]),
                "share_of_nulls": Fraction(lost[p], lost.total()) if lost.total() else None,
            }
            for p in out
        }

    def times(self, quantiles: dict[str, Fraction]) -> dict[str, Any]:
        times = sorted(
            j.conversion_time - j.times[0] for _, conversions, *_, j in self.closed for _ in range(conversions)
        )
        n = len(times)
        row = {"conversions": n, "mean_time": timedelta(seconds=1) * sum(times) / n if n else None}
        for name, q in quantiles.items():
            found = next((t for t in times if sum(other <= t for other in times) >= q * n), None)
            row[name] = None if found is None else timedelta(seconds=found)
        return row

    def touches(self) -> list[dict[str, Any]]:
        conversions: Counter[int] = Counter()
        nulls: Counter[int] = Counter()
        for players, c, n, *_ in self.closed:
            conversions[len(players)] += c
            nulls[len(players)] += n
        total = conversions.total()
        return [
            {
                "touches": k,
                "journeys": conversions[k] + nulls[k],
                "conversions": conversions[k],
                "nulls": nulls[k],
                "rate": Fraction(conversions[k], conversions[k] + nulls[k]),
                "share": Fraction(conversions[k], total) if total else None,
                "cumulative": Fraction(sum(c for m, c in conversions.items() if m <= k), total) if total else None,
            }
            for k in sorted(conversions)
        ]

    def reach(self) -> dict[Player, Any]:
        found = {}
        for player in {p for met in self.met.values() for p in met}:
            who = {customer for customer, met in self.met.items() if player in met}
            found[player] = {
                "customers": len(who),
                "share": Fraction(len(who), len(self.met)),
                "only": sum(self.met[customer] == {player} for customer in who),
                "converted": len(who & self.buyers),
                "rate": Fraction(len(who & self.buyers), len(who)),
            }
        return found

    def overlap(self) -> dict[tuple[Player, Player], Any]:
        who: dict[Player, set[Any]] = defaultdict(set)
        for customer, met in self.met.items():
            for player in met:
                who[player].add(customer)
        found, n = {}, len(self.met)
        for a, b in combinations(sorted(who, key=self.order), 2):
            both = len(who[a] & who[b])
            found[a, b] = {
                "customers": both,
                "share": Fraction(both, n),
                "jaccard": Fraction(both, len(who[a] | who[b])),
                "lift": Fraction(both, n) / (Fraction(len(who[a]), n) * Fraction(len(who[b]), n)),
            }
        return found

    def mix(self, channel: Any, group: Any) -> list[dict[str, Any]]:
        kinds: dict[str, set[Any]] = {"single": set(), "multi": set(), "cross": set()}
        for customer, met in self.met.items():
            across, several = len({group(channel(p)) for p in met}) > 1, len({channel(p) for p in met}) > 1
            kinds["cross" if across else "multi" if several else "single"].add(customer)
        return [
            {
                "mix": kind,
                "customers": len(who),
                "share": Fraction(len(who), len(self.met)) if self.met else None,
                "converted": len(who & self.buyers),
                "rate": Fraction(len(who & self.buyers), len(who)) if who else None,
            }
            for kind, who in kinds.items()
        ]

    def switches(self, channel: Any, group: Any, names: list[str]) -> list[dict[str, Any]]:
        total = sum(c + n for _, c, n, *_ in self.closed)
        rows = []
        for a, b in permutations(names, 2):
            for back in (False, True):
                conversions = nulls = 0
                for players, c, n, *_ in self.closed:
                    steps = list(pairwise(group(channel(p)) for p in players))
                    if (a, b) in steps and (not back or (b, a) in steps[steps.index((a, b)) :]):
                        conversions, nulls = conversions + c, nulls + n
                journeys = conversions + nulls
                rows.append(
                    {
                        "from": a,
                        "to": b,
                        "back": back,
                        "journeys": journeys,
                        "conversions": conversions,
                        "nulls": nulls,
                        "rate": Fraction(conversions, journeys) if journeys else None,
                        "share": Fraction(journeys, total) if total else None,
                    }
                )
        return sorted(rows, key=lambda r: (names.index(r["from"]), names.index(r["to"]), r["back"]))

    def path_table(self, sep: str = " > ") -> list[dict[str, Any]]:
        rows = [(sep.join(row["players"]), row["conversions"], row["value"], row["nulls"]) for row in self.paths()]
        if self.bare:
            bare = (sum(j.conversions for j in self.bare), sum((j.value for j in self.bare), Fraction(0)))
            rows.append(("", *bare, 0))
        names = ("path", "total_conversions", "total_conversion_value", "total_null")
        return [dict(zip(names, row, strict=True)) for row in sorted(rows, key=lambda row: row[0].encode())]


def assert_rows(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """Compare rows: counts and texts exactly, shares to rounding."""
    assert [list(row) for row in found] == [list(row) for row in wanted]
    for row, want in zip(found, wanted, strict=True):
        for key, value in want.items():
            if isinstance(value, int):
                assert type(row[key]) is int or type(value) is bool, key
            same = value if not isinstance(value, Fraction) else pytest.approx(float(value), rel=1e-12, abs=1e-12)
            assert row[key] == same, (key, row, want)


def compare(touches: list[Any], outcomes: list[Any], recipe: dict[str, Any], *, seed: int = 0) -> None:
    """Ask both everything."""
    built = reference.build(touches, outcomes, **recipe)
    milestones = {milestone for _, milestone, *_ in recipe.get("stages") or ()}
    if recipe.get("view") == "advance" and not milestones & {row["outcome"] for row in outcomes}:
        return  # an error of its own: nobody can advance
    journeys = attrib.Journeys.from_events(*to_frames(touches, outcomes), **{"target": "purchase", **public(recipe)})
    resolved = built.stages is not None and built.view == "resolved"
    columns = [*(["stage"] if resolved else []), *built.player]
    game_columns = [*built.by, *(["stage"] if built.stages and not resolved else [])]

    def order(player: Player) -> Any:
        staged = [built.stages.index(player[0])] if resolved else []
        return (*staged, *((p is not None, (p or "").encode()) for p in player[resolved:]))

    def label(player: Player) -> str:
        return ": ".join("(none)" if part is None else part for part in player)

    def channel(player: Player) -> Any:
        return player[columns.index("channel")]

    games = built.games()
    if not built.by:  # these games are there, be they without a journey
        for game in [(stage,) for stage in built.stages] if game_columns else [()]:
            games.setdefault(game, [])
    # open journeys are of a game where others make it one
    members = {game: [j for j in built.journeys if j.game == game] for game in games}
    twins = {game: Twin(found, order, label) for game, found in members.items()}
    known = sorted({row["channel"] for row in touches})

    def split(frame: pl.DataFrame) -> dict[Any, list[dict[str, Any]]]:
        assert frame.columns[: len(game_columns)] == game_columns
        rows: dict[Any, list[dict[str, Any]]] = {game: [] for game in games}
        for row in frame.to_dicts():
            game = tuple(row.pop(c) for c in game_columns)
            rows[game].append(row)
        return rows

    def keyed(table: dict[Any, Any], names: list[list[str]]) -> list[dict[str, Any]]:
        """Rows by player or pair, in the order of the players."""
        rows = []
        pairs = sorted(table, key=lambda k: tuple(map(order, k)) if len(names) > 1 else order(k))
        for key in pairs:
            parts = key if len(names) > 1 else (key,)
            texts = {n: v for part, some in zip(parts, names, strict=True) for n, v in zip(some, part, strict=True)}
            rows.append(texts | table[key])
        return rows

    sort, worst = sorted(SORTS)[seed % 4], seed % 3 == 0
    n, fewest = (None, 1, 3, 50)[seed % 4], 1 + seed % 2
    offline = known[: 1 + seed % 2]
    names = ["offline", *(["online"] if known[len(offline) :] else [])]

    def group(name: str) -> str:
        return "offline" if name in offline else "online"

    quantiles = {"p10_time": Fraction(1, 10), "median_time": Fraction(1, 2), "p90_time": Fraction(9, 10)}
    found = {
        "paths": journeys.paths(n, sort, worst=worst, min_journeys=fewest),
        "ends": journeys.ends(),
        "times": journeys.time_to_conversion(),
        "touches": journeys.touches_to_conversion(),
        "reach": journeys.reach(),
        "overlap": journeys.overlap(),
        "mix": journeys.mix({"offline": offline}),
        "switches": journeys.switches({"offline": offline}),
    }
    pairs = [[f"{c}{suffix}" for c in columns] for suffix in ("_a", "_b")]
    wanted = {
        "paths": lambda t: t.best(n, sort, worst=worst, min_journeys=fewest),
        "ends": lambda t: keyed(t.ends(), [columns]),
        "times": lambda t: [t.times(quantiles)],
        "touches": lambda t: t.touches(),
        "reach": lambda t: keyed(t.reach(), [columns]),
        "overlap": lambda t: keyed(t.overlap(), pairs),
        "mix": lambda t: t.mix(channel, group),
        "switches": lambda t: t.switches(channel, group, names),
    }
    # " > " within a name, or begun by its end, makes texts of paths ambiguous
    if any(
        " > " in label(p) or label(p).endswith(" >")
        for twin in twins.values()
        for *_, j in twin.closed
        for p in j.players
    ):
        with pytest.raises(attrib.DataError, match="separator"):
            journeys.to_paths()
        found["to_paths"], wanted["to_paths"] = journeys.to_paths("|"), lambda t: t.path_table("|")
    else:
        found["to_paths"], wanted["to_paths"] = journeys.to_paths(), Twin.path_table
    for view, frame in found.items():
        rows = split(frame)
        assert set(rows) == set(games), view
        for game, twin in twins.items():
            assert_rows(rows[game], wanted[view](twin))


SEED = st.integers(0, 11)


@given(event_tables(), recipes(), SEED)
def test_views_of_plain_games(tables, recipe, seed):
    compare(*tables, recipe, seed=seed)


@given(event_tables(customers=8, outcomes=7), recipes(stages=True), SEED)
def test_views_of_staged_games(tables, recipe, seed):
    compare(*tables, recipe, seed=seed)


@given(
    event_tables(columns={"touchpoints": ["country", "interaction"], "outcomes": ["country", "value"]}),
    st.sampled_from([("country",), ("interaction",), ("country", "interaction")]),
    recipes(stages=True),
    SEED,
)
def test_views_of_partitioned_games(tables, by, recipe, seed):
    compare(*tables, {**recipe, "by": by}, seed=seed)


@given(
    event_tables(columns={"touchpoints": ["country", "interaction"], "outcomes": ["value"]}),
    recipes(stages=True),
    SEED,
)
def test_views_of_composed_players(tables, recipe, seed):
    compare(*tables, {**recipe, "player": ("channel", "interaction")}, seed=seed)


@given(event_tables(columns={"outcomes": ["value"]}), recipes(), st.data(), SEED)
def test_views_of_stages_from_a_column(tables, recipe, data, seed):
    touches, outcomes = tables
    for row in touches:
        row["stage"] = data.draw(st.sampled_from(["see", "think", "do"]))
    staged = {**recipe, "stages": ("column", "stage", ("see", "think", "do")), "view": "resolved"}
    compare(touches, outcomes, staged, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_views_of_many_customers(seed):
    touches, outcomes = random_tables(seed, 60, channels=7, country=True)
    stages = [("zeta", "visit", 1), ("alpha", "purchase", 1), ("middle", None, 1)]
    recipe = {"lookback": 20 * 86_400, "max_gap": None, "maturity": 3 * 86_400, "repeats": "keep"}
    extra = [{}, {"by": ("country",)}, {"stages": stages, "view": "advance"}, {"stages": stages, "view": "resolved"}]
    compare(touches, outcomes, recipe | extra[seed], seed=seed + 3)


@st.composite
def path_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    path = st.lists(st.sampled_from("abcd"), max_size=5).map(" > ".join)
    row = st.fixed_dictionaries({"path": path, "conversions": st.integers(0, 4), "nulls": st.integers(0, 4)})
    rows = draw(st.lists(row, min_size=1, max_size=8))
    return [r | {"value": draw(st.sampled_from([-1.0, 0.0, 2.5])) if r["conversions"] else 0.0} for r in rows]


@given(path_rows(), SEED)
def test_views_of_path_tables(rows, seed):
    frame = pl.DataFrame(rows, schema_overrides={"value": pl.Float64})
    journeys = attrib.Journeys.from_paths(frame, conversions="conversions", value="value", nulls="nulls")
    members = []
    for i, row in enumerate(rows):
        players = tuple((name,) for name in row["path"].split(" > ") if name)
        value = Fraction(row["value"])
        status = "converting" if players else "unattributed"
        if row["conversions"]:
            members.append(reference.Journey(i, (), status, (), players, (), row["conversions"], value))
        members += [reference.Journey(i, (), "null", (), players, ())] * (row["nulls"] if players else 0)
    twin = Twin(members, lambda p: p, lambda p: p[0])
    sort, worst = sorted(SORTS)[seed % 4], seed % 3 == 0
    wanted = twin.best(5, sort, worst=worst, min_journeys=1)
    assert_rows(journeys.paths(5, sort, worst=worst).to_dicts(), wanted)
    ends = [{"channel": p[0], **numbers} for p, numbers in sorted(twin.ends().items())]
    assert_rows(journeys.ends().to_dicts(), ends)
    assert_rows(journeys.touches_to_conversion().to_dicts(), twin.touches())
    assert_rows(journeys.to_paths().to_dicts(), twin.path_table())
    known = sorted({p for row in rows for p in row["path"].split(" > ") if p})
    if known:
        some, names = known[:2], ["some", *(["online"] if known[2:] else [])]
        group = {name: "some" if name in some else "online" for name in known}.__getitem__
        switches = twin.switches(lambda p: p[0], group, names)
        assert_rows(journeys.switches({"some": some}).to_dicts(), switches)


METHODS = [attrib.FirstTouch(), attrib.Linear(), attrib.PositionBased(), attrib.Markov(order=2), attrib.Shapley()]


@given(event_tables(columns={"outcomes": ["value"]}), recipes())
def test_credit_survives_the_way_through_a_path_table(tables, recipe):
    journeys = attrib.Journeys.from_events(*to_frames(*tables), target="purchase", **public(recipe))
    table = attrib.credit(journeys, METHODS, intervals=None)
    again = attrib.credit(attrib.Journeys.from_paths(journeys.to_paths(" | "), sep=" | "), METHODS, intervals=None)
    # a player of open journeys only is in no table; names with " > " are taken as they are
    assert again.columns == table.columns
    for row, want in zip(again.to_dicts(), table.to_dicts(), strict=True):
        for key, value in want.items():
            wanted = pytest.approx(value, rel=1e-12, abs=1e-12) if isinstance(value, float) else value
            assert row[key] == wanted, (key, row, want)


def test_threads_and_spilling_change_no_bit(tmp_path):
    data = attrib.synth.generate(customers=3_000, seed=5)
    engines = [
        attrib.LocalEngine(threads=1),
        attrib.LocalEngine(threads=2),
        attrib.LocalEngine(threads=2, memory_limit="200KB", spill=str(tmp_path)),
    ]
    answers = []
    for engine in engines:
        journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes, stages="five", engine=engine)
        group = {"two": journeys.reach()["channel"].unique().sort().to_list()[:2]}
        answers.append(
            [
                journeys.paths(None, "value"),
                journeys.ends(),
                journeys.time_to_conversion(),
                journeys.touches_to_conversion(),
                journeys.reach(),
                journeys.overlap(),
                journeys.mix(group),
                journeys.switches(group),
                journeys.to_paths(),
            ]
        )
    assert math.prod(frame.height for frame in answers[0]) > 0
    for other in answers[1:]:
        for frame, wanted in zip(other, answers[0], strict=True):
            assert frame.equals(wanted)
