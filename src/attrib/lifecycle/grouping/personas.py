"""attrib.personas: groups of customers whose journeys are alike, found by a mixture, and told in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import polars as pl

from attrib.arguments import distinct_names
from attrib.errors import DataError, SpecError, brief, warn
from attrib.io.collecting import collect_table
from attrib.io.ids import rank_ids
from attrib.io.tables import check_types
from attrib.lifecycle.base.beside import check_same_rows
from attrib.lifecycle.base.design import DesignMatrix, Numeric, collected, spell
from attrib.lifecycle.base.labels import MAX_SEED, Floats
from attrib.lifecycle.grouping.mixtures import SELECTION, Mixture, choose
from attrib.lifecycle.grouping.profiles import PERSONA, PROFILE, name_personas, numbers_of, profile, tell_apart
from attrib.schemas import CUSTOMER, DATE, RENAME, STAGE, VALUE, require_columns
from attrib.showing import Shown
from attrib.values import DEALT, generator, whole_number

# What personas of a snapshot are made from by default: how long, how lately, how much, how often bought, how many ways.
# More columns tell less: shares of channels are mostly 0 in short journeys, value and switches repeat frequency and
# touches. With all of them no size is stable.
MAIN = ("tenure", "recency", "touches", "frequency", "channel_entropy")
SUGGESTED = ("recency", "touches", "frequency", "value")
# Columns of other frames that describe no journey, or say again what others say: groups of columns that go together
# would count as often as they are many.
NO_FEATURE = frozenset({
    CUSTOMER, DATE, "label", "duration", "event", "events", "outcomes", "channels", "recency_touch", "recency_purchase",
    "value_mean", "gap_mean", "gap_median", "gap_std", "gap_last", "days_in_stage", "stages_entered",
    "satisfaction_mean", "satisfaction_trend", "referrals_made", "referrals_received",
})  # fmt: skip
NO_FEATURE_OF = ("touches:", "days_to:", "last:")
ZERO_IF_NULL = ("share:", "channel_entropy")
_MISSING = 0.2  # share of missing numbers above which a column is no feature unless it is named
_SKEWED = 1.0  # skewness from which a count is looked at by its logarithm
MAX_K = 50


@dataclass(frozen=True, slots=True, repr=False)
class Personas(Shown):
    """Personas that were found, and how new customers are assigned to them.

    Attributes
    ----------
    assignments : polars.DataFrame
        ``customer_id``, ``date`` where the snapshot has it, ``persona``, ``probability`` (of that persona), a row
        for each row of the snapshot, in its order.
    profiles : polars.DataFrame
        A row for each persona, the largest first: ``persona``, ``size`` (rows), ``share`` (of rows), ``customers``,
        ``stages`` (stage and share, largest first), ``channels`` (the three with most touches in the window and their
        share of touches), ``value`` (mean), ``churn_rate`` (null unless `churn` is given), ``referral_rate`` and
        ``distinguishing``: the three features in which it differs most from everybody, in words, with its mean
        and that of all rows.
    selection : polars.DataFrame
        Each size tried: ``k``, ``bic``, ``stability``, ``smallest`` (rows of the smallest persona), ``converged``,
        ``chosen``, ``refused`` (why it could not be).
    names : tuple of str
        Of the personas.
    """

    assignments: pl.DataFrame
    profiles: pl.DataFrame
    selection: pl.DataFrame
    names: tuple[str, ...]
    logged: tuple[str, ...] = field(repr=False)
    design: DesignMatrix = field(repr=False)
    mixture: Mixture = field(repr=False)

    def assign(self, snapshot: Any) -> pl.DataFrame:
        """Assign rows of another snapshot, such as a later one, to these personas.

        Parameters
        ----------
        snapshot : frame
            With the columns that the personas were made from.

        Returns
        -------
        polars.DataFrame
            As `assignments`.

        Raises
        ------
        DataError
            ``missing_columns``, and those of `DesignMatrix.transform`.
        """
        table = collected(snapshot)
        hint = "make it as the snapshot that the personas were found in, with the same channels="
        require_columns("snapshot", table.columns, [CUSTOMER, *self.design.columns], hint=hint)
        prepared = _prepared(table, self.design.columns, self.logged)
        matrix, _ = _standardised(self.design, prepared)
        chances = self.mixture.probabilities(matrix)
        return _assigned(table, chances, self.names)

    def add_to(self, table: Any, *, customer: str = CUSTOMER) -> pl.DataFrame:
        """Add a column ``persona`` to touchpoints or outcomes, for ``by="persona"``.

        A customer has one persona, that of the latest date assigned; customers without one have null. Add it to both
        tables: then journeys that did not convert are partitioned too. Personas made from purchases (``frequency``,
        ``value``) partition by what is to be explained: for credit, make them from other features, or from a date
        before the journeys.

        Parameters
        ----------
        table : frame, str or Path
            Touchpoints or outcomes; read into memory.
        customer : str
            Its column of customers.

        Returns
        -------
        polars.DataFrame
            The table with one more column, its rows in their order.

        Raises
        ------
        DataError
            ``missing_columns``; ``duplicate_columns`` where it has a column ``persona``.
        """
        rows = collect_table(table, "table")
        require_columns("table", rows.columns, [customer], hint="name its column of customers with customer=")
        if PERSONA in rows.columns:
            raise DataError("duplicate_columns", "the table has a column 'persona' already", hint="rename it")
        latest = self.assignments
        if DATE in latest.columns:
            latest = latest.sort(DATE, maintain_order=True)
        latest = latest.unique(CUSTOMER, keep="last", maintain_order=True)
        key = pl.col(CUSTOMER).cast(pl.String)  # ids as texts: 7 is 7 whatever the width of the integer
        found = rows.select(pl.col(customer).cast(pl.String).alias(CUSTOMER)).join(
            latest.select(key, PERSONA), on=CUSTOMER, how="left", maintain_order="left"
        )
        return rows.with_columns(found[PERSONA])

    def state(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """All that `assign` needs, and the tables about personas but not about customers: as JSON and as arrays."""
        plain = {
            "names": list(self.names),
            "logged": list(self.logged),
            "design": self.design.to_dict(),
            "profiles": self.profiles.to_dicts(),
            "selection": self.selection.to_dicts(),
        }
        return plain, self.mixture.arrays()

    @classmethod
    def from_state(cls, plain: Any, arrays: Any) -> Self:
        """Rebuild personas from `state`, trusting nothing; ``assignments`` has no rows.

        Raises
        ------
        DataError
            ``bad_model``.
        """
        try:
            names, logged = tuple(plain["names"]), tuple(plain["logged"])
            profiles = pl.DataFrame(plain["profiles"], schema=PROFILE)
            selection = pl.DataFrame(plain["selection"], schema=SELECTION)
            design = DesignMatrix.from_dict(plain["design"])
        except (KeyError, TypeError, ValueError, AttributeError, pl.exceptions.PolarsError) as error:
            raise DataError("bad_model", f"stored personas are incomplete: {brief(error):.200}") from error
        texts = all(isinstance(name, str) for name in (*names, *logged))
        if not texts or not 0 < len(names) == len(set(names)) or not set(logged) <= set(design.columns):
            raise DataError("bad_model", "stored personas have other names than they should")
        mixture = Mixture.from_arrays(arrays, len(names), len(_compared(design)))
        empty = pl.DataFrame(schema={CUSTOMER: pl.Null, PERSONA: pl.String, "probability": pl.Float64})
        return cls(empty, profiles, selection, names, logged, design, mixture)


def personas(
    snapshot: Any,
    k: int | Literal["auto"] = "auto",
    features: str | Sequence[str] | None = None,
    *,
    max_k: int = 8,
    min_share: float = 0.02,
    refits: int = 8,
    max_rows: int = 5_000,
    value: Any = None,
    churn: Any = None,
    referral: Any = None,
    seed: int = 0,
) -> Personas:
    """Find groups of customers whose journeys are alike.

    A Gaussian mixture on standardised features; skewed counts enter by their logarithm. The size chosen is the one
    with the smallest BIC among those that are stable (fits to random halves of the customers put the rows into the
    same groups: mean adjusted Rand index of at least 0.8) and have no persona of less than `min_share` of the rows.
    One persona, everybody, is a possible answer.

    Parameters
    ----------
    snapshot : frame
        From `attrib.snapshot`, a row each customer and date; or any frame with ``customer_id`` and numbers.
    k : int or "auto"
        How many personas.
    features : str or sequence of str, optional
        Columns to compare customers by. Without, of a snapshot: ``tenure``, ``recency``, ``touches``, ``frequency``
        and ``channel_entropy``. Of a frame that lacks one of these: its numbers, but for labels, referrals and columns
        that say again what others say (touches by channel beside shares, for one). Left out by default are those with
        more than a fifth missing and those of two values: each would split any crowd in two. Missing numbers count as
        the median.
    max_k : int
        The largest size that "auto" tries.
    min_share : float
        Least share of the rows, from 0 to below 1; below 10 rows is never enough.
    refits : int
        Fits to halves of the customers, for the stability of each size.
    max_rows : int
        Rows of customers drawn to fit to; all rows are assigned.
    value, churn, referral : str or array-like, optional
        For the profiles only, a column of the snapshot or a number for each row: the value of a customer (without:
        the column ``value``, if there is one), whether they left or the probability of it, and whether they referred
        (without: ``referrals_made`` above 0, that is up to the date). A snapshot does not say what was asked for:
        ``churn="label"`` if it was made with ``churn=…`` (``churn="event"`` with ``purpose="survival"``),
        ``referral="label"`` if the label is a referral.
    seed : int
        Of draws and of the starts of the mixture. The same rows in another order give the same personas.

    Returns
    -------
    Personas

    Raises
    ------
    SpecError
        ``bad_parameter``, ``bad_value``, ``missing_extra``.
    DataError
        ``missing_columns``, ``too_few_rows``, ``no_features``; ``small_persona`` where a given k leaves a persona too
        small; those of `DesignMatrix.fit`.

    Warns
    -----
    AttribWarning
        Where "auto" leaves one persona, everybody.

    References
    ----------
    Fraley & Raftery (2002), Journal of the American Statistical Association 97:611-631 (BIC). Hubert & Arabie (1985),
    Journal of Classification 2:193-218 (adjusted Rand index). Lange et al. (2004), Neural Computation 16:1299-1323
    (stability).

    Examples
    --------
    >>> import attrib, polars as pl
    >>> rows = pl.DataFrame(
    ...     {
    ...         "customer_id": range(80),
    ...         "touches": [2, 3, 2, 4] * 10 + [30, 34, 31, 33] * 10,
    ...         "share:mail": [0.1, 0.2, 0.15, 0.1] * 10 + [0.9, 0.8, 0.85, 0.9] * 10,
    ...     }
    ... )
    >>> found = attrib.personas(rows, k=2)
    >>> found.profiles.select("persona", "size")["persona"].to_list()
    ['P1 low touches, low share of mail', 'P2 high touches, high share of mail']
    """
    check_same_rows(snapshot=snapshot, value=value, churn=churn, referral=referral)
    table = collected(snapshot)
    require_columns("snapshot", table.columns, [CUSTOMER], hint=RENAME)
    check_types("snapshot", table.schema, {CUSTOMER: "id", DATE: "key", STAGE: "name"})
    whole_number("seed", seed, 0, MAX_SEED)
    whole_number("refits", refits, 1, 1000)
    sizes = list(range(1, whole_number("max_k", max_k, 1, MAX_K) + 1))
    if not (isinstance(k, str) and k == "auto"):
        sizes = [whole_number("k", k, 1, MAX_K)]
    if isinstance(min_share, bool) or not isinstance(min_share, (int, float)) or not 0 <= min_share < 1:
        raise SpecError("bad_parameter", f"min_share = {brief(min_share)} is not a share from 0 to below 1")
    most = whole_number("max_rows", max_rows, 100)
    if table.height < max(20, 2 * sizes[0]):
        raise DataError("too_few_rows", f"the snapshot has {table.height} rows", hint="20 at least")
    chosen = _features(table, features)
    logged = _skewed(table.select(chosen))
    prepared = _prepared(table, chosen, logged)
    if features is None:  # those named by the caller are told of by DesignMatrix
        prepared = prepared.select(name for name in chosen if prepared[name].drop_nulls().n_unique() > 2)
    if not prepared.width:
        raise DataError("no_features", "no number of the snapshot has more than two values", hint="name features")
    design = DesignMatrix.fit(prepared, scale=True)
    logged = tuple(name for name in logged if name in design.columns)
    matrix, columns = _standardised(design, prepared)
    rows, codes = _drawn(table, most, seed)
    least = max(10, int(np.ceil(min_share * len(rows))))
    mixture, selection = choose(matrix[rows], codes, sizes, refits=refits, least=least, seed=seed)
    if isinstance(k, str) and len(mixture.weights) == 1 and len(sizes) > 1:
        warn(
            "no personas can be told apart: no larger size is stable, or fits better; see selection, or "
            + _other(table, chosen)
        )
    chances = mixture.probabilities(matrix)
    sums = np.bincount(chances.argmax(axis=1), minlength=len(mixture.weights))
    order = np.lexsort((*mixture.means.T[::-1], -sums))  # the largest first, equals by their means
    mixture = mixture.ordered(order)
    chances = mixture.probabilities(matrix)  # sums in the order of `assign`: equal to the last bit
    persona = chances.argmax(axis=1)
    told = tell_apart(matrix, table, columns, persona, len(order))
    names = name_personas(told)
    made = numbers_of(table, "referral", referral, "referrals_made")
    facts = {
        VALUE: numbers_of(table, "value", value, VALUE),
        "churn_rate": numbers_of(table, "churn", churn),
        "referral_rate": made if referral is not None or made is None else (made > 0).astype(np.float64),
    }
    profiles = profile(table, persona, names, told, facts)
    return Personas(_assigned(table, chances, names), profiles, selection, names, logged, design, mixture)


def _features(table: pl.DataFrame, features: str | Sequence[str] | None) -> list[str]:
    if features is not None:
        named = distinct_names("features", features)
        require_columns("snapshot", table.columns, named, hint="features must name columns of the snapshot")
        taken = {CUSTOMER, DATE} & set(named)
        if taken or not named:
            raise SpecError("bad_value", f"features = {spell(named)}: {spell(taken) or 'nothing'} is no feature")
        return list(named)
    found = [name for name, dtype in table.schema.items() if dtype.is_numeric()]
    if set(MAIN) <= set(found):
        found = list(MAIN)
    found = [name for name in found if name not in NO_FEATURE and not name.startswith(NO_FEATURE_OF)]
    missing = {name: table[name].cast(pl.Float64).fill_nan(None).null_count() / table.height for name in found}
    found = [name for name in found if missing[name] <= _MISSING or name.startswith(ZERO_IF_NULL)]
    if not found:
        raise DataError("no_features", "the snapshot has no numbers to compare customers by", hint="name features")
    return found


def _other(table: pl.DataFrame, used: Sequence[str]) -> str:
    """Say what to try where one persona is left."""
    some = [name for name in SUGGESTED if name in table.columns]
    fewer = "compare customers by fewer or other columns, features=[…]"
    return f"{fewer}, such as {some}" if len(some) > 1 and set(some) != set(used) else fewer


def _skewed(table: pl.DataFrame) -> tuple[str, ...]:
    """Columns of numbers from 0, some above 1, with a long upper tail."""
    out = []
    for column in table:
        if column.dtype.is_numeric():
            known = column.cast(pl.Float64).drop_nulls().drop_nans()
            known = known.filter(known.is_finite())
            if len(known) and known.min() >= 0 and known.max() > 1 and (known.skew() or 0) > _SKEWED:  # type: ignore[operator]
                out.append(column.name)
    return tuple(out)


def _prepared(table: pl.DataFrame, features: Sequence[str], logged: Sequence[str]) -> pl.DataFrame:
    """Features as the mixture is to see them, before they are standardised."""
    columns = []
    for name in features:
        column = pl.col(name)
        if not (table.schema[name].is_numeric() or table.schema[name] in (pl.Boolean, pl.Null)):
            columns.append(column)
            continue
        if name.startswith(ZERO_IF_NULL):
            column = column.fill_null(0)  # without touches: what there is to say, touches = 0 says
        if name in logged:
            column = column.cast(pl.Float64)
            column = column.sign() * column.abs().log1p()
        columns.append(column)
    return table.select(columns)


def _compared(design: DesignMatrix) -> list[int]:
    """Columns of the matrix that customers are compared by: not those that say where a number is missing.

    A column of zeros and ones can be split without remainder, so that what is known of customers, and not how they
    are, would make the personas. Missing numbers are the median instead.
    """
    missing = {f.names[-1] for f in design.features if isinstance(f, Numeric) and f.nulls}
    return [at for at, name in enumerate(design.names) if name not in missing]


def _standardised(design: DesignMatrix, prepared: pl.DataFrame) -> tuple[Floats, list[str]]:
    columns = _compared(design)
    return np.ascontiguousarray(design.transform(prepared)[:, columns]), [design.names[at] for at in columns]


def _drawn(table: pl.DataFrame, most: int, seed: int) -> tuple[Any, Any]:
    """Rows to fit to, whole customers, in an order of their own; and their customers, numbered from 0."""
    ranks = rank_ids(table[CUSTOMER])
    keys = [ranks.alias(CUSTOMER), *([table[DATE]] if DATE in table.columns else [])]
    sorting = pl.DataFrame(keys)
    order = sorting.select(pl.arg_sort_by(sorting.columns, maintain_order=True)).to_series().to_numpy().astype(np.int64)
    codes = ranks.fill_null(0).to_numpy().astype(np.int64)[order]
    _, codes = np.unique(codes, return_inverse=True)
    if len(order) > most:
        place = generator(seed, DEALT).permutation(int(codes.max()) + 1)[codes]
        last = np.sort(place)[most - 1]
        order, codes = order[place <= last], codes[place <= last]
        _, codes = np.unique(codes, return_inverse=True)
    return order, codes


def _assigned(table: pl.DataFrame, chances: Floats, names: tuple[str, ...]) -> pl.DataFrame:
    at = chances.argmax(axis=1)
    keys = [CUSTOMER, DATE] if DATE in table.columns else [CUSTOMER]
    return table.select(keys).with_columns(
        pl.Series(PERSONA, np.array(names, dtype=object)[at], pl.String),
        pl.Series("probability", chances[np.arange(len(at)), at], pl.Float64),
    )
