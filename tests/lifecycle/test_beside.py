"""Columns beside a frame: the same values from any library, the same faults by the same names."""

import math
import uuid
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest

import attrib
from attrib import lifecycle
from attrib.errors import AttribWarning, DataError
from attrib.lifecycle.base.beside import (
    check_same_rows,
    read_column,
    read_customers,
    read_flags,
    read_numbers,
    require,
)
from attrib.lifecycle.base.labels import read_labels


def shapes(values):
    """The same values in everything that holds a column."""
    array = np.array([math.nan if v is None else v for v in values], object)
    yield from (values, tuple(values), array, pl.Series(values), pl.DataFrame({"x": values})["x"])
    yield from (pd.Series(values), pd.Series(values, index=range(7, 7 + len(values)), dtype=object))
    if not any(v is None for v in values):
        yield np.array(values)


@pytest.mark.parametrize("values", [["a", None, "b"], [1, 2, 3], [1.5, None, 2.0], [True, False, True], [True, None]])
def test_a_column_is_the_same_from_any_library(values):
    for given in shapes(values):
        assert read_column("x", given).to_list() == values


def test_numbers_are_the_same_from_any_library():
    more = (
        pd.Series([1, None, 2.5], dtype="Float64"), np.array([1, np.nan, 2.5], np.float32), [np.float64(1), pd.NA, 2.5],
        pl.Series([1.0, None, 2.5]),
    )  # fmt: skip
    for given in (*shapes([1.0, None, 2.5]), *more):
        np.testing.assert_array_equal(read_numbers("x", given, nulls=True), [1.0, np.nan, 2.5])
    assert read_numbers("x", []).tolist() == []
    assert read_numbers("x", pl.Series(["1.5"]).cast(pl.Decimal(5, 2))).tolist() == [1.5]


@pytest.mark.parametrize(
    "values",
    [
        [True, False], [1, 0], [1.0, 0.0], ["Yes", "No"], ["yes", "NO"], ["True", "False"], ["1", "0"], ["Y", "n"],
        ["t", "f"], [" yes", "no "],
    ],
)  # fmt: skip
def test_flags_may_be_written_in_several_ways(values):
    for given in (*shapes(values), pl.Series(values, dtype=pl.Categorical) if isinstance(values[0], str) else values):
        assert read_flags("event", given).tolist() == [True, False]
        classes, positive = read_labels(given)
        assert positive.tolist() == [True, False]  # labels say the same
        assert list(classes) == values[::-1]
    assert read_flags("event", values[:1]).tolist() == [True]  # both need not occur
    assert read_flags("event", [*values, None], null=False).tolist() == [True, False, False]


def test_labels_of_other_texts_are_sorted():
    classes, positive = read_labels(["stay", "leave", "stay"])
    assert classes.tolist() == ["leave", "stay"]
    assert positive.tolist() == [True, False, True]
    assert read_labels(np.array([0, 1], np.int8))[0].dtype == np.int8


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda: read_numbers("x", ["a"]), "bad_dtype"),
        (lambda: read_numbers("x", [date(2024, 1, 1)]), "bad_dtype"),
        (lambda: read_numbers("x", object()), "bad_shape"),
        (lambda: read_numbers("x", 5), "bad_shape"),
        (lambda: read_numbers("x", [[1.0], [2.0]]), "bad_shape"),
        (lambda: read_numbers("x", pl.DataFrame({"x": [1]})), "bad_shape"),
        (lambda: read_numbers("x", [1, None]), "null_values"),
        (lambda: read_numbers("x", [1, math.nan]), "null_values"),
        (lambda: read_numbers("x", [1, math.inf]), "bad_value"),
        (lambda: read_numbers("x", [1, math.inf], nulls=True), "bad_value"),
        (lambda: read_numbers("x", [1, -1], least=0), "bad_value"),
        (lambda: read_numbers("x", [0.5, 1.5], most=1), "bad_value"),
        (lambda: read_numbers("x", [1], 2), "different_lengths"),
        (lambda: read_numbers("x", [1, "a"]), "bad_dtype"),
        (lambda: read_numbers("x", [1j, 2]), "bad_dtype"),
        (lambda: read_flags("x", ["left", "stayed"]), "bad_flag"),
        (lambda: read_flags("x", ["Yes", "left"]), "bad_flag"),
        (lambda: read_flags("x", [0, 2]), "bad_flag"),
        (lambda: read_flags("x", [0.5, 1.0]), "bad_flag"),
        (lambda: read_flags("x", [date(2024, 1, 1)]), "bad_flag"),
        (lambda: read_flags("x", pl.Series([True, None])), "null_values"),
        (lambda: read_customers(["a", None], 2), "null_values"),
        (lambda: read_customers(["a"], 2), "different_lengths"),
        (lambda: read_customers([uuid.uuid4()] * 2, 2), "bad_dtype"),
        (lambda: read_customers(pl.Series([[1], [2]]), 2), "bad_dtype"),
        (lambda: read_column("x", pd.Series(["a", 1], dtype=object)), "bad_dtype"),
    ],
)
def test_faults_have_one_name_each(call, key):
    with pytest.raises(DataError) as error:
        call()
    assert error.value.key == key


def test_messages_say_what_and_where():
    with pytest.raises(DataError, match=r"duration is negative in 2 of 3 rows \(first: row 1, -2\)") as error:
        read_numbers("duration", [1, -2, -3], least=0)
    assert error.value.facts == {"column": "duration", "rows": 2}
    with pytest.raises(DataError, match=r"it holds 'Left', 'Stayed\ufffd'; a text must be Yes or No"):
        read_flags("event", ["Left", "Stayed\x1b"])
    with pytest.raises(DataError, match="p is odd in 1 of 1 rows"):
        require("p", np.array([True]), "is odd", np.array([3.0]))


def test_customers_are_numbered_whatever_they_are():
    for given in ([7, 5, 7], ["b", "a", "b"], [True, False, True], [date(2024, 1, 2), date(2024, 1, 1)] * 2):
        codes = read_customers(given, len(given))
        assert codes.dtype == np.int64
        assert [codes[0], codes[1], codes[2]] == [1, 0, 1]
    assert read_customers(None, 3).tolist() == [0, 1, 2]


X = pd.DataFrame({"age": [30.0, 40.0, 50.0]}, index=[4, 8, 6])


def test_rows_of_pandas_in_another_order_are_refused():
    same = pd.Series([1, 0, 1], index=[4, 8, 6])
    check_same_rows(X=X, y=same, customers=[1, 2, 3], more=None, other=pl.Series([1, 2, 3]))
    check_same_rows(X=pl.DataFrame({"a": [1]}), y=pd.Series([1], index=[4]))
    check_same_rows(X=X, y=same[:2])  # lengths are another fault
    for other, fault in ((same.sort_index(), "in another order"), (same.set_axis([4, 8, 9]), "is of other rows")):
        with pytest.raises(DataError, match=fault) as error:
            check_same_rows(X=X, y=other)
        assert error.value.key == "different_index"
        assert "y.loc[X.index]" in str(error.value)
    with pytest.raises(DataError, match="index of customers"):  # none of polars stands between
        check_same_rows(X=pl.DataFrame({"a": [1, 2, 3]}), y=same, customers=same.sort_index())
    shuffled = X.reset_index(drop=True).sample(frac=1, random_state=1)
    with pytest.raises(DataError, match="another order"):
        check_same_rows(X=shuffled, y=same.reset_index(drop=True))


def test_a_fresh_index_says_nothing_and_is_warned_of():
    with pytest.warns(AttribWarning, match="the index of y is not that of X"):
        check_same_rows(X=X, y=pd.Series([1, 0, 1]))
    twice = X.set_axis([4, 4, 6])
    check_same_rows(X=twice, y=pd.Series([1, 0, 1], index=[4, 4, 6]))
    with pytest.raises(DataError, match="other rows"):
        check_same_rows(X=twice, y=pd.Series([1, 0, 1], index=[4, 6, 6]))


def test_every_estimator_looks_at_the_index():
    n = 60
    frame = pd.DataFrame({"age": np.arange(n) % 7, "calls": np.arange(n) % 5})
    y = pd.Series(np.arange(n) % 2 == 0)
    number, late = pd.Series(np.arange(n) % 3 + 1.0), y.iloc[::-1]
    churn = lifecycle.ChurnClassifier(check_leaks=False).fit(frame, y)
    survival = lifecycle.SurvivalChurn("kaplan_meier").fit(frame, number, y)
    for call in (
        lambda: lifecycle.ChurnClassifier().fit(frame, late),
        lambda: lifecycle.ChurnClassifier().fit(frame, y, customers=late),
        lambda: churn.score(frame, late),
        lambda: churn.importance(frame, late),
        lambda: lifecycle.ReferralLikelihood().fit(frame, y, count=late),
        lambda: lifecycle.leak_report(frame, late),
        lambda: lifecycle.SurvivalChurn().fit(frame, number, late),
        lambda: survival.score(frame, number, late),
        lambda: survival.predict_churn(frame, 1, number.iloc[::-1]),
        lambda: lifecycle.cumulative_incidence(number, late),
        lambda: lifecycle.calibration_at(number / 9, number, late, 1),
        lambda: lifecycle.evaluate_classifier(y, late),
        lambda: lifecycle.evaluate_classifier(y, number / 9, customers=late),
        lambda: lifecycle.evaluate_survival(number, late, risk=number),
        lambda: lifecycle.reliability(late, number / 9),
        lambda: lifecycle.BetaGeoNBD().fit(number, number, late),
        lambda: lifecycle.GammaGamma().fit(number, late),
        lambda: attrib.personas(frame.assign(customer_id=frame.index), churn=late),
        lambda: attrib.next_action(frame, pl.DataFrame(), churn=late),
        lambda: attrib.policy_value(y.astype(str), late, 0.5, "True"),
    ):
        with pytest.raises(DataError) as error:
            call()
        assert error.value.key == "different_index"
