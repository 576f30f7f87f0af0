"""Truth by replay: equal to generating every world anew, and lawful."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import combinations, permutations
from math import factorial

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import attrib
from attrib import synth
from attrib.errors import SpecError
from attrib.synth.mechanisms import Follows, Induces, Observation, Pair
from attrib.synth.scenarios import scenario
from reference_games import shapley

SIZE = 1_500
DAYS = 200
RATES = tuple(tuple(2.0 * x for x in row) for row in synth.Population().organic)
CHANNELS = (
    synth.Channel("display", "impression", (4.0, 1.0, 1.0, 0.2, 0.2), (3.0, 0.5, 0.0, 0.0, 0.0)),
    synth.Channel("direct", "visit", (1.0, 1.0, 2.0, 0.5, 0.5), (0.0, 0.0, 0.0, 0.0, 0.0), intent=0.7),
    synth.Channel("email", "click", (0.2, 0.5, 1.0, 2.0, 2.0), (0.5, 1.0, 2.0, 4.0, 4.0), satisfies=0.5),
    synth.Channel("word_of_mouth", "visit", (0.5, 0.3, 0.2, 0.1, 0.1), (4.0, 3.0, 2.0, 1.0, 0.5)),
)
MARKET = synth.Population(channels=CHANNELS, organic=RATES, recruits=0.4)
MARKETS = {
    "plain": MARKET,
    "no referral touch": replace(MARKET, channels=CHANNELS[:3]),
    "contract": replace(MARKET, channels=CHANNELS[2:], later=synth.Later(refers=0.02, asked=0.6, ask_lift=8.0)),
    "mechanisms": replace(
        MARKET,
        channels=(
            replace(CHANNELS[0], induces=(Induces("direct", 6.0), Induces("email", 2.0, days=3.0)), drift=0.5),
            replace(CHANNELS[1], seen=0.5),
            replace(CHANNELS[2], follows=(Follows("visit", 8.0, days=4.0),), wearout=0.3, carryover=3.0),
        ),
        pairs=(Pair("display", "email", 3.0), Pair("direct", "email", 0.2, ordered=True)),
        wander=0.5,
        months=(0.5, 1.5) * 6,
        week=(1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 3.0),
        observation=Observation(devices=2.0, delay=3.0),
    ),
    "silent": replace(MARKET, channels=CHANNELS[1:3], later=synth.Later(contract=False, refers=0.01)),
}
STAGES = synth.STAGES


def told(name: str, **changes) -> synth.Counterfactual:
    return synth.counterfactual(SIZE, 3, days=DAYS, population=MARKETS[name], **changes)


@cache
def seen(
    population: synth.Population, off: frozenset[str], target: str = "purchase"
) -> dict[str | None, tuple[int, Fraction]]:
    """Conversions and value of a world as journeys have them: of the target (None), of leaving each stage."""
    data = synth.generate(SIZE, 3, days=DAYS, population=population, off=off, observed=False)
    found: dict[str | None, tuple[int, Fraction]] = dict.fromkeys([None, *STAGES], (0, Fraction(0)))
    # A table without rows is an error: somebody is touched once, and that is all of them.
    stranger = pl.DataFrame({"customer_id": -1, "timestamp": synth.generator.START, "channel": "x"})
    touches = pl.concat([stranger, data.touchpoints.select(stranger.columns)], how="vertical_relaxed")
    for stages in (None, "five"):
        journeys = attrib.Journeys.from_events(touches, data.outcomes, target=target, stages=stages)
        table = attrib.Linear().credit(journeys).with_columns(pl.lit(1).alias("all"))
        sums = table.group_by("stage" if stages else "all").agg(pl.col("conversions", "value").sum())
        for row in sums.iter_rows(named=True):
            conversions = round(row["conversions"])
            assert row["conversions"] == pytest.approx(conversions, abs=1e-6)
            found[row.get("stage")] = conversions, Fraction(round(100 * row["value"]), 100)
    return found


def names_of(population: synth.Population) -> list[str]:
    names = [channel.name for channel in population.channels]
    return sorted([*names, "referral", "referral_ask"] if population.later else names)


def world(name: str, on, stage: str | None, which: int, target: str = "purchase") -> Fraction:
    off = frozenset(names_of(MARKETS[name])) - frozenset(on)
    return Fraction(seen(MARKETS[name], off, target)[stage][which])


def column(frame: pl.DataFrame, name: str, key: str = "channel") -> dict[str | None, float]:
    return dict(frame.select(key, name).iter_rows())


# --- equal to generating every world anew -----------------------------------------------------------


@pytest.mark.parametrize("name", MARKETS)
def test_all_numbers_are_those_of_worlds_generated_one_by_one(name):
    found = told(name)
    names = names_of(MARKETS[name])
    games = {None: found.outcome}
    for stage in STAGES:
        frames = (found.advances.removal, found.advances.sets, found.advances.shapley, found.advances.coalitions)
        games[stage] = synth.Increments(*(frame.filter(stage=stage).drop("stage") for frame in frames))
    moved = 0
    for stage, game in games.items():
        for which, number in enumerate(("conversions", "value")):
            alone = {name_: world(name, set(names) - {name_}, stage, which) for name_ in names}
            whole = world(name, names, stage, which)
            assert column(game.removal, number) == pytest.approx({x: float(whole - y) for x, y in alone.items()})
            credit = shapley(names, lambda on, stage=stage, which=which: world(name, on, stage, which))
            expected = {None: world(name, (), stage, which), **credit}
            assert column(game.shapley, number) == pytest.approx({x: float(y) for x, y in expected.items()}, abs=1e-7)
            moved += sum(x != 0 for x in credit.values())
            for mask, size, worth in game.coalitions.select("coalition", "size", number).iter_rows():
                on = [one for i, one in enumerate(names) if mask >> i & 1]
                assert size == len(on)
                assert worth == pytest.approx(float(world(name, on, stage, which)), abs=1e-7)
    assert moved > len(games)


def test_a_shapley_value_is_the_mean_step_over_all_orders():
    names = names_of(MARKET)
    steps = dict.fromkeys(names, Fraction(0))
    for order in permutations(names):
        for i, one in enumerate(order):
            steps[one] += world("plain", order[: i + 1], None, 0) - world("plain", order[:i], None, 0)
    credit = column(told("plain").outcome.shapley.filter(kind="player"), "conversions")
    assert credit == pytest.approx({one: float(step / factorial(len(names))) for one, step in steps.items()})


@pytest.mark.parametrize("target", ["visit", "referral", "cancel"])
def test_other_outcomes_are_counted_too(target):
    name = "contract"
    found = told(name, target=target).outcome
    names = names_of(MARKETS[name])
    whole = world(name, names, None, 0, target)
    assert whole > 0
    lost = {one: float(whole - world(name, set(names) - {one}, None, 0, target)) for one in names}
    assert column(found.removal, "conversions") == lost
    assert found.shapley["conversions"].sum() == pytest.approx(float(whole))
    assert found.shapley["value"].to_list() == [0.0] * (len(names) + 1)


def test_credit_and_baseline_are_the_conversions_that_methods_see():
    market = replace(synth.Population(), channels=synth.CHANNELS[2:])
    data = synth.generate(2_000, 5, population=market)
    found = synth.counterfactual(2_000, 5, population=market)
    plain = attrib.Journeys.from_events(data.touchpoints, data.outcomes)
    staged = attrib.Journeys.from_events(data.touchpoints, data.outcomes, stages="five")
    for journeys, frame, keys in ((plain, found.outcome.shapley, []), (staged, found.advances.shapley, ["stage"])):
        for method in (attrib.LastTouch(), attrib.Markov(1)):
            theirs, ours = method.credit(journeys), frame
            if keys:
                theirs, ours = (one.group_by(keys).agg(pl.col("conversions", "value").sum()).sort(keys)
                                for one in (theirs, ours))  # fmt: skip
            else:
                theirs, ours = (one.select(pl.col("conversions", "value").sum()) for one in (theirs, ours))
            assert_frame_equal(theirs, ours, rel_tol=1e-9)


def test_scenarios_count_what_happens_whether_it_is_seen_or_not():
    steps = {"seed": 4, "scenario": "everything", "days": 90}
    found = synth.counterfactual(300, **steps).outcome
    data = synth.generate(300, observed=False, **steps)
    bought = data.outcomes.filter(outcome="purchase")
    assert found.shapley["conversions"].sum() == pytest.approx(bought.height)
    assert found.shapley["value"].sum() == pytest.approx(bought["value"].sum())
    assert found.removal["channel"].to_list() == names_of(scenario("everything").population)
    lost = (
        bought.height
        - synth.generate(300, observed=False, off=frozenset({"social"}), **steps)
        .outcomes.filter(outcome="purchase")
        .height
    )
    assert column(found.removal, "conversions")["social"] == lost


def test_pairs_of_induced_touches_are_worlds_without_those_touches(monkeypatch):
    market = MARKETS["mechanisms"]
    params = synth.generator.Recipe.params
    found = synth.counterfactual(SIZE, 3, days=DAYS, population=market, players="stage_channel").outcome
    channels = [one.name for one in market.channels]
    for stage, name, conversions in found.removal.select("stage", "channel", "conversions").iter_rows():
        reaches = np.full((3, 5), fill_value=True)
        reaches[channels.index(name), STAGES.index(stage)] = False
        with monkeypatch.context() as patch:
            patch.setattr(
                synth.generator.Recipe, "params", lambda one, reaches=reaches: params(one)._replace(reaches=reaches)
            )
            data = synth.generate(SIZE, 3, days=DAYS, population=market, observed=False)
        whole = world("mechanisms", channels, None, 0)
        assert conversions == whole - data.outcomes.filter(outcome="purchase").height
    assert found.removal.filter(channel="direct")["conversions"].abs().max() > 0  # by way of pairs


def test_pairs_of_stage_and_channel_are_worlds_without_those_touches(monkeypatch):
    market = replace(MARKETS["no referral touch"], channels=CHANNELS[1:3])
    pairs = [(stage, name) for stage in STAGES for name in ("direct", "email")]
    params = synth.generator.Recipe.params

    @cache
    def resolved(off: frozenset[tuple[str, str]]) -> tuple[int, float]:
        reaches = np.array([[(stage, one.name) not in off for stage in STAGES] for one in market.channels])
        with monkeypatch.context() as patch:
            patch.setattr(synth.generator.Recipe, "params", lambda recipe: params(recipe)._replace(reaches=reaches))
            data = synth.generate(SIZE, 3, days=DAYS, population=market)
        bought = data.outcomes.filter(outcome="purchase")
        return bought.height, bought["value"].sum()

    found = synth.counterfactual(
        SIZE, 3, days=DAYS, population=market, players="stage_channel", sets={"email": ["email"], "no": []}
    )
    assert found.advances is None
    assert found.outcome.removal.select("stage", "channel").rows() == pairs
    assert found.outcome.removal.schema["stage"] == pl.Enum(STAGES)
    whole = resolved(frozenset())
    for stage, name, conversions, value in found.outcome.removal.drop("conversions_se", "value_se").iter_rows():
        without = resolved(frozenset({(stage, name)}))
        assert conversions == whole[0] - without[0]
        assert value == pytest.approx(whole[1] - without[1], abs=1e-6)
    assert found.outcome.removal.filter(channel="email")["conversions"].max() > 100
    none = resolved(frozenset(pair for pair in pairs if pair[1] == "email"))
    assert found.outcome.sets["set"].to_list() == ["email", "no"]
    assert found.outcome.sets["conversions"].to_list() == [whole[0] - none[0], 0]
    # `direct` adds nothing, so the game is that of the five stages of email.
    email = frozenset(pair for pair in pairs if pair[1] == "email")
    credit = shapley(sorted(email), lambda on: Fraction(resolved(email - on)[0]))
    for stage, name, conversions in found.outcome.shapley.select("stage", "channel", "conversions").iter_rows():
        if name is not None:
            assert conversions == pytest.approx(float(credit.get((stage, name), 0)), abs=1e-9)


def test_without_a_stage_a_channel_keeps_its_touches_in_the_others(monkeypatch):
    data = synth.generate(SIZE, 3, days=DAYS, population=MARKET)
    params = synth.generator.Recipe.params
    reaches = np.full((4, 5), fill_value=True)
    reaches[1, 1] = False  # direct, consideration
    monkeypatch.setattr(synth.generator.Recipe, "params", lambda recipe: params(recipe)._replace(reaches=reaches))
    replay = synth.generate(SIZE, 3, days=DAYS, population=MARKET)
    assert_frame_equal(replay.outcomes, data.outcomes)
    first = data.outcomes.group_by("customer_id").agg(
        *(pl.col("timestamp").filter(outcome=name).min().alias(name) for name in synth.OUTCOMES)
    )
    later = pl.min_horizontal("intent", "purchase", "referral").fill_null(synth.generator.START.replace(year=9999))
    stage = data.touchpoints.join(first, on="customer_id", how="left", maintain_order="left").select(
        (pl.col("channel") == "direct") & (pl.col("visit") < pl.col("timestamp")) & (pl.col("timestamp") < later)
    )
    gone = stage.to_series().fill_null(value=False)
    assert gone.sum() > 100
    assert_frame_equal(replay.touchpoints, data.touchpoints.filter(~gone))


def test_a_channel_is_all_of_its_stages():
    for name in ("plain", "contract"):
        staged = told(name, players="stage_channel", sets={one: [one] for one in names_of(MARKETS[name])}, exact=6)
        plain = told(name).outcome
        assert staged.sampled > 0
        assert_frame_equal(staged.outcome.sets.rename({"set": "channel"}), plain.removal)
        assert staged.outcome.shapley["conversions"].sum() == pytest.approx(plain.shapley["conversions"].sum())
        assert_frame_equal(staged.outcome.shapley[:1].select("kind", "conversions", "value"),
                           plain.shapley[:1].select("kind", "conversions", "value"))  # fmt: skip
    assert set(staged.outcome.shapley["stage"].drop_nulls()) == set(STAGES[:-1])


# --- laws -------------------------------------------------------------------------------------------


def test_a_null_channel_adds_exactly_nothing():
    for players in ("channel", "stage_channel"):
        for samples in ({"exact": 10}, {"exact": 2}):
            found = told("plain", players=players, **samples)
            for part in (found.outcome, found.advances or found.outcome):
                for frame in (part.removal, part.shapley):
                    numbers = frame.filter(channel="direct").select(pl.selectors.float())
                    assert numbers.height > 0
                    assert numbers.fill_null(0).sum_horizontal().to_list() == [0.0] * numbers.height


def test_shares_add_up_and_the_baseline_has_none():
    found = told("plain")
    assert found.outcome.shapley["share"].sum() == pytest.approx(1)
    assert found.outcome.shapley.filter(kind="baseline")["share"].to_list() == [None]
    assert found.advances.shapley.group_by("stage").agg(pl.col("share").sum())["share"].to_list() == pytest.approx(
        [1.0] * 5
    )
    nothing = synth.counterfactual(300, population=replace(MARKET, channels=CHANNELS[1:2]), target="purchase").outcome
    assert nothing.shapley["share"].to_list() == [None, None]


def test_like_channels_get_like_credit_within_the_errors():
    twins = tuple(replace(CHANNELS[2], name=f"email {i}") for i in range(3))
    shown = synth.counterfactual(8_000, 1, population=replace(MARKET, channels=twins), days=DAYS).outcome.shapley
    shown = shown.filter(kind="player")
    for one, other in combinations(shown.iter_rows(named=True), 2):
        for number in ("conversions", "share"):
            error = (one[f"{number}_se"] ** 2 + other[f"{number}_se"] ** 2) ** 0.5
            assert abs(one[number] - other[number]) < 4 * error
    assert shown["conversions"].min() > 10 * shown["conversions_se"].max()


def test_channels_off_leave_the_game_of_the_others():
    whole, part = told("plain").outcome, told("plain", off={"email", "direct"}).outcome
    names = names_of(MARKET)
    kept = sum(1 << names.index(one) for one in ("display", "word_of_mouth"))
    inside = whole.coalitions.filter(pl.col("coalition") | kept == kept)
    assert part.removal["channel"].to_list() == ["display", "word_of_mouth"]
    assert_frame_equal(inside.select("size", "conversions", "value"), part.coalitions.drop("coalition"))
    without = told("plain", off={"word_of_mouth"})
    assert_frame_equal(without.outcome.coalitions.drop("coalition"),
                       whole.coalitions.filter(pl.col("coalition") < 8).drop("coalition"))  # fmt: skip


def test_sets_and_players_of_several_channels():
    names = names_of(MARKET)
    found = told("plain", sets={"b": ["email", "display"], "a": names, "c": "email"}).outcome
    assert found.sets["set"].to_list() == ["a", "b", "c"]
    worth = dict(found.coalitions.select("coalition", "conversions").iter_rows())
    lost = [worth[15] - worth[0], worth[15] - worth[15 - 2 - 4], worth[15] - worth[15 - 4]]
    assert found.sets["conversions"].to_list() == pytest.approx(lost)
    split = {"late": [("decision", "email"), ["loyalty", "email"]], "wide": ["display", "direct"]}
    grouped = told("plain", players=split, sets={"both": ["late", "wide"]})
    assert grouped.outcome.removal["player"].to_list() == ["late", "wide"]
    assert grouped.outcome.removal["conversions"][1] == pytest.approx(worth[15] - worth[15 - 1 - 2])
    assert grouped.outcome.shapley["conversions"].sum() == pytest.approx(worth[15])
    assert grouped.advances.removal.columns[:2] == ["stage", "player"]
    singles = told("plain", players={name: [name] for name in names})
    assert_frame_equal(singles.outcome.shapley.rename({"player": "channel"}), found.shapley)


# --- sampling and errors ----------------------------------------------------------------------------


def test_sampled_orders_agree_with_all_worlds_within_their_errors():
    exact, sampled = told("plain"), told("plain", exact=0, samples=6)
    assert exact.sampled == 0
    assert sampled.sampled > SIZE / 2
    assert sampled.outcome.coalitions.height == 0
    assert_frame_equal(sampled.outcome.removal, exact.outcome.removal)
    theirs = exact.outcome.shapley.drop("share", "share_se")
    for number in ("conversions", "value"):
        assert (theirs[f"{number}_sampling_se"] == 0).all()
        error = sampled.outcome.shapley[f"{number}_sampling_se"]
        apart = (sampled.outcome.shapley[number] - theirs[number]).abs()
        assert (apart <= 4 * error + 1e-7).all()
        assert (error > 0).sum() == 3  # not the baseline, not direct
        assert sampled.outcome.shapley[number].sum() == pytest.approx(theirs[number].sum())


def test_sampling_errors_are_as_large_as_they_say():
    squares = stated = 0.0
    for seed in range(25):
        exact, shown = (
            synth.counterfactual(400, seed, days=DAYS, population=MARKET, exact=exact, samples=3).outcome.shapley
            for exact in (10, 0)
        )
        squares += ((shown["conversions"] - exact["conversions"]) ** 2).sum()
        stated += (shown["conversions_sampling_se"] ** 2).sum()
    assert 0.65 < squares / stated < 1.5


def test_standard_errors_are_the_spread_of_other_draws_of_customers():
    draws = [synth.counterfactual(400, seed, days=DAYS, population=MARKET) for seed in range(60)]
    for frames in ([d.outcome.removal for d in draws], [d.outcome.shapley for d in draws]):
        table = pl.concat(frames)
        for number in {"conversions", "value", "share"} & set(table.columns):
            by = table.group_by("channel").agg(
                pl.col(number).std().alias("spread"), (pl.col(f"{number}_se") ** 2).mean().sqrt().alias("stated")
            )
            for channel, spread, stated in by.drop_nulls("stated").iter_rows():
                if channel == "direct":
                    assert spread == stated == 0
                elif channel is not None:
                    assert 0.65 < spread / stated < 1.5, (number, channel)


def test_neither_threads_nor_batches_of_threads_matter():
    one, many = (synth.counterfactual(2_500, 2, days=DAYS, population=MARKET, threads=n, exact=3) for n in (1, 3))
    assert one.sampled == many.sampled > 0
    for part in ("outcome", "advances"):
        for frame in ("removal", "sets", "shapley", "coalitions"):
            assert getattr(getattr(one, part), frame).equals(getattr(getattr(many, part), frame))


def test_few_worlds_are_simulated_and_progress_is_told():
    steps = []
    found = synth.counterfactual(2_500, 2, days=DAYS, population=MARKET, progress=lambda *step: steps.append(step))
    assert steps == [("replaying worlds", done, 2_500) for done in (1_000, 2_000, 2_500)]
    assert 2_500 < found.worlds < 8 * 2_500
    assert found.customers == 2_500


def test_nobody_and_one_customer():
    for size in (0, 1):
        found = synth.counterfactual(size, population=MARKET)
        assert found.outcome.removal["conversions_se"].null_count() == 4
        assert found.outcome.coalitions.height == 16
    alone = synth.counterfactual(50, population=MARKET, players={}).outcome
    assert alone.removal.height == 0
    assert alone.shapley["kind"].to_list() == ["baseline"]
    assert alone.coalitions["conversions"].to_list() == alone.shapley["conversions"].to_list()
    assert synth.counterfactual(0, population=MARKET).outcome.shapley["conversions"].to_list() == [0.0] * 5


# --- what is switched, and bad arguments ------------------------------------------------------------


@pytest.mark.parametrize("name", MARKETS)
def test_a_channel_that_is_off_changes_its_exposure_only(name):
    # The replays rest on this: whatever else `off` changes they must switch themselves.
    population = MARKETS[name]
    others = {"word_of_mouth": {"brings"}, "referral": {"brings"}, "referral_ask": {"later"}}

    def same(a, b) -> bool:
        return all(same(x, y) for x, y in zip(a, b, strict=True)) if isinstance(a, tuple) else str(a) == str(b)

    plain = synth.generator.Recipe(population=population).params()
    for channel in names_of(population):
        off = synth.generator.Recipe(population=population, off=frozenset({channel})).params()
        changed = {field for field in plain._fields if not same(getattr(plain, field), getattr(off, field))}
        assert changed - {"exposure"} == others.get(channel, set())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": "sale"}, "target: 'sale'; give one of visit"),
        ({"players": {1: ["email"]}}, "players: 1; give texts"),
        ({"sets": {None: ["email"]}}, "sets: None; give texts"),
        ({"players": "campaign"}, "players: 'campaign'"),
        ({"players": {"a": ["tv"]}}, "players: 'tv'; give channels among display"),
        ({"players": {"a": [("early", "email")]}}, "players: .'early', 'email'"),
        ({"players": {"a": ["email"], "b": [("loyalty", "email")]}}, "without a channel and stage in common"),
        ({"players": {"a": ["email"]}, "off": {"email"}}, "players: 'email'"),
        ({"sets": {"x": ["tv"]}}, r"sets\['x'\]: 'tv'; give players among direct"),
        ({"sets": {"x": ["email"]}, "off": {"email"}}, r"sets\['x'\]: 'email'"),
        ({"off": {"tv"}}, "off is"),
        ({"exact": 15}, "exact = 15"),
        ({"samples": 1}, "samples = 1"),
        ({"threads": 0}, "threads is 0"),
        ({"customers": -1}, "customers is -1"),
        ({"days": 0}, "days is 0"),
    ],
)
def test_bad_arguments_are_named(changes, words):
    with pytest.raises(SpecError, match=words) as caught:
        synth.counterfactual(**{"customers": 5, "population": MARKET, **changes})
    assert caught.value.key == "bad_argument"


def test_pairs_after_the_first_purchase_are_those_of_loyalty():
    with pytest.raises(SpecError, match="'advocacy', 'email'"):
        told("contract", players={"a": [("advocacy", "email")]})
