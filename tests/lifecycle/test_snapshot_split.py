"""The splitter: labels of training rows are over before the test date, and customers stay apart where asked."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
from attrib.errors import DataError, SpecError

START = datetime(2024, 1, 1)  # noqa: DTZ001 - times without a zone
DAY = timedelta(days=1)


def snapshots(rows):
    days, customers = zip(*rows, strict=True)
    return pl.DataFrame({"customer_id": customers, "date": [START + d * DAY for d in days]})


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), min_size=1, max_size=60),
    st.integers(0, 9), st.integers(1, 20), st.none() | st.integers(2, 4),
)  # fmt: skip
def test_labels_never_overlap_and_customers_stay_apart(rows, gap, horizon, folds):
    table = snapshots(rows)
    splitter = attrib.SnapshotSplit(gap=f"{gap}d", horizon=f"{horizon}d", customer_folds=folds)
    assert splitter.get_n_splits(table) == len(splitter._splits(table, None))
    if not splitter.get_n_splits(table):
        with pytest.raises(DataError, match="no test date has training rows"):
            next(splitter.split(table))
        return
    for train, test in splitter.split(table):
        assert len(train)
        assert len(test)
        tested = table[test]["date"].unique()
        assert len(tested) == 1
        assert table[train]["date"].max() + (gap + horizon) * DAY < tested[0]
        if folds:
            assert not set(table[train]["customer_id"]) & set(table[test]["customer_id"])


def test_every_row_that_may_be_used_is():
    table = snapshots([(0, 1), (10, 1), (10, 2), (11, 1), (0, 2)])
    split = list(attrib.SnapshotSplit(gap="1d", horizon="9d").split(table))
    # the label window of day 0 ends on day 10, which is not before day 10
    assert [(train.tolist(), test.tolist()) for train, test in split] == [([0, 4], [3])]
    folds = attrib.SnapshotSplit(gap="1d", horizon="8d", customer_folds=2, n_splits=2)
    tested = sorted(int(row) for _, test in folds.split(table) for row in test)
    assert tested == [1, 2, 3]
    assert [train.tolist() for train, _ in folds.split(table)] == [train.tolist() for train, _ in folds.split(table)]


def test_scikit_learn_takes_it():
    pytest.importorskip("sklearn")
    import sklearn
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score

    random = np.random.default_rng(0)
    table = snapshots([(day, who) for day in (0, 30, 60, 90) for who in range(40)])
    X = random.normal(size=(table.height, 2))
    y = (X[:, 0] + random.normal(size=table.height) > 0).astype(int)
    splitter = attrib.SnapshotSplit(gap="5d", horizon="20d")
    groups = table.select("date", "customer_id")
    assert len(cross_val_score(LogisticRegression(), X, y, groups=groups, cv=splitter)) == 3
    assert len(cross_val_score(LogisticRegression(), X, y, groups=groups.to_pandas(), cv=splitter)) == 3
    assert len(cross_val_score(LogisticRegression(), X, y, groups=table["date"].to_numpy(), cv=splitter)) == 3
    apart = attrib.SnapshotSplit(gap="5d", horizon="20d", customer_folds=2)
    GridSearchCV(LogisticRegression(), {"C": [1, 10]}, cv=apart).fit(X, y, groups=groups)
    with sklearn.config_context(enable_metadata_routing=True):
        assert len(cross_val_score(LogisticRegression(), X, y, params={"groups": groups}, cv=splitter)) == 3


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"customer_folds": 1}, "bad_value"), ({"n_splits": 0}, "bad_value"), ({"gap": "soon"}, "bad_duration")],
)
def test_what_is_refused(settings, key):
    with pytest.raises(SpecError) as error:
        attrib.SnapshotSplit(**settings).get_n_splits(snapshots([(0, 1)]))
    assert error.value.key == key


def test_frames_without_dates_are_refused():
    with pytest.raises(DataError, match="date"):
        attrib.SnapshotSplit().get_n_splits(pl.DataFrame({"x": [1.0]}))
    with pytest.raises(SpecError, match="neither a frame nor one date a row"):
        attrib.SnapshotSplit().get_n_splits(np.zeros((3, 2)))
