"""What became of every row of both tables, and what a reader of the results should know about them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attrib.engines.base import Fates, Ledger, Recipe
from attrib.engines.findings import findings_of
from attrib.io import checks, days
from attrib.io.flags import all_flagged, runs_flagged, unreadable_flags
from attrib.io.times import told
from attrib.kernels.codes import NETTED, REASONS, REFUNDED, UNMATCHED
from attrib.refunds import Account, likely_refunds, only_negative, told_if_kept
from attrib.stages import StageModel
from attrib.tally import Tally, carry, to_float

if TYPE_CHECKING:
    from attrib.engines.events import EventReader


def counted(recipe: Recipe) -> tuple[str, ...]:
    """Outcomes that end journeys."""
    if isinstance(recipe.stages, StageModel) and recipe.view == "advance":
        return recipe.stages.outcomes
    return (recipe.target,) if recipe.target else ()


def ledger_of(reader: EventReader, fates: Fates, totals: Tally) -> Ledger:
    """Account for every row of both tables."""
    t, o = reader.touches, reader.outcomes
    unattributed = int(totals.counts("unattributed_rows").sum())
    unattributed_value = math.fsum(totals.column("unattributed_value"))
    carry(fates.outcomes[:, 1:])
    carry(fates.reasons[:, 2:])
    value = to_float(fates.outcomes[:, 1:], reader.exponent)
    outcomes, touches = fates.outcomes[:, 0], fates.touches
    entries: dict[tuple[str, str], tuple[int, float | None]] = {
        ("touchpoints", "in"): (t.rows, None),
        ("touchpoints", "used"): (int(touches[0]), None),
        ("touchpoints", "outside_window"): (int(touches[1]), None),
        **({("touchpoints", "not_preferred"): (int(touches[3]), None)} if reader.recipe.prefer else {}),
        **({("touchpoints", "over_cap"): (int(touches[4]), None)} if reader.recipe.max_touches else {}),
        ("touchpoints", "open"): (int(touches[2]), None),
        ("touchpoints", "rejected"): (t.rejected_rows, None),
        ("touchpoints", "duplicate"): (fates.duplicates, None),
        ("outcomes", "in"): (o.rows, math.fsum(o.value_in) if o.types.has_value else float(o.rows)),
        ("outcomes", "credited"): (int(outcomes[0]) - unattributed, float(value[0]) - unattributed_value),
        ("outcomes", "unattributed"): (unattributed, unattributed_value),
        ("outcomes", "without_effect"): (int(outcomes[1]), float(value[1])),
        ("outcomes", "other_outcome"): (int(outcomes[2]), float(value[2])),
        **_refund_entries(reader, outcomes, value),
        ("outcomes", "rejected"): (
            o.rejected_rows, math.fsum(o.value_rejected) if o.types.has_value else float(o.rejected_rows)
        ),
        ("outcomes", "duplicate"): (fates.repeated, math.fsum(fates.repeated_values)),
    }  # fmt: skip
    credited = int(fates.outcomes[0, 0]) - unattributed
    return Ledger(
        entries,
        tuple(_warnings(reader, fates, credited, value)),
        checks.join_rejected([*t.rejected, *o.rejected]),
        {
            reason: (int(rows), int(conversions), float(to_float(words[None], reader.exponent)[0]))
            for reason, (rows, conversions, *_), words in zip(REASONS, fates.reasons, fates.reasons[:, 2:], strict=True)
        },
        {"times": days.facts(reader.day_rule, reader.recipe.day_of_outcome, o.dating), "ties": fates.ties.facts()},
        findings_of(reader, fates.seen, totals, credited=credited > 0),
    )


def _refund_entries(reader: EventReader, rows: Any, value: Any) -> dict[tuple[str, str], tuple[int, float | None]]:
    if not reader.outcomes.negative or not reader.recipe.refunding.net:
        return {}
    fates = (("refunded", REFUNDED), ("netted_refund", NETTED), ("unmatched_refund", UNMATCHED))
    return {("outcomes", entry): (int(rows[fate]), float(value[fate])) for entry, fate in fates}


def _refund_warnings(reader: EventReader, fates: Fates, value: Any) -> Iterator[str]:
    o, refunding = reader.outcomes, reader.recipe.refunding
    lonely: list[str] = []
    if o.negative and not refunding.net:
        yield told_if_kept(o.negative)
    elif fates.refunds.any():
        account = Account.of(fates.refunds, float(value[REFUNDED]), float(value[UNMATCHED]))
        yield account.told(count_refunded=refunding.count_refunded, with_ids=o.layout.order >= 0)
        lonely = only_negative(o.signs.by_outcome(o.kinds))
    model = reader.recipe.stages
    used = [*counted(reader.recipe), *(model.outcomes if isinstance(model, StageModel) else ())]
    if (likely := likely_refunds(*o.names_and_valued(), used, lonely)) is not None:
        yield likely


def _warnings(reader: EventReader, fates: Fates, credited: int, value: Any) -> Iterator[str]:
    t, o = reader.touches, reader.outcomes
    yield from reader.recipe.notes
    yield from _refund_warnings(reader, fates, value)
    reasons = dict(zip(REASONS, (int(rows) for rows in fates.reasons[:, 0]), strict=True))
    late = reasons["after_only"], int(fates.outcomes[0, 0])
    zone = o.types.day_zone or (o.types.zone if o.types.times == "date" else None)
    yield from days.told(reader.day_rule, reader.recipe.day_of_outcome, o.dating, t.dating, late, zone)
    nothing_open = "the data end with the latest of them: nothing counts as open"
    at_the_end = f" ({nothing_open})" if reader.recipe.maturity else ""
    for table in (t, o):
        yield from told(table.source.name, table.spread, table.earliest, table.latest, reader.ticks, at_the_end)
    sequenced = t.layout.sequence >= 0
    if t.only_dates and t.dating.rows:
        kept = "equal rows are kept, and " if reader.recipe.duplicates == "drop" else ""
        order = "by sequence, then by name" if sequenced else "by name"
        yield f"touchpoints carry dates without a time of day: {kept}a day is ordered {order}"
    if fates.ties.matter or (t.only_dates and fates.ties.journeys):
        yield fates.ties.told(reader.ticks, sequenced=sequenced)
    if fates.duplicates:
        still = (
            "; flagged ones among them remain outcomes, which only an event_id tells apart"
            if reader.recipe.inline
            else ""
        )
        yield f"{fates.duplicates:,} duplicate touchpoints were dropped{still}"
    if reader.recipe.inline:
        several, every, near, runs, repeats, rows = fates.flagged.tolist()
        on_all = list(all_flagged(reader.recipe.inline.flag, several, every, o.rows))
        yield from on_all or runs_flagged(reader.recipe.inline.flag, near, runs, repeats, rows)
        yield from unreadable_flags(reader.recipe.inline.flag, o.rejected, o.rows, reader.recipe.max_rejects)
    for outcome in reader.names.absent:
        occurring = [str(v) for v in reader.outcomes.kinds.dictionaries[0].values[1:]]  # type: ignore[index]
        near = difflib.get_close_matches(outcome, occurring, n=1)
        yield f"milestone {outcome!r} never occurs in outcomes" + (f"; did you mean {near[0]!r}?" if near else "")
    yield from _interaction_warnings(reader)
    if fates.outcomes[0, 0] and not credited:
        yield _none_credited(int(fates.outcomes[0, 0]), reasons)
    if fates.repeated:
        yield f"{fates.repeated:,} outcomes with a repeated event_id were dropped"


_WHY_NONE = {
    "never_seen": ("are of customers without any touch", "do both tables name customers alike?"),
    "after_only": (
        "are of customers whose touches all come after them",
        "are the times of both tables of one time zone, and is that of an outcome no date, rounded down?",
    ),
    "too_old": (
        "have touches before them, all of them longer ago than the lookback",
        "are both tables of one time? Else give a longer lookback",
    ),
    "since_last": (
        "have touches in the lookback, all of them before the last conversion or the entry into their stage",
        'after_conversion = "keep" lets touches serve later conversions',
    ),
}


def _none_credited(conversions: int, reasons: dict[str, int]) -> str:
    """Say why no conversion has a touch, by what holds for most of them."""
    largest = max(reasons, key=lambda reason: reasons[reason])
    what, hint = _WHY_NONE[largest]
    return (
        f"none of {conversions:,} conversions has a touch before it in its window; "
        f"{reasons[largest]:,} of them {what}: {hint}"
    )


def _interaction_warnings(reader: EventReader) -> Iterator[str]:
    rejected = (part["rule"] == "interaction_without_lookback" for part in reader.touches.rejected)
    unlisted = sum(int(broken.sum()) for broken in rejected)
    if unlisted:
        yield (
            f"{unlisted:,} touchpoints were rejected: lookback does not list their interaction; "
            "add it, or '*' for all others"
        )
    for argument, interaction, near in reader.names.absent_interactions():
        meant = f"; did you mean {near[0]!r}?" if near else ""
        yield f"{argument}: the interaction {interaction!r} never occurs in touchpoints{meant}"
