"""Names of outcomes that sound like the end of a relation: where they are seen and were not named, people are told."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LEAVING = re.compile(
    r"cancel|churn|unsubscri|terminat|deactivat|uninstall|opt(ed)?[ -]?out|^(quit|left|gone|lapsed?)$|"
    r"(account|contract|subscription|membership)[ -]?(clos|delet|end|expir)|"
    r"(clos|delet|end)(e|ed|ing)?[ -]?(account|contract|subscription|membership)",
    re.IGNORECASE,
)


def looks_like_leaving(names: Sequence[str]) -> list[str]:
    """Those of some names of outcomes that sound like the end of a relation.

    Examples
    --------
    >>> looks_like_leaving(["purchase", "Subscription_Cancelled", "account closed", "leaflet", "unsubscribe"])
    ['Subscription_Cancelled', 'account closed', 'unsubscribe']
    """
    return [name for name in names if _LEAVING.search(name.strip().replace("_", " "))]
