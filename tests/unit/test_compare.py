"""Methods side by side; periods and segments against each other."""

import warnings
from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.stats import spearmanr

import attrib
from attrib import intervals
from attrib.diagnostics.finding import FindingWarning
from attrib.errors import AttribWarning, ResourceError, SpecError
from attrib.intervals import Resampling
from attrib.methods.base import cells_of
from reference_intervals import bounds
from stories import tell
from strategies import random_tables, to_frames

METHODS = {
    "linear": attrib.Linear(), "last": attrib.LastTouch(), "rate": attrib.Shapley(worth="rate"),
    "chain": attrib.Markov(),
}  # fmt: skip
MODEL = attrib.StageModel([("zeta", attrib.Milestone("visit")), ("alpha", attrib.Milestone("purchase"))])
RECIPES = {
    "plain": {},
    "by": {"by": ["country"]},
    "composed": {"player": ["channel", "interaction"]},
    "advance": {"stages": MODEL, "by": "country"},
    "resolved": {"stages": MODEL, "view": "resolved"},
}
pytestmark = pytest.mark.filterwarnings("ignore:.*refunds:attrib.AttribWarning")


def paths(rows):
    """(path, conversions, nulls) by row."""
    columns = ("path", "total_conversions", "total_null")
    return attrib.Journeys.from_paths(pl.DataFrame(rows, schema=columns, orient="row"))


def many(recipe=None, seed=5, people=None, **engine):
    frames = to_frames(*random_tables(seed, 120, country=True))
    if people:
        frames = [frame.with_columns(pl.col("customer_id").replace_strict(people)) for frame in frames]
    return attrib.Journeys.from_events(*frames, engine=attrib.LocalEngine(**engine), **(recipe or {}))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_tables_are_those_of_the_credit(recipe):
    journeys = many(recipe)
    found = attrib.compare(journeys, METHODS, intervals=None)
    credit = attrib.credit(journeys, METHODS, intervals=None).filter(kind="player")
    keys = credit.columns[: credit.columns.index("kind")]
    wide = credit.pivot("method", index=keys, values="share", maintain_order=True)
    assert found.table.columns == [*keys, *METHODS, "spread"]
    assert found.table.drop("spread").equals(wide)
    shares = wide.select(list(METHODS))
    assert found.table["spread"].to_list() == pytest.approx(
        (shares.max_horizontal() - shares.min_horizontal()).to_list()
    )
    game = [c for c in keys if c == "country" or (c == "stage" and recipe.get("view") != "resolved")]
    assert found.agreement.columns == [*game, "method", "other", "rank_correlation", "distance"]
    seen = set()
    for row in found.agreement.to_dicts():
        rows = wide.filter(*(pl.col(c).eq_missing(pl.lit(row[c])) for c in game))
        one, other = rows[row["method"]].to_numpy(), rows[row["other"]].to_numpy()
        seen.add((*(row[c] for c in game), row["method"], row["other"]))
        assert row["distance"] == pytest.approx(np.abs(one - other).sum() / 2, abs=1e-12)
        if len(one) < 2 or np.ptp(one.round(12)) == 0 or np.ptp(other.round(12)) == 0:
            assert row["rank_correlation"] is None
        else:
            assert row["rank_correlation"] == pytest.approx(spearmanr(one.round(12), other.round(12)).statistic)
    assert len(seen) == len(found.agreement) == 6 * (wide.select(game).unique().height if game else 1)
    gaps = found.disagreements
    assert gaps.columns == [*keys, "method", "other", "share", "share_other", "share_difference"]
    assert len(gaps) == 6 * len(wide)
    sizes = gaps["share_difference"].abs().round(12)
    assert sizes.equals(sizes.sort(descending=True))
    for row in gaps.to_dicts():
        [there] = wide.filter(*(pl.col(c).eq_missing(pl.lit(row[c])) for c in keys)).to_dicts()
        assert (row["share"], row["share_other"]) == (there[row["method"]], there[row["other"]])
        assert row["share_difference"] == row["share"] - row["share_other"]
    assert found.differences is None


def test_methods_that_agree_and_methods_that_do_not():
    found = attrib.compare(paths([("a > b > c", 6, 2)]), [attrib.FirstTouch(), attrib.LastTouch()], intervals=None)
    assert found.agreement.rows() == [("first_touch", "last_touch", pytest.approx(-0.5), 1.0)]
    same = attrib.compare(paths([("a", 3, 1), ("b", 1, 0)]), [attrib.FirstTouch(), attrib.LastTouch()], replicates=9)
    assert same.agreement.rows() == [("first_touch", "last_touch", pytest.approx(1.0), 0.0)]
    # all methods see the same draws: no noise where they cannot differ
    assert (
        same.disagreements.select("share_difference", "share_difference_low", "share_difference_high").rows()
        == [(0, 0, 0)] * 2
    )


def shares(journeys, methods, replicates, seed):
    """Shares of every replicate by hand: credit and totals of weighed tallies."""
    tallies = journeys.tallies(tuple(need for m in methods for need in m._needs()), units=True)
    cells = cells_of(tallies)

    def solve(draw):
        from attrib.methods.base import totals_by_game

        whole = sum(totals_by_game(tallies, name, draw) for name in ("conversions", "unattributed"))
        return [m._solve(tallies, cells, draw).conversions / whole[:, cells.game] for m in methods]

    return Resampling(replicates=replicates, seed=seed).draws(tallies, solve)


def test_intervals_of_disagreements_are_those_of_the_differences():
    methods = [attrib.Linear(), attrib.Shapley(worth="rate")]
    for journeys in (many({"by": "country"}), paths([("a > b", 5, 9), ("b", 4, 1), ("a", 2, 2), ("", 1, 0)])):
        found = attrib.compare(journeys, methods, intervals=0.8, replicates=60, seed=3).disagreements
        one, other = shares(journeys, methods, 60, 3)
        rows = attrib.credit(journeys, methods[0], intervals=None).filter(kind="player")
        keys = rows.columns[: rows.columns.index("kind")]
        low, high = (pl.Series(side) for side in bounds(one - other, 0.8))
        wanted = rows.select(keys).with_columns(low=low, high=high)
        both = found.join(wanted, on=keys, how="left", nulls_equal=True)
        assert both["share_difference_low"].to_list() == pytest.approx(both["low"].to_list(), abs=1e-12)
        assert both["share_difference_high"].to_list() == pytest.approx(both["high"].to_list(), abs=1e-12)
        assert (both["share_difference_low"] < both["share_difference_high"]).any()


def test_intervals_against_others_are_those_of_the_differences():
    one, other = many(seed=5), many(seed=6)
    found = attrib.compare(one, attrib.Linear(), against=other, intervals=0.8, replicates=60, seed=3).differences
    [here], [there] = (shares(side, [attrib.Linear()], 60, 3) for side in (one, other))
    low, high = bounds(here - there, 0.8)
    assert found["share_difference_low"].to_list() == pytest.approx(low)
    assert found["share_difference_high"].to_list() == pytest.approx(high)


@pytest.mark.parametrize("slow", [False, True])
def test_the_same_journeys_differ_by_nothing(slow):
    methods = METHODS | ({"drawn": attrib.Shapley(worth="rate", samples=5)} if slow else {})
    for recipe in ({"by": "country"}, {}):
        found = attrib.compare(many(recipe), methods, against=many(recipe), replicates=20).differences
        numbers = found.select(pl.col("^.*difference.*$"))
        assert numbers.width == 6
        assert numbers.select(pl.all().abs().max()).row(0) == (0.0,) * 6
        assert found["share"].equals(found["share_other"], check_names=False)


def test_intervals_of_independent_sides_are_wider():
    strangers = {f"c{i}": f"stranger {i}" for i in range(120)}
    same, other = (
        attrib.compare(many(), METHODS, against=side, replicates=100).differences
        for side in (many(), many(people=strangers))
    )
    assert other["share_difference"].abs().max() == 0
    width = other["share_difference_high"] - other["share_difference_low"]
    assert width.min() > 0.005
    assert (same["share_difference_high"] - same["share_difference_low"]).max() == 0
    # what stays is two independent draws: about √2 times the interval of a share
    alone = attrib.credit(many(), METHODS, replicates=100).filter(kind="player")
    ratio = width.mean() / (alone["share_high"] - alone["share_low"]).mean()
    assert 1.2 < ratio < 1.65


def test_two_path_tables_are_drawn_apart():
    table = [("a > b", 5, 9), ("b", 4, 1), ("a", 2, 2)]
    found = attrib.compare(paths(table), attrib.Linear(), against=paths(table), replicates=50).differences
    assert found["share_difference"].to_list() == [0.0, 0.0]
    assert (found["share_difference_high"] - found["share_difference_low"]).min() > 0.1


def test_a_player_of_one_side_has_0_on_the_other():
    found = attrib.compare(
        paths([("a", 3, 0), ("b", 1, 0)]), attrib.Linear(), against=paths([("", 1, 0), ("c > b", 2, 1)]), replicates=9
    ).differences
    assert found.select("channel", "share", "share_other", "conversions", "conversions_other").rows() == [
        ("a", 0.75, 0.0, 3.0, 0.0), ("b", 0.25, pytest.approx(1 / 3), 1.0, 1.0), ("c", 0.0, pytest.approx(1 / 3), 0, 1),
    ]  # fmt: skip
    for number in ("share", "conversions"):
        assert (found[f"{number}_difference_low"] <= found[f"{number}_difference"]).all()
        assert (found[f"{number}_difference"] <= found[f"{number}_difference_high"]).all()


def test_differences_are_in_the_order_of_the_credit_table():
    recipe = {"stages": MODEL, "by": "country"}
    journeys = many(recipe)
    found = attrib.compare(journeys, METHODS, against=journeys, intervals=None).differences
    credit = attrib.credit(journeys, METHODS, intervals=None).filter(kind="player")
    keys = [*credit.columns[: credit.columns.index("kind")], "method"]
    assert found.columns == [
        *keys, "share", "share_other", "share_difference", "conversions", "conversions_other", "conversions_difference",
    ]  # fmt: skip
    assert found.select(*keys, "share", "conversions").equals(credit.select(*keys, "share", "conversions"))


DAY = date(2025, 1, 1)
COLUMNS = {
    "text": (["x", "y"], "x", "y"), "null": (["x", None], None, "x"), "numbers": ([3, 4], 4, 3),
    "truth": ([True, False], False, True), "dates": ([DAY, DAY.replace(day=2)], DAY.replace(day=2), DAY),
}  # fmt: skip


@pytest.mark.parametrize("kind", COLUMNS)
def test_segments_differ_as_their_own_journeys_do(kind):
    cells, value, other = COLUMNS[kind]
    touches, orders = to_frames(*random_tables(4, 100))
    segment = dict(zip((f"c{i}" for i in range(100)), cells * 50, strict=True))
    kinds = pl.Series(cells).dtype
    touches, orders = (
        f.with_columns(segment=pl.col("customer_id").replace_strict(segment, return_dtype=kinds))
        for f in (touches, orders)
    )
    whole = attrib.Journeys.from_events(touches, orders, by="segment")
    found = attrib.compare(whole, METHODS, between=("segment", value, other), replicates=10).differences
    sides = [
        attrib.Journeys.from_events(*(f.filter(pl.col("segment").eq_missing(pl.lit(v))) for f in (touches, orders)))
        for v in (value, other)
    ]
    wanted = attrib.compare(sides[0], METHODS, against=sides[1], replicates=10).differences
    assert found.columns == wanted.columns
    assert_frame_equal(found, wanted, rel_tol=1e-9, abs_tol=1e-12)


def test_stages_can_be_compared():
    found = attrib.compare(many({"stages": MODEL}), METHODS, between=("stage", "zeta", "alpha"), intervals=None)
    assert "stage" not in found.differences.columns
    assert found.differences["channel"].n_unique() == 6


def both_sides(**more):
    return {"against": paths([("a", 1, 0)]), "between": ("stage", "a", "b")} | more


WRONG = {
    "two comparisons at once": ({}, both_sides()),
    "no column of the games": ({}, {"between": ("channel", "a", "b")}),
    "a column only": ({"by": "country"}, {"between": ("country", "de")}),
    "text": ({"by": "country"}, {"between": "abc"}),
    "a value that never occurs": ({"by": "country"}, {"between": ("country", "de", "at")}),
    "null that never occurs": ({"by": "country"}, {"between": ("country", None, "de")}),
    "a value of another type": ({"by": "country"}, {"between": ("country", "de", 5)}),
    "a list": ({"by": "country"}, {"between": ("country", ["de"], "fr")}),
    "a stage that is none": ({"stages": MODEL}, {"between": ("stage", "zeta", "beta")}),
    "other by columns": ({"by": "country"}, {"against": paths([("a", 1, 0)])}),
    "other stages": (
        {"stages": MODEL},
        {"against": many({"stages": attrib.StageModel([("all", attrib.Milestone("purchase"))])})},
    ),
    "another view": ({"stages": MODEL}, {"against": many()}),
}


@pytest.mark.parametrize("case", WRONG)
def test_sides_that_do_not_fit_are_refused(case):
    recipe, arguments = WRONG[case]
    with pytest.raises(SpecError) as caught:
        attrib.compare(many(recipe), attrib.Linear(), intervals=None, **arguments)
    assert caught.value.key == "bad_comparison"


def test_arguments_are_checked():
    journeys = paths([("a", 1, 0)])
    for arguments in ({"intervals": 3}, {"replicates": 1}, {"seed": "x"}, {"against": pl.DataFrame()}):
        with pytest.raises(SpecError):
            attrib.compare(journeys, attrib.Linear(), **arguments)
    for methods in ([], [attrib.Linear(), attrib.Linear()], "linear", [attrib.Linear]):
        with pytest.raises(SpecError):
            attrib.compare(journeys, methods)
    with pytest.raises(SpecError, match="is a DataFrame"):
        attrib.compare(pl.DataFrame(), attrib.Linear())


@pytest.mark.parametrize("level", [None, 0.9])
def test_one_method_agrees_with_nobody(level):
    found = attrib.compare(paths([("a > b", 1, 0)]), attrib.Linear(), intervals=level, replicates=3)
    assert found.table.rows() == [("a", 0.5, 0.0), ("b", 0.5, 0.0)]
    assert found.agreement.is_empty()
    assert found.disagreements.is_empty()
    two = attrib.compare(paths([("a > b", 1, 0)]), [attrib.Linear(), attrib.LastTouch()], intervals=level, replicates=3)
    assert found.agreement.schema == two.agreement.schema
    assert found.disagreements.schema == two.disagreements.schema


def test_games_without_conversions_have_no_shares():
    touches, orders = to_frames(
        [
            {"customer_id": c, "timestamp": 1, "channel": ch}
            for c, ch in (("x", "a"), ("x", "b"), ("y", "a"), ("y", "b"))
        ],
        [{"customer_id": "x", "timestamp": 2, "outcome": "purchase"}],
    )
    touches = touches.with_columns(country=pl.col("customer_id").replace_strict({"x": "de", "y": "fr"}))
    journeys = attrib.Journeys.from_events(touches, orders, by="country")
    found = attrib.compare(
        journeys, [attrib.Linear(), attrib.LastTouch()], between=("country", "fr", "de"), replicates=5
    )
    nothing = found.table.filter(country="fr")
    assert nothing.select("linear", "last_touch", "spread").rows() == [(None, None, None)] * 2
    assert found.agreement.filter(country="fr").select("rank_correlation", "distance").rows() == [(None, None)]
    last = found.disagreements.tail(2)
    assert last["country"].to_list() == ["fr", "fr"]
    assert (
        last.select("share_difference", "share_difference_low", "share_difference_high").rows()
        == [(None, None, None)] * 2
    )
    assert found.differences.filter(channel="a", method="linear").select(
        "share", "share_other", "share_difference", "conversions", "conversions_difference"
    ).rows() == [(None, 0.5, None, 0.0, -0.5)]


def test_without_players_all_tables_are_empty():
    found = attrib.compare(paths([("", 2, 0)]), METHODS, replicates=3, against=paths([("a", 1, 1)]))
    assert found.table.is_empty()
    assert found.agreement.is_empty()
    assert found.disagreements.is_empty()
    assert found.differences["conversions_difference"].to_list() == [-1.0] * 4


NAMES = [
    ["channel", "share of channel"], ["share of channel", "channel"], ["spread", "__order"], ["method", "other"],
    ["kind", "share of spread"],
]  # fmt: skip


@pytest.mark.parametrize("names", NAMES, ids=" and ".join)
def test_methods_may_be_called_like_columns(names):
    methods = dict(zip(names, (attrib.FirstTouch(), attrib.LastTouch()), strict=True))
    found = attrib.compare(paths([("a > b", 1, 0)]), methods, replicates=3, against=paths([("a", 1, 0)]))
    assert found.table.width == 4
    assert [set(row[1:]) for row in found.table.rows()] == [{1.0, 0.0}] * 2
    assert found.agreement.select("method", "other").rows() == [tuple(names)]
    assert set(found.differences["method"]) == set(names)


@pytest.mark.parametrize("name", ["spread", "other", "share_difference", "share_other", "conversions_difference_low"])
def test_columns_called_like_those_of_the_answer_keep_their_place(name):
    touches, orders = to_frames(*random_tables(2, 20))
    touches = touches.with_columns(pl.col("interaction").alias(name), kind_of=pl.col("interaction"))
    for role, before in (("by", []), ("player", ["channel"])):
        odd, plain = (
            attrib.compare(journeys, METHODS, against=journeys, replicates=3)
            for column in (name, "kind_of")
            for journeys in [attrib.Journeys.from_events(touches, orders, **{role: [*before, column]})]
        )
        for table in ("table", "agreement", "disagreements", "differences"):
            found, wanted = getattr(odd, table), getattr(plain, table)
            assert found.equals(wanted.rename({"kind_of": f"{role}_{name}"}, strict=False))
    segments = [
        attrib.compare(
            attrib.Journeys.from_events(touches, orders, by=column), METHODS, intervals=None,
            between=(column, "click", "impression"),
        ).differences
        for column in (name, "kind_of")
    ]  # fmt: skip
    assert segments[0].equals(segments[1])


def test_replicates_that_do_not_fit_are_an_error(monkeypatch):
    monkeypatch.setattr(intervals, "LARGEST", 19)
    journeys = paths([("a > b", 1, 0)])
    with pytest.raises(ResourceError, match="compare fewer methods") as caught:
        attrib.compare(journeys, attrib.Linear(), replicates=10)
    assert caught.value.key == "too_many_rows"
    assert attrib.compare(journeys, attrib.Linear(), replicates=9).table.height == 2


def test_readers_are_warned_as_by_credit():
    crowd = paths([(f"p{i} > p{i + 1}", 1, 1) for i in range(25)])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        attrib.compare(
            crowd, [attrib.Linear(), attrib.Shapley(worth="rate")], against=paths([("p1", 1, 0)]), replicates=3
        )
    assert [w.category for w in seen] == [AttribWarning, FindingWarning]
    assert "more than 24 players are sampled" in str(seen[0].message)
    assert str(seen[1].message).endswith("[no_nulls]")  # of the other side, where everybody converts


def test_customers_of_both_periods_are_drawn_together():
    before = tell("ann 1a | 2purchase\nbob 1b | 2purchase\ncid 1a | 2purchase")
    after = tell("ann 1a | 2purchase\nbob 1b | 2purchase\ncid 1b | 2purchase")
    found = attrib.compare(after, attrib.Linear(), against=before, replicates=200, intervals=0.5).differences
    # only cid changed: the difference is the weight of one customer, never that of two
    assert found["conversions_difference"].to_list() == [-1.0, 1.0]
    assert found.filter(channel="b")["conversions_difference_low"].item() >= 0


def test_a_game_that_one_side_lacks_has_no_share_there():
    touches = pl.DataFrame({
        "customer_id": [1, 2], "timestamp": [date(2025, 1, 1)] * 2, "channel": ["ad", "ad"], "country": ["de", "fr"],
    })  # fmt: skip
    orders = pl.DataFrame({"customer_id": [1, 2], "timestamp": [date(2025, 1, 2)] * 2, "outcome": ["purchase"] * 2})

    def journeys(*customers):
        some = (frame.filter(pl.col("customer_id").is_in(customers)) for frame in (touches, orders))
        return attrib.Journeys.from_events(*some, by="country")

    found = attrib.compare(journeys(1, 2), attrib.Linear(), against=journeys(1), replicates=5).differences
    shown = found.select("country", "share", "share_other", "share_difference", "conversions", "conversions_other")
    assert shown.rows() == [("de", 1.0, 1.0, 0.0, 1.0, 1.0), ("fr", 1.0, None, None, 1.0, 0.0)]


def test_a_segment_is_not_compared_with_itself():
    with pytest.raises(SpecError, match="compares 'de' with itself"):
        attrib.compare(tell("ann 1a | 2purchase"), attrib.Linear(), between=("country", "de", "de"))


def test_a_method_without_credit_leaves_the_spread_of_the_others():
    found = attrib.compare(
        paths([("a > b", 1, 1), ("a", 2, 0), ("b", 2, 0)]),
        [attrib.FirstTouch(), attrib.LastTouch(), attrib.Markov(removal="renormalise")],
        intervals=None,
    ).table
    assert found["markov(order=1, removal=renormalise)"].null_count() == 2
    assert found["spread"].to_list() == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_players_are_compared_in_pairs(recipe):
    """Every pair of players of a game once, the larger share first, with the numbers of the credit table."""
    journeys = many(recipe)
    found = attrib.compare(journeys, METHODS, intervals=None, players=True).players
    credit = attrib.credit(journeys, METHODS, intervals=None).filter(kind="player")
    keys = credit.columns[: credit.columns.index("kind")]
    players = [name for name in keys if name in ("channel", "interaction") or (name == "stage" and "view" in recipe)]
    games = [name for name in keys if name not in players]
    wanted = set()
    for group in credit.partition_by([*games, "method"]):
        rows = group.to_dicts()
        for i, a in enumerate(rows):
            for b in rows[i + 1 :]:
                if a["share"] is None:
                    continue
                one, other = (a, b) if a["share"] >= b["share"] else (b, a)
                names = tuple(one[k] for k in games), *(tuple(row[k] for k in players) for row in (one, other))
                tie = a["share"] == b["share"]
                difference = (
                    round(one["share"] - other["share"], 9),
                    round(one["conversions"] - other["conversions"], 9),
                )
                pair = tuple(sorted(names[1:], key=str)) if tie else names[1:]
                wanted.add((one["method"], names[0], *pair, *difference))
    shown = set()
    for row in found.filter(pl.col("share").is_not_null()).to_dicts():
        names = [tuple(row[f"{start}{k}"] for k in players) for start in ("", "other_")]
        pair = tuple(sorted(names, key=str)) if row["share"] == row["share_other"] else tuple(names)
        difference = round(row["share_difference"], 9), round(row["conversions_difference"], 9)
        shown.add((row["method"], tuple(row[k] for k in games), *pair, *difference))
    assert shown == wanted
    assert found["share_difference"].drop_nulls().min() >= 0


def test_intervals_of_players_are_those_of_the_differences():
    journeys = many()
    found = attrib.compare(journeys, METHODS["linear"], players=True, intervals=0.8, replicates=50, seed=4).players
    drawn = shares(journeys, [METHODS["linear"]], 50, 4)[0]
    names = attrib.credit(journeys, METHODS["linear"], intervals=None).filter(kind="player")["channel"].to_list()
    for row in found.to_dicts():
        difference = drawn[:, names.index(row["channel"])] - drawn[:, names.index(row["other_channel"])]
        low, high = (side.item() for side in bounds(difference, 0.8))
        assert (row["share_difference_low"], row["share_difference_high"]) == pytest.approx((low, high))
