"""The slow twin: credit that flows back along referrals, customer by customer and by recursion."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from reference_credit import rules
from reference_events import Row, accept, drop_outcomes, outcome_order, stand
from reference_games import spread
from reference_journeys import Built, Game, Journey, Player, build

Key = tuple[Game, Player | None]  # None: unattributed


@dataclass
class Customer:
    """How somebody was won, and by whom."""

    name: Any
    journey: Journey | None = None
    value: Fraction = Fraction(0)
    known: bool = True  # who has nothing but refunds, and rows that they refund, is no customer (1)
    claim: Any = None
    referrer: Customer | None = None
    reason: str | None = None

    @property
    def time(self) -> Any:
        """Instant of the first target outcome."""
        return None if self.journey is None else self.journey.conversion_time


def _claims(touches: list[Row], outcomes: list[Row], by: Collection[str], duplicates: str) -> dict[Any, Any]:
    """The referrer on each customer's first row that has one."""

    def order(row: Row) -> Any:
        event, referrer = row.get("event_id"), row.get("referrer_id")
        return (*outcome_order(row, sorted(by)), event is None, event or "", referrer is None, str(referrer))

    _, valued = accept(touches, stand(touches, outcomes))
    found: dict[Any, Any] = {}
    ordered = sorted(valued, key=order)
    for row in drop_outcomes(ordered) if duplicates == "drop" else ordered:
        if row.get("referrer_id") is not None:
            found.setdefault(row["customer_id"], row["referrer_id"])
    return found


def _in_circle(start: Any, claims: Mapping[Any, Any]) -> bool:
    seen, at = [], claims.get(start)
    while at is not None and at not in seen:
        if at == start:
            return True
        seen.append(at)
        at = claims.get(at)
    return False


def people(
    built: Built, touches: list[Row], outcomes: list[Row], values: Mapping[Any, Any] | None, duplicates: str
) -> dict[Any, Customer]:
    """All customers, with their acquisition journey, their value and whoever referred them."""
    text = any(isinstance(row["customer_id"], str) for row in (*touches, *outcomes))
    names = {str(row["customer_id"]) if text else row["customer_id"] for row in (*touches, *outcomes)}
    everyone = {name: Customer(name, known=name in built.customers) for name in names}
    won = [journey for journey in built.journeys if journey.conversions]
    for journey in sorted(won, key=lambda journey: journey.conversion_time, reverse=True):
        everyone[journey.customer].journey = journey
        everyone[journey.customer].value += journey.value
    for name, value in (values or {}).items():
        if name in everyone and everyone[name].known:
            everyone[name].value = Fraction(value)
    claims = _claims(touches, outcomes, built.by, duplicates)
    followed = {who: whom for who, whom in claims.items() if {who, whom} <= built.customers}
    for name, claim in claims.items():
        who = everyone[name]
        referrer = everyone.get(claim)
        who.claim = claim
        if referrer is who:
            who.reason = "self_referral"
        elif referrer is None or not referrer.known:
            who.reason = "unknown_referrer"
        elif who.journey is None:
            who.reason = "not_acquired"
        elif referrer.journey is None:
            who.reason = "referrer_not_acquired"
        elif who.time > referrer.time:
            who.referrer = referrer
        else:
            who.reason = "cycle" if _in_circle(name, followed) else "before_referrer"
    return everyone


def _split(journey: Journey | None, rule: str, params: Mapping[str, Any]) -> list[tuple[Player, Any, Fraction]]:
    """Player, channel and weight of every touch."""
    if journey is None or not journey.touches:
        return []
    weights = spread(journey) if rule == "shapley" else rules(journey, rule, **params)
    channels = [touch["channel"] for touch in journey.touches]
    return list(zip(journey.players, channels, weights, strict=True))


def adjusted(
    touches: list[Row],
    outcomes: list[Row],
    rule: str,
    *,
    pass_on: Any,
    channels: Collection[str],
    values: Mapping[Any, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    **recipe: Any,
) -> tuple[dict[Key, Fraction], dict[Key, Fraction], Counter[str]]:
    """Direct credit and referral-adjusted credit by game and player, and how many claims failed for which reason."""
    built = build(touches, outcomes, **recipe)
    everyone = people(built, touches, outcomes, values, recipe.get("duplicates", "drop"))
    part = Fraction(pass_on)

    def share(who: Customer) -> Fraction:
        split = _split(who.journey, rule, params or {})
        return sum((weight for _, channel, weight in split if channel in channels), Fraction(0))

    def total(who: Customer) -> Fraction:
        referred = [other for other in everyone.values() if other.referrer is who]
        return who.value + sum((part * share(other) * total(other) for other in referred), Fraction(0))

    direct: dict[Key, Fraction] = defaultdict(Fraction)
    found: dict[Key, Fraction] = defaultdict(Fraction)
    for who in filter(lambda who: who.known, everyone.values()):
        split = _split(who.journey, rule, params or {})
        game = who.journey.game if who.journey else (None,) * len(built.by)
        worth = total(who)
        if not split:
            direct[game, None] += who.value
            found[game, None] += worth
        for player, channel, weight in split:
            passed = part if who.referrer is not None and channel in channels else 0
            direct[game, player] += weight * who.value
            found[game, player] += (1 - passed) * weight * worth
    reasons = Counter(who.reason for who in everyone.values() if who.reason)
    return dict(direct), dict(found), reasons
