"""The one table of methods for the tests: a row for every variant, the laws, and which variant breaks which.

A new method needs a row here: its twin, the laws that it breaks (each with its counter-example, a test of
tests/property/test_counter_examples.py) and those that say nothing about it. All other laws are taken to hold: the
tests of the laws try every variant at once on drawn data. docs/laws.md is written from this table by
``pytest tests/docs --overwrite-goldens``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import attrib

SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Law:
    """A law: its name here, the head of its column, what it says in a sentence, and where its condition is needed.

    ``provisos`` are counter-examples to the law without the condition that its sentence names.
    """

    name: str
    title: str
    text: str
    provisos: tuple[str, ...] = ()


LAWS: dict[str, tuple[Law, ...]] = {
    "How credit is shared out": (
        Law("conversions", "all conversions", "Credit adds up to the conversions: no more, no less."),
        Law("value", "all value", "The credited value adds up to the value of the conversions, refunds included."),
        Law("not_negative", "never negative", "Without refunds no channel gets less than nothing."),
        Law("null_player", "nothing for nothing", "A channel that is on no converting journey gets nothing."),
        Law(
            "renaming",
            "names do not matter",
            "If channels change their names, each keeps its credit (`direct` renamed too): for events without ties, or "
            "with a `sequence` that orders them.",
            ("test_at_a_tie_the_name_decides",),
        ),
        Law("copies", "copies multiply", "If every customer is there k times, every channel gets k times the credit."),
        Law(
            "additive",
            "groups add up",
            "The credit from two groups of customers, added up, is the credit from both together.",
        ),
    ),
    "What matters about a journey": (
        Law("order_free", "order does not matter", "The same touches in another order give the same credit."),
        Law("runs", "runs do not matter", "Several touches of one channel in a row count as one."),
        Law(
            "one_stage",
            "one stage is none",
            "A stage model with a single stage gives the credit that there is without stages.",
        ),
        Law("resolved", "stages add up", "Credit by stage, for one final outcome, adds up to all conversions."),
        Law("time", "clocks do not matter", "All times shifted, or stated in another zone: the same credit."),
    ),
    "Chains": (
        Law("probability", "converts as the data", "The fitted chain converts at exactly the rate of the journeys."),
        Law("effect_bounds", "effects from 0 to 1", "Without a channel the chain never loses less than nothing."),
        Law(
            "presence",
            "effect is presence",
            "On journeys no longer than the order, a channel's effect is the share of conversions that have it on "
            "their journey.",
            ("test_a_low_order_takes_paths_that_nobody_took",),
        ),
    ),
    "The computation": (
        Law("definition", "exact", "The fast computation gives the number of the definition, to nine digits."),
        Law(
            "routes",
            "the way does not matter",
            "Threads, batches, files, the order of rows, data beyond the memory: the same credit to the last bit.",
        ),
    ),
}  # fmt: skip
ALL_LAWS = tuple(law for group in LAWS.values() for law in group)

# Counter-examples
CANCEL = "test_effects_that_cancel_share_out_nothing"
REFUNDS = "test_refunds_can_leave_a_chain_no_value_to_share"
BETTER_WITHOUT = "test_a_channel_that_others_do_better_without"
DETOUR = "test_the_chain_earns_for_a_channel_that_never_converts"
TOGETHER = "test_two_groups_share_otherwise_together"
JOINED = "test_a_chain_joins_the_journeys_of_two_groups"
ROTATED = "test_places_in_a_journey_weigh"
BEFORE = "test_before_the_others_is_not_behind_them"
LENGTH = "test_a_run_is_several_touches"
MEMORY = "test_a_run_fills_the_memory_of_the_chain"
REPLACED = "test_others_take_the_place_of_a_channel"
ESTIMATE = "test_sampled_orders_are_an_estimate"
WORSE_TOGETHER = "test_a_channel_may_weigh_on_those_beside_it"
RATES = "test_rates_are_those_of_all_groups"
BAGS = "test_bags_are_drawn"
UNLIKELY = "test_a_channel_that_lowers_the_odds"
FADING = "test_the_nearer_touch_gets_more"
OFTEN = "test_each_touch_adds_to_the_hazard"
FITTED = "test_two_groups_have_one_strength"
NEARLY = "test_the_search_ends_near_the_maximum"
REPLAYED = "test_lives_are_drawn_again"
BROUGHT = "test_a_channel_that_brings_another"
AWAY = "test_a_channel_may_lead_away"
TIMED = "test_the_time_of_each_touch_tells"
STEPS = "test_other_outcomes_are_steps"

CHAIN_LAWS = ("probability", "effect_bounds", "presence")


@dataclass(frozen=True)
class Variant:
    """A method with parameters that fit drawn data, whose times are a few seconds apart.

    ``twin``: name and parameters for ``reference.table``, None where the answer is an estimate. ``breaks``: laws that
    it breaks, with the counter-example; ``beside``: laws that do not apply. ``needs_times``: no credit from paths.
    ``in_one_game``: no credit where ``by`` cuts histories into several.
    """

    name: str
    shown: str
    method: attrib.methods.Method
    twin: tuple[str, dict[str, Any]] | None
    breaks: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    needs_times: bool = False
    in_one_game: bool = False

    def says(self, law: str) -> str:
        """Whether it keeps a law: "yes", "no: <counter-example>" or "–"."""
        if law in self.breaks:
            return f"no: {self.breaks[law]}"
        return "–" if law in self.beside else "yes"


rule = partial(Variant, beside=CHAIN_LAWS)
by_place = partial(rule, breaks={"order_free": ROTATED})  # who sees where a touch stands, but not runs
by_touch = partial(rule, breaks={"order_free": ROTATED, "runs": LENGTH})
TABLE = {m: [1 + (3 * i) % 5 for i in range(m)] for m in range(1, 20)}  # 1; 1, 4; 1, 4, 2; …
SHORT_TABLE = {1: [1], 2: [2, 1], 3: [1, 2, 1]}
FILLED_TABLE = {m: [1] * m for m in range(1, 20)} | SHORT_TABLE


def nearness(positions: Any, ages: Any) -> Any:
    """Weights of a function: the later and the nearer the more; ages in days."""
    return positions / (1 + ages * SECONDS_A_DAY)


def twin_of_nearness(positions: Any, ages: Any) -> Any:
    """The same with ages in seconds."""
    return [position / (1 + age) for position, age in zip(positions, ages, strict=True)]


def chain(order: int) -> Variant:
    breaks = {"value": REFUNDS, "null_player": DETOUR, "additive": TOGETHER, "order_free": BEFORE}
    return Variant(
        f"markov{order}",
        f"`markov`, order {order}",
        attrib.Markov(order=order),
        ("markov", {"order": order}),
        breaks if order == 1 else breaks | {"runs": MEMORY},
    )


def renormalising(order: int) -> Variant:
    breaks = {
        "conversions": CANCEL, "value": REFUNDS, "not_negative": BETTER_WITHOUT, "null_player": BETTER_WITHOUT,
        "additive": TOGETHER, "order_free": BEFORE, "resolved": CANCEL, "effect_bounds": BETTER_WITHOUT,
        "presence": REPLACED,
    }  # fmt: skip
    return Variant(
        f"renormalise{order}",
        f"`markov`, order {order}, `renormalise`",
        attrib.Markov(order=order, removal="renormalise"),
        ("markov", {"order": order, "removal": "renormalise"}),
        breaks if order == 1 else breaks | {"runs": MEMORY},
    )


SAMPLED = {"renaming": ESTIMATE, "definition": ESTIMATE}
RATE = {"not_negative": BETTER_WITHOUT, "null_player": BETTER_WITHOUT, "additive": TOGETHER}
REACHED = {"null_player": DETOUR, "additive": JOINED, "order_free": BEFORE}
NO_EFFECTS = ("effect_bounds", "presence")

VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        by_place("first", "`first_touch`", attrib.FirstTouch(), ("first_touch", {})),
        by_place("last", "`last_touch`", attrib.LastTouch(), ("last_touch", {})),
        by_place(
            "non_direct",
            "`last_non_direct`",
            attrib.LastNonDirect(direct=("direct", "a")),
            ("last_non_direct", {"direct": ("direct", "a")}),
        ),
        rule("linear", "`linear`", attrib.Linear(), ("linear", {}), {"runs": LENGTH}),
        by_touch(
            "position",
            "`position_based`",
            attrib.PositionBased(first=0.5, last=0.25),
            ("position_based", {"first": 0.5, "last": 0.25}),
        ),
        by_touch(
            "ends",
            "`position_based`, nothing for the ends",
            attrib.PositionBased(first=0.0, last=0.0),
            ("position_based", {"first": 0, "last": 0}),
        ),
        by_touch(
            "decay",
            "`time_decay`",
            attrib.TimeDecay(half_life="3s"),
            ("time_decay", {"half_life": 3}),
            needs_times=True,
        ),
        by_touch(
            "table",
            "`custom_weights`, a table",
            attrib.CustomWeights(TABLE),
            ("custom_weights", {"weights": TABLE}),
        ),
        by_touch(
            "short_table",
            "`custom_weights`, a short table and `otherwise`",
            attrib.CustomWeights(SHORT_TABLE, otherwise="linear"),
            ("custom_weights", {"weights": FILLED_TABLE}),
        ),
        by_touch(
            "function",
            "`custom_weights`, a function",
            attrib.CustomWeights(nearness),
            ("custom_weights", {"weights": twin_of_nearness}),
            needs_times=True,
        ),
        chain(1),
        chain(2),
        chain(3),
        renormalising(1),
        renormalising(2),
        rule("shapley", "`shapley`", attrib.Shapley(), ("shapley", {})),
        rule("rate_game", "`shapley`, `rate`", attrib.Shapley(worth="rate"), ("shapley", {"worth": "rate"}), RATE),
        Variant(
            "chain_game",
            "`shapley`, `markov`",
            attrib.Shapley(worth="markov"),
            ("shapley", {"worth": "markov"}),
            REACHED,
            NO_EFFECTS,
        ),
        # an odd number of orders, so that no two players can come first equally often
        rule(
            "rate_game_sampled",
            "`shapley`, `rate`, sampled",
            attrib.Shapley(worth="rate", samples=25, seed=1),
            None,
            RATE | SAMPLED,
        ),
        Variant(
            "chain_game_sampled",
            "`shapley`, `markov`, sampled",
            attrib.Shapley(worth="markov", samples=25, seed=1),
            None,
            REACHED | SAMPLED,
            NO_EFFECTS,
        ),
        rule(
            "shao_li",
            "`shao_li`",
            attrib.ShaoLi(),
            ("shao_li", {}),
            {"not_negative": WORSE_TOGETHER, "additive": RATES},
        ),
        rule(
            "logistic",
            "`bagged_logistic`",
            attrib.BaggedLogistic(bags=5, seed=1),
            None,
            {
                "not_negative": UNLIKELY,
                "null_player": UNLIKELY,
                "renaming": BAGS,
                "copies": BAGS,
                "additive": BAGS,
                "definition": BAGS,
            },
        ),
        rule(
            "hazard",
            "`additive_hazard`",
            attrib.AdditiveHazard(lag=("1s", "60s"), steps=300),
            None,
            {"additive": FITTED, "order_free": FADING, "runs": OFTEN, "definition": NEARLY},
            needs_times=True,
        ),
        rule(
            "hazard_baseline",
            "`additive_hazard`, a baseline",
            attrib.AdditiveHazard(lag=("1s", "60s"), baseline=True, steps=300),
            None,
            {"additive": FITTED, "order_free": FADING, "runs": OFTEN, "definition": NEARLY},
            needs_times=True,
        ),
        rule(
            "incremental",
            "`incremental`",
            attrib.Incremental(types=2, moods=1, decays="3s", penalty=0.0, tolerance=0.1, permutations=2),
            None,
            {
                "not_negative": AWAY,
                "null_player": BROUGHT,
                "renaming": REPLAYED,
                "copies": REPLAYED,
                "additive": REPLAYED,
                "order_free": TIMED,
                "runs": TIMED,
                "one_stage": STEPS,
                "definition": REPLAYED,
            },
            needs_times=True,
            in_one_game=True,
        ),
    )
}


def methods(*, times: bool = True, parted: bool = False) -> dict[str, Any]:
    """All variants; without ``times`` those that path tables can answer, ``parted`` those that ``by`` allows."""
    return {
        name: row.method
        for name, row in VARIANTS.items()
        if (times or not row.needs_times) and not (parted and row.in_one_game)
    }


def keeping(law: str, *, times: bool = True, parted: bool = False) -> dict[str, Any]:
    """The variants that keep a law, for ``attrib.credit``."""
    known = [one.name for one in ALL_LAWS]
    assert law in known, f"{law} is none of {known}"
    some = methods(times=times, parted=parted)
    return {name: method for name, method in some.items() if VARIANTS[name].says(law) == "yes"}


def refuted_by(test: str) -> list[str]:
    """Names of the variants whose counter-example to some law is this test."""
    return [name for name, row in VARIANTS.items() if test in row.breaks.values()]
