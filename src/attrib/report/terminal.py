"""What `attrib run` and `attrib demo` show at their end: customers, credit, costs, and where every row went."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from rich.console import Console, RenderableType
from rich.text import Text

from attrib.io.manifest import Manifest
from attrib.io.text import clean
from attrib.report.credit import TOP, credit_tables
from attrib.report.spending import spend_tables
from attrib.report.tables import MAX_WIDTH, frame_tables

NARROWEST = 40
FUNNEL = (
    "stage", "entered", "advanced", "skipped", "stalled", "open", "rate", "repeat_advances", "median_time",
    "touches_per_customer",
)  # fmt: skip


def result_parts(
    credit: pl.DataFrame,
    funnel: pl.DataFrame | None,
    spend: pl.DataFrame | None,
    ledger: pl.DataFrame,
    rejected: pl.DataFrame,
    manifest: Manifest,
    files: Sequence[Path],
    width: int = MAX_WIDTH,
    top: int | None = TOP,
) -> Iterator[RenderableType]:
    """Draw all that a person wants to see at the end of a run.

    Parameters
    ----------
    credit, funnel, spend, ledger, rejected, manifest, files
        Those of `attrib.job.Result`.
    width : int
        Of the terminal.
    top : int or None
        Players of each table, the largest; None for all.

    Yields
    ------
    rich renderables
        The funnel, the credit tables and what they mean, what it cost, the ledger, and where the files are.
    """
    if funnel is not None:
        yield from frame_tables(funnel, "customers by stage", FUNNEL, width)
        yield Text()
    yield from credit_tables(credit, manifest, width, top)
    yield Text()
    if spend is not None:
        yield from spend_tables(spend, manifest, width, top)
    for line in (*ledger_lines(ledger), *rejected_lines(rejected)):
        yield Text(line)
    if files:
        names = ", ".join(clean(file.name) for file in files)
        yield Text(f"wrote to {clean(place_of(files[0].parent))}: {names}")


def place_of(folder: Path) -> Path:
    """Name a folder as seen from where the command was started."""
    here = Path.cwd()
    below = folder != here and folder.is_relative_to(here) and here != Path(here.anchor)
    return folder.relative_to(here) if below else folder.absolute()


REASONS = {  # entries of the ledger's table unattributed
    "never_seen": "customer never seen",
    "after_only": "touches only after it",
    "too_old": "touches too old",
    "since_last": "no touch since the last conversion or stage",
}


def ledger_lines(ledger: pl.DataFrame) -> Iterator[str]:
    """Sum up the ledger, a line for each input table, and one for the reasons why outcomes are unattributed.

    Examples
    --------
    >>> ledger = pl.DataFrame({"table": ["outcomes"] * 3, "entry": ["in", "credited", "rejected"], "rows": [5, 5, 0]})
    >>> list(ledger_lines(ledger))
    ['outcomes: 5 in, 5 credited']
    >>> ledger = pl.DataFrame(
    ...     {"table": ["unattributed"] * 3, "entry": ["in", "never_seen", "too_old"], "rows": [5, 5, 0]}
    ... )
    >>> list(ledger_lines(ledger))
    ['why unattributed: 5 customer never seen']
    """
    for (table,), rows in ledger.partition_by("table", maintain_order=True, as_dict=True).items():
        counts = {row["entry"]: row["rows"] for row in rows.to_dicts() if row["rows"]}
        if table == "unattributed":  # no input, but a split of outcomes that are told of above
            counts.pop("in", None)
            if not counts:
                continue
        entries = [f"{count:,} {REASONS.get(entry) or entry.replace('_', ' ')}" for entry, count in counts.items()]
        yield f"{'why unattributed' if table == 'unattributed' else table}: {', '.join(entries) or 'no rows'}"


def rejected_lines(rejected: pl.DataFrame) -> Iterator[str]:
    """Sum up the rejected rows by the rule they broke, a line for each input table that has some.

    Examples
    --------
    >>> rejected = pl.DataFrame({"table": ["outcomes"] * 3, "rule": ["value_missing", "value_empty", "value_missing"]})
    >>> list(rejected_lines(rejected))
    ['rejected outcomes: 2 value missing, 1 value empty']
    """
    counts = rejected.group_by("table", "rule", maintain_order=True).len().sort("len", descending=True)
    for (table,), rows in counts.partition_by("table", maintain_order=True, as_dict=True).items():
        rules = [f"{count:,} {clean(rule, 60).replace('_', ' ')}" for _, rule, count in rows.iter_rows()]
        yield f"rejected {table}: {', '.join(rules)}"


def usable_width(console: Console) -> int:
    """Width to draw for: that of the terminal; where there is none what ``COLUMNS`` says, or 100."""
    if console.is_terminal:
        return console.width
    said = os.environ.get("COLUMNS", "")
    return max(int(said), NARROWEST) if said.isdigit() and int(said) else MAX_WIDTH
