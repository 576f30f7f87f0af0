"""A splitter for scikit-learn: tests lie in the future of what a model was trained on, labels included."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError
from attrib.io.collecting import collect_table
from attrib.io.ids import rank_ids
from attrib.schemas import CUSTOMER, DATE, require_columns
from attrib.showing import facts_sheet, html_of
from attrib.snapshots.asked import check_durations
from attrib.values import FOLDS, MOST_DRAWS, check_seed, generator, whole_number

Ints = npt.NDArray[np.int64]


class SnapshotSplit:
    """Split the rows of snapshots by date, so that no label of the training rows is younger than a test date.

    Each test date is one split. Its training rows are those of dates with date + gap + horizon < test date: every
    event that their labels depend on happened before the test date. Test dates without training rows are passed over.

    Parameters
    ----------
    gap, horizon : str or timedelta
        Those that the snapshots were made with.
    n_splits : int, optional
        The latest so many test dates; all without.
    customer_folds : int, optional
        Customers are dealt into this many folds, and each test date is split once for each: the test rows are those
        of the fold, the training rows those of the others, so that no customer is in both. 2 or more.
    seed : int
        Of the dealing.

    Examples
    --------
    >>> import polars as pl
    >>> from datetime import date
    >>> rows = pl.DataFrame(
    ...     {
    ...         "customer_id": [1, 2, 1, 2],
    ...         "date": [date(2024, 1, 1), date(2024, 1, 1), date(2024, 6, 1), date(2024, 6, 1)],
    ...     }
    ... )
    >>> splitter = SnapshotSplit(gap="7d", horizon="90d")
    >>> [(train.tolist(), test.tolist()) for train, test in splitter.split(rows)]
    [([0, 1], [2, 3])]

    ``sklearn.model_selection.cross_val_score(model, X, y, groups=rows.select("date", "customer_id"), cv=splitter)``.
    """

    def __init__(
        self,
        gap: str | timedelta = "7d",
        horizon: str | timedelta = "90d",
        n_splits: int | None = None,
        customer_folds: int | None = None,
        seed: int = 0,
    ) -> None:
        self.gap = gap
        self.horizon = horizon
        self.n_splits = n_splits
        self.customer_folds = customer_folds
        self.seed = seed

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Ints, Ints]]:  # noqa: ARG002
        """Row numbers of each training and test set, the earliest test date first.

        Parameters
        ----------
        X : frame or array, n rows
            Snapshots with their columns ``date`` and ``customer_id``, unless `groups` has them.
        y : ignored
        groups : frame, or array of n dates, optional
            Columns ``date`` and, for `customer_folds`, ``customer_id``, where `X` is without them.

        Yields
        ------
        (train, test) : arrays of int64

        Raises
        ------
        SpecError
            ``bad_value`` for other settings.
        DataError
            ``missing_columns``; ``no_splits`` if no test date has training rows.
        """
        splits = self._splits(X, groups)
        if not splits:
            raise DataError(
                "no_splits",
                "no test date has training rows whose labels were over before it",
                hint="give dates that lie more than gap + horizon apart",
            )
        yield from splits

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Count the splits of these rows."""
        return len(self._splits(X, groups))

    def get_metadata_routing(self) -> Any:
        """What scikit-learn asks when it routes metadata: this splitter takes ``groups``."""
        from sklearn.utils.metadata_routing import MetadataRequest

        request = MetadataRequest(owner=self)
        request.split.add_request(param="groups", alias=True)
        return request

    def __repr__(self) -> str:
        """Show the parameters."""
        return f"SnapshotSplit({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def _repr_html_(self) -> str:
        """Show the parameters in a notebook."""
        return html_of(type(self).__name__, [facts_sheet(vars(self))])

    def _splits(self, X: Any, groups: Any) -> list[tuple[Ints, Ints]]:
        _, gap, horizon = check_durations(None, self.gap, self.horizon)
        most = (
            None if self.n_splits is None else whole_number("n_splits", self.n_splits, 1, MOST_DRAWS, key="bad_value")
        )
        folds = self._folds()
        rows = _rows(X, groups, customers=folds is not None)
        dates = rows[DATE].to_numpy()
        dealt = None if folds is None else _deal(rows[CUSTOMER], folds, self.seed)
        by_date = [(day, np.flatnonzero(dates + gap + horizon < day)) for day in np.unique(dates)]
        by_date = [(day, train) for day, train in by_date if len(train)]
        splits = []
        for day, train in by_date if most is None else by_date[-most:]:
            test = np.flatnonzero(dates == day)
            if dealt is None:
                splits.append((train, test))
                continue
            for fold in range(folds or 0):
                apart = train[dealt[train] != fold], test[dealt[test] == fold]
                if len(apart[0]) and len(apart[1]):
                    splits.append(apart)
        return splits

    def _folds(self) -> int | None:
        check_seed(self.seed, key="bad_value")
        return (
            None
            if self.customer_folds is None
            else whole_number("customer_folds", self.customer_folds, 2, MOST_DRAWS, key="bad_value")
        )


def _rows(X: Any, groups: Any, *, customers: bool) -> pl.DataFrame:
    """Dates in microseconds, and customers where they are asked for."""
    source = X if groups is None else groups
    if isinstance(source, (pl.Series, np.ndarray, list, tuple)) or type(source).__name__ in ("Series", "DatetimeIndex"):
        if np.ndim(source) != 1:
            raise SpecError(
                "bad_value", "groups is neither a frame nor one date a row", hint='rows.select("date", "customer_id")'
            )
        source = pl.DataFrame({DATE: pl.Series(source)})
    name = "groups" if groups is not None else "X"
    table = collect_table(source, name)
    wanted = [DATE, CUSTOMER] if customers else [DATE]
    require_columns(name, table.columns, wanted)
    if not isinstance(table.schema[DATE], (pl.Date, pl.Datetime)):
        raise DataError("wrong_type", f"{name}: column 'date' is {table.schema[DATE]}, not a date or datetime")
    frame = table.select(wanted)
    if frame.null_count().sum_horizontal().sum():
        raise DataError("null_values", f"{name}: date or customer_id is missing in some rows")
    return frame.with_columns(
        pl.col(DATE).cast(pl.Datetime("us", getattr(table.schema[DATE], "time_zone", None))).to_physical()
    )


def _deal(customers: pl.Series, folds: int, seed: int) -> Ints:
    """Fold of each row: customers in order of their ids, shuffled, dealt in turn."""
    order = rank_ids(customers).to_numpy().astype(np.int64)
    n = int(order.max(initial=-1)) + 1
    fold_of: Ints = generator(seed, FOLDS).permutation(n) % folds
    rows: Ints = fold_of[order]
    return rows
