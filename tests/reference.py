"""The slow, obvious twin: every number of docs/semantics.md, written down as the text says it.

Plain Python and exact fractions, one solve per removed player, one sum per coalition. Nothing here
shares code or ideas with the package, so that agreement means something. Never optimise it; keep
its inputs small (Markov of order 3 and coalitions of more than 12 players take seconds).

Event tables are lists of dicts, as *accepted* by the checks of the input: a row that the package
would reject does not belong here. Timestamps are integers (durations then are numbers of the same
unit), datetimes or dates (durations then are timedeltas). Values become fractions.
"""

from reference_credit import (
    RULES,
    Credit,
    chain_worth,
    credit_rule,
    markov,
    players_of,
    rules,
    shapley,
    shapley_conversions,
    shapley_conversions_closed,
    solve,
    table,
    unattributed,
)
from reference_events import Row
from reference_journeys import ENTRIES, Built, Journey, build, build_paths
from reference_stages import kaplan_meier, stage_at, walk

__all__ = [
    "ENTRIES",
    "RULES",
    "Built",
    "Credit",
    "Journey",
    "Row",
    "build",
    "build_paths",
    "chain_worth",
    "credit_rule",
    "kaplan_meier",
    "markov",
    "players_of",
    "rules",
    "shapley",
    "shapley_conversions",
    "shapley_conversions_closed",
    "solve",
    "stage_at",
    "table",
    "unattributed",
    "walk",
]
