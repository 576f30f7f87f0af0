"""A finding: something true about the data that changes how the results are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from attrib.errors import AttribWarning, warn

# Every key with what it says, in the order of docs/warnings.md (a test compares the two).
KEYS = {
    "near_names": "one column has names that differ by nothing but their spelling",
    "near_target": "other outcomes are spelled nearly like one that ends journeys",
    "near_keys": "names given for the data nearly match names in the data",
    "placeholder_customers": "customers bear names that stand for nobody",
    "near_customers": "customers of outcomes are spelled nearly like customers of touches",
    "unmet_links": "links name ids that are in neither table",
    "unread_columns": "columns are not read, and look as if they should be",
    "customers_without_touch": "many customers with outcomes have no touch at all",
    "days_without_events": "days are empty that should not be",
    "outcomes_outside_touches": "outcomes lie before the first touch or after the last",
    "empty_stages": "nobody was seen in a stage",
    "no_nulls": "a method compares with journeys that failed, and there are none",
    "paths_without_effect": "rows of a path table count neither a conversion nor a null",
    "path_states": "states such as start, conversion and null stand in paths as channels",
    "equal_outcomes": "outcome rows are equal in all that is read, and have no id",
    "equal_rows": "rows of a table beside the events are equal in everything",
    "shared_event_id": "one event_id stands with several customers",
    "shared_order_id": "one order_id stands with several customers",
    "repeated_order_id": "one order_id stands in several rows",
    "one_customer": "one customer makes most of the events",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in a table, how often, and what to do.

    ``key``: one of :data:`KEYS`; ``count`` of ``of`` (None where there is no whole) rows, names, customers or days;
    ``examples``: a few, harmless to show.

    Examples
    --------
    >>> found = Finding("no_nulls", "paths", "there are no nulls", "load them", 0)
    >>> found.text
    'there are no nulls; load them [no_nulls]'
    """

    key: str
    table: str
    message: str
    hint: str
    count: int
    of: int | None = None
    examples: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The finding as a warning says it."""
        return f"{self.message}; {self.hint} [{self.key}]"

    def as_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


class FindingWarning(AttribWarning):
    """A warning that carries its :class:`Finding` as ``finding``."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


def tell(finding: Finding) -> None:
    """Warn of a finding, at the line of whoever called the package."""
    warn(FindingWarning(finding))


def not_ignored(findings: Iterable[Finding], ignore: Iterable[str]) -> list[Finding]:
    """Findings without those whose key is to be ignored, each once."""
    unwanted = set(ignore)
    return list(dict.fromkeys(finding for finding in findings if finding.key not in unwanted))
