"""Findings on who is who: customers of one table spelled otherwise in the other, and links that meet nobody."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from attrib.diagnostics.cells import first_cells
from attrib.diagnostics.columns import unread
from attrib.diagnostics.customers import NUMBERS, is_placeholder
from attrib.diagnostics.finding import Finding
from attrib.diagnostics.names import MOST_SHOWN, shown, some
from attrib.diagnostics.roles import CHANCE, SINCE
from attrib.io.identities import ID, OTHER, Identities
from attrib.io.sources import Source
from attrib.schemas import CUSTOMER, OUTCOME

MOST_ROWS = 1_000_000  # of a table: of more, reading the ids a second time would take too long
MOST_NEAR = 10_000  # pairs that are held
OWN_SPELLING = 0.01  # share of ids that differ from another in case and blanks only: then these tell customers apart
LEAST_NEAR = 3  # pairs, where strangers are many
FEW_LINKS = 3  # of a number, before it is thought to stand for nobody
HALF = 0.5
OF_LINKS = {
    SINCE: (
        "links join all events of both ids, whenever they were",
        "leave out links that do not hold for all of them",
    ),
    CHANCE: ("all links join alike", "leave out links that are not sure enough"),
}


def spelling_of(column: str) -> pl.Expr:
    """Expression: equal for ids that differ in case, blanks, the form of Unicode, leading zeros, .0, or hyphens.

    Examples
    --------
    >>> ids = pl.DataFrame({"id": ["1001 ", "01001", "1001.0", "Anna@X.de", "anna@x.de"]})
    >>> ids.select(spelling_of("id")).to_series().to_list()
    ['1001', '1001', '1001', 'anna@x.de', 'anna@x.de']
    """
    text = pl.col(column).cast(pl.String).str.normalize("NFKC").str.replace_all(r"[\p{Cf}\p{Cc}]", "")
    text = text.str.strip_chars().str.strip_chars("\"'").str.to_lowercase()
    text = text.str.replace(r"^(\d+)\.0+$", "$1").str.replace(r"^0+(\d+)$", "$1")
    return pl.when(text.str.len_bytes() >= 20).then(text.str.replace_all("[-{}]", "")).otherwise(text)


def near_customers(touches: Source, outcomes: Source, counted: tuple[str, ...]) -> Finding | None:
    """Find customers with outcomes and no touch whose id is that of one with touches, but for its spelling.

    Parameters
    ----------
    touches, outcomes : Source
        Both tables, their ids compared as texts.
    counted : tuple of str
        Outcomes that end journeys.
    """
    ids = pl.col(CUSTOMER).cast(pl.String)
    rows = outcomes.frame.filter(pl.col(OUTCOME).cast(pl.String).is_in(list(counted)))
    buyers = outcomes.collect(rows.select(ids.alias("id")).unique()).drop_nulls()
    touched = touches.collect(touches.frame.select(ids.alias("other")).unique()).drop_nulls()
    strangers = buyers.join(touched, left_on="id", right_on="other", how="anti")
    if not strangers.height:
        return None
    strangers = strangers.with_columns(spelling_of("id").alias("key")).filter(pl.col("key") != "")
    touched = touched.with_columns(spelling_of("other").alias("key"))
    if touched.height - touched["key"].n_unique() >= max(2.0, OWN_SPELLING * touched.height):
        return None
    pairs = strangers.join(touched, on="key").sort("id", "other").unique("id", keep="first", maintain_order=True)
    by_chance = min(LEAST_NEAR, strangers.height / 10)  # of short ids, some are alike but for case
    if not pairs.height or pairs.height < by_chance:
        return None
    listed = [
        f"{shown(one)} for {shown(other)}" for one, other in pairs.select("id", "other").head(MOST_NEAR).iter_rows()
    ]
    return Finding(
        "near_customers", "outcomes",
        f"{pairs.height:,} of {strangers.height:,} customers with outcomes and no touch are spelled nearly like one "
        f"with touches: {some(listed)}",
        "ids are compared as they stand: write them alike in both tables (blanks, case, leading zeros, .0)",
        pairs.height, strangers.height, tuple(listed[:MOST_SHOWN]),
    )  # fmt: skip


def links(identities: Identities, *tables: Source) -> Iterator[Finding]:
    """Find what is odd about links: columns that are not read, ids that stand for nobody, ids that meet no event.

    Parameters
    ----------
    identities : Identities
        The links.
    *tables : Source
        The tables that they joined.
    """
    yield from unread("identities", identities.source.schema, (ID, OTHER), OF_LINKS, first_cells(identities.source))
    pairs = identities.pairs
    if pairs is None or not pairs.height:
        return
    both = pl.concat([pairs.select(pl.col(ID), other=OTHER), pairs.select(pl.col(OTHER).alias(ID), other=ID)]).unique()
    partners = dict(both.group_by(ID).len().iter_rows())
    yield from _placeholders(partners, pairs)
    known = pl.DataFrame({"id": list(partners)}, schema={"id": pl.String})
    met = set()
    events: list[pl.LazyFrame] = []
    for table in tables:
        frame = (table.frame if table.unjoined is None else table.unjoined).select(
            pl.col(CUSTOMER).cast(pl.String).alias("event")
        )
        found = table.collect(frame.join(known.lazy(), left_on="event", right_on="id", how="semi").unique())
        met |= set(found["event"].to_list())
        events.append(frame)
    yield from _unmet(known.filter(~pl.col("id").is_in(list(met))), pairs, met, tables, events)


def _placeholders(partners: dict[str, int], pairs: pl.DataFrame) -> Iterator[Finding]:
    found = {name: n for name, n in partners.items() if is_placeholder(name) or (name in NUMBERS and n >= FEW_LINKS)}
    if found:
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        listed = [f"{shown(name)} (linked with {n:,})" for name, n in ordered]
        count = pairs.filter(pl.col(ID).is_in(list(found)) | pl.col(OTHER).is_in(list(found))).height
        yield Finding(
            "placeholder_customers", "identities",
            f"{count:,} of {pairs.height:,} links name an id that is a placeholder: {some(listed)}",
            "it joins strangers to one customer: leave these links out",
            count, pairs.height, tuple(listed[:MOST_SHOWN]),
        )  # fmt: skip


def _unmet(
    unmet: pl.DataFrame, pairs: pl.DataFrame, met: set[str], tables: tuple[Source, ...], events: list[pl.LazyFrame]
) -> Iterator[Finding]:
    if not unmet.height:
        return
    keys = unmet.with_columns(spelling_of("id").alias("key"))
    near: list[pl.DataFrame] = []
    for table, frame in zip(tables, events, strict=True):
        spelled = frame.with_columns(spelling_of("event").alias("key")).unique()
        near.append(table.collect(spelled.join(keys.lazy(), on="key").select("id", "event")))
    alike = pl.concat(near).unique().sort("id", "event").unique("id", keep="first", maintain_order=True)
    idle = pairs.filter(~(pl.col(ID).is_in(list(met)) | pl.col(OTHER).is_in(list(met)))).height
    if not alike.height and idle < HALF * pairs.height:
        return  # links of more customers than the events are of
    listed = [f"{shown(one)} for {shown(other)}" for one, other in alike.head(MOST_NEAR).iter_rows()]
    total = unmet.height + len(met)
    what = "none" if not met else f"{len(met):,}"
    nearly = f"; spelled nearly alike: {some(listed)}" if listed else ""
    yield Finding(
        "unmet_links", "identities",
        f"{what} of {total:,} linked ids {'is' if len(met) <= 1 else 'are'} a customer's in either table{nearly}",
        "ids are compared as they stand, texts as written: write them alike in all three tables",
        unmet.height, total, tuple(listed[:MOST_SHOWN]),
    )  # fmt: skip
