"""The only place that spells column names and says what the tables look like (semantics §1, §10)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attrib.errors import DataError
from attrib.likely import columns_like

if TYPE_CHECKING:
    import polars as pl

CUSTOMER, TIME, CHANNEL = "customer_id", "timestamp", "channel"
OUTCOME, VALUE, EVENT = "outcome", "value", "event_id"
SEQUENCE, CLUSTER, STAGE, INTERACTION = "sequence", "cluster", "stage", "interaction"
REFERRER = "referrer_id"
ORDER = "order_id"  # which order a refund belongs to
KIND, METHOD, CONVERSIONS, SHARE, EFFECT, ERROR = (
    "kind", "method", "conversions", "share", "effect", "conversions_se",
)  # fmt: skip

PATH, NULLS = "path", "nulls"
DATE, COST, CPA, ROAS = "date", "cost", "cpa", "roas"
JOURNEYS, RATE, CUSTOMERS, CONVERTED, TOUCHES = "journeys", "rate", "customers", "converted", "touches"
PATH_TABLE = (PATH, "total_conversions", "total_conversion_value", "total_null")  # as other packages write it

KINDS = ("player", "unattributed", "baseline")
NUMBERS = (CONVERSIONS, VALUE, SHARE, EFFECT)
FIXED_COLUMNS = (KIND, METHOD, CONVERSIONS, VALUE, SHARE, EFFECT, ERROR)
INTERVALS = tuple(f"{number}_{side}" for number in NUMBERS for side in ("low", "high"))
THIN = "thin"  # flag of a cell that cannot carry the question
RESERVED = frozenset((*FIXED_COLUMNS, *INTERVALS, STAGE, CUSTOMERS, THIN))

SPENT = (COST, CPA, ROAS, *(f"{ratio}_{side}" for ratio in (CPA, ROAS) for side in ("low", "high")))

LEDGER_COLUMNS = ("table", "entry", "rows", CONVERSIONS, VALUE)


def separator_hint(names: Sequence[str]) -> str:
    """Next step where the only column looks like a whole line of a file; empty otherwise."""
    if len(names) == 1 and any(separator in names[0] for separator in ";\t|"):
        return "the file seems to be separated by another character than a comma: write it with commas, or as parquet"
    return ""


RENAME = "rename the column that holds it"  # the next step for tables whose names cannot be mapped
MAPPING = "map your names to ours with columns (in a job: [input.columns])"  # and for those whose names can
NAMED = "name a column that is there"  # and where an argument names one of the table's columns
EVERY_ROW = (  # most exports of shops hold purchases only, and do not say so
    "where every row is a purchase, add a column that says so: "
    'orders.with_columns(outcome=pl.lit("purchase")) in polars, '
    'orders.assign(outcome="purchase") in pandas, or a last column headed outcome in the file'
)
SHOWN = 30  # columns that a message lists


def require_columns(
    table: str, found: Iterable[str], required: Sequence[str], *, hint: str = RENAME, shown: Sequence[str] = ()
) -> None:
    """Check that a table has the columns it needs.

    Parameters
    ----------
    table : str
        What the table is called.
    found, required : iterable of str
        Its columns, and those that it must have.
    hint : str
        The next step; `MAPPING` where an argument ``columns`` maps names. Columns that are likely meant are added.
    shown : sequence of str
        The names that the table has by itself, where ``found`` are ours for them.

    Raises
    ------
    DataError
        ``missing_columns``, naming how many of how many, what was found, and the columns that are likely meant.

    Examples
    --------
    >>> require_columns("outcomes", ["customer_id", "time"], ["customer_id", "timestamp"], hint=MAPPING)
    Traceback (most recent call last):
    ...
    attrib.errors.DataError: 1 of 2 required columns is missing from outcomes: timestamp; found: customer_id, time; \
map your names to ours with columns (in a job: [input.columns]), e.g. timestamp = "time"
    >>> require_columns("values", ["customer"], ["customer_id"])
    Traceback (most recent call last):
    ...
    attrib.errors.DataError: 1 of 1 required columns is missing from values: customer_id; found: customer; \
rename the column that holds it; did you mean 'customer'?
    """
    names = list(found)
    missing = [column for column in required if column not in names]
    if not missing:
        return
    own = [name for name in (shown or names) if not name.startswith("__")]
    free = [name for name in own if name not in required]
    likely = columns_like(missing, free)
    if separator_hint(own):
        hint = separator_hint(own)
    elif likely and hint.startswith(MAPPING[:8]):
        pairs = (f"{ours} = {json.dumps(theirs, ensure_ascii=False)}" for ours, theirs in likely.items())
        hint += f", e.g. {', '.join(pairs)}"
    elif likely:
        hint += f"; did you mean {' and '.join(map(repr, likely.values()))}?"
    if OUTCOME in missing and table == "outcomes" and not separator_hint(own):
        hint = f"{EVERY_ROW}; {hint}" if likely or len(missing) > 1 else EVERY_ROW
    verb = "is" if len(missing) == 1 else "are"
    raise DataError(
        "missing_columns",
        f"{len(missing)} of {len(required)} required columns {verb} missing from {table}: "
        f"{', '.join(missing)}; found: {list_names(own)}",
        hint=hint,
        missing=missing,
        found=own,
    )


def list_names(names: Sequence[str]) -> str:
    """List the columns of a table, as far as a message has room.

    Examples
    --------
    >>> list_names(["user", "time"]), list_names([])
    ('user, time', 'no column')
    """
    listed = ", ".join(names[:SHOWN])
    return f"{listed}{' …' if len(names) > SHOWN else ''}" if names else "no column"


def validate_credit(table: pl.DataFrame) -> pl.DataFrame:
    """Check the fixed columns of a credit table against its schema; returns the table.

    Raises
    ------
    DataError
        ``bad_credit_table`` with the rules that do not hold.
    """
    import dataframely as dy
    import polars as pl

    class Credit(dy.Schema):
        kind = dy.Enum(KINDS, nullable=False)
        method = dy.String(nullable=False, min_length=1)
        conversions = dy.Float64(nullable=True, allow_inf=False, allow_nan=False)
        value = dy.Float64(nullable=True, allow_inf=False, allow_nan=False)
        share = dy.Float64(nullable=True, allow_inf=False, allow_nan=False)
        effect = dy.Float64(nullable=True, allow_inf=False, allow_nan=False)
        conversions_se = dy.Float64(nullable=True, min=0.0)

    missing = [c for c in FIXED_COLUMNS if c not in table.columns]
    if missing:
        raise DataError("bad_credit_table", f"the credit table lacks {', '.join(missing)}", missing=missing)
    try:
        Credit.validate(table.select(FIXED_COLUMNS).with_columns(pl.col(KIND).cast(pl.Enum(KINDS))))
    except (dy.exc.ValidationError, dy.exc.SchemaError) as error:
        raise DataError("bad_credit_table", f"the credit table breaks its schema: {error}") from error
    return table
