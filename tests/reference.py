"""The slow, obvious twin: every number of docs/semantics.md, written down as the text says it.

Plain Python and exact fractions, one solve per removed player, one sum per coalition. Nothing here
shares code or ideas with the package, so that agreement means something. Never optimise it; keep
its inputs small (Markov of order 3 and coalitions of more than 12 players take seconds).

Event tables are lists of dicts, as *accepted* by the checks of the input: a row that the package
would reject does not belong here. Timestamps are integers (durations then are numbers of the same
unit), datetimes or dates (durations then are timedeltas). Values become fractions.
"""

from reference_chains import Mark, chain_worth, markov, remove_players, remove_sequence, solve, transitions
from reference_credit import RULES, credit_rule, journey_credit, rules, table, unattributed
from reference_events import Row
from reference_games import (
    Credit,
    interaction,
    interactions,
    neutral_interactions,
    positions,
    shapley,
    shapley_conversions,
    shapley_conversions_closed,
    shapley_credit,
)
from reference_journeys import ENTRIES, Built, Journey, build, build_paths, players_of
from reference_orders import held_out, in_sample, out_of_sample, witten_bell
from reference_stages import kaplan_meier, stage_at, walk
from reference_views import lengths, paths, reach, times_to_conversion

__all__ = [
    "ENTRIES",
    "RULES",
    "Built",
    "Credit",
    "Journey",
    "Mark",
    "Row",
    "build",
    "build_paths",
    "chain_worth",
    "credit_rule",
    "held_out",
    "in_sample",
    "interaction",
    "interactions",
    "journey_credit",
    "kaplan_meier",
    "lengths",
    "markov",
    "neutral_interactions",
    "out_of_sample",
    "paths",
    "players_of",
    "positions",
    "reach",
    "remove_players",
    "remove_sequence",
    "rules",
    "shapley",
    "shapley_conversions",
    "shapley_conversions_closed",
    "shapley_credit",
    "solve",
    "stage_at",
    "table",
    "times_to_conversion",
    "transitions",
    "unattributed",
    "walk",
    "witten_bell",
]
