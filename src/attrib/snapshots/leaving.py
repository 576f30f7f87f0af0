"""Which outcomes say that a customer has left, where nobody named them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from attrib.errors import warn
from attrib.io.text import clean
from attrib.snapshots.asked import Wish
from attrib.snapshots.events import DONE, TOUCH, Events

# words of leaving, in the languages of common exports; a word may have any ending: cancel, cancelled, cancellation
_LEAVES = re.compile(
    r"(?<![a-z])(?:un|de)?(?:cancel|churn|unsubscri|terminat|deactivat|deregist|unregist|uninstall|closed|closing|closure"
    r"|close|opt(?:ed)?[ -]?out|k(?:ü|u|ue)ndig|gek(?:ü|u|ue)ndigt|abgemeldet|abmeldung|widerruf|r[eé]sili"
    r"|d[eé]sabonn|d[eé]sinscri|disdett|disiscri|recess[io]|opgezegd|opzeg|rezygnac|wypowiedz|upps[aä]g)"
    r"|^(?:отмена|отписка|отказ|расторжение|解約|退会|解约|注销|해지)"
    r"|(?:account|contract|subscription|membership)[ -]?(?:delet|end|expir)"
    r"|(?:delet|end)(?:e|ed|ing)?[ -]?(?:account|contract|subscription|membership)"
    r"|(?<![a-z])(?:(?:non|not)[ -]?renew|storn|abbestell|annulation|opzeg|attrit|port(?:ed)?[ -]?out|deceased)"
    r"|^(?:quit|left|leave|leaving|gone|lapsed?|expired?|expiry|stopped|ended|died|baja)$"
)
# what is cancelled or closed is an order, a visit, a sale or a ticket, and not the relation with the customer
_STAYS = re.compile(
    r"order|booking|appointment|reservation|meeting|delivery|shipment|payment|cart|checkout|event|flight|trip|ticket"
    r"|case|issue|chat|deal|won|lost|sale|win_?back|prevent|saved|undo|uncancel|un_cancel|reactivat|survey|form|popup"
    r"|modal|window|tab|banner|view|page|flow|attempt|offer|call"
)
_SHOWN = 5


def says_gone(name: str) -> bool:
    """Whether an outcome is named like the end of the relation with a customer.

    Examples
    --------
    >>> [
    ...     name
    ...     for name in ("cancel", "Subscription cancelled", "order_cancelled", "closed_won", "purchase")
    ...     if says_gone(name)
    ... ]
    ['cancel', 'Subscription cancelled']
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()  # accountClosed
    words = re.sub(r"[_.:/]+", " ", text).strip()  # also customer.subscription.deleted
    return _LEAVES.search(words) is not None and _STAYS.search(text) is None


def looks_like_leaving(names: Sequence[str]) -> list[str]:
    """Those of some names of outcomes that sound like the end of a relation.

    Examples
    --------
    >>> looks_like_leaving(["purchase", "Subscription_Cancelled", "account closed", "leaflet", "Kuendigung"])
    ['Subscription_Cancelled', 'account closed', 'Kuendigung']
    """
    return [name for name in names if says_gone(name)]


def settled(events: Events, wish: Wish) -> Wish:
    """Say after which outcomes customers are gone: where only silence is asked for, those whose names say so."""
    if wish.cancelled is not None or wish.kind != "silent":
        return wish
    spared = {wish.outcome, *wish.purchases}
    found = tuple(name for name in events.names if name not in spared and says_gone(name))
    if found:
        rows = events.outcomes.filter(pl.col(DONE).cast(pl.String).is_in(list(found))).height
        warn(
            f"{rows:,} rows of {spelt(found)} are taken for customers who leave: who has left is not asked whether "
            f"they will fall silent; cancelled={_as_list(found)} says that this is meant, cancelled=[] that these "
            "customers are still there"
        )
    _tell_of_touches(events)
    return replace(wish, cancelled=found, gone=(*wish.gone, *found))


def _tell_of_touches(events: Events) -> None:
    """Warn of touches whose channels are named like leaving: as touches they take nobody out."""
    names = looks_like_leaving(sorted(events.touches[TOUCH].unique().cast(pl.String).drop_nulls().to_list()))
    if names:
        rows = events.touches.filter(pl.col(TOUCH).cast(pl.String).is_in(names)).height
        warn(
            f"{rows:,} touchpoints of {spelt(names)} sound like customers who leave, and are asked whether they will "
            "fall silent all the same: give these rows as outcomes and name them in cancelled, if they mean that"
        )


def spelt(names: Sequence[str]) -> str:
    """Spell the first few names, safely: they come from data."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(clean(name, 60)) for name in names[:_SHOWN]) + more


def _as_list(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{clean(name, 60)}"' for name in names) + "]"
