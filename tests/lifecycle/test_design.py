"""The matrix of features: the same columns at training and ever after."""

import json
import math
import warnings
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrib.errors import AttribWarning, DataError
from attrib.lifecycle import ChurnClassifier
from attrib.lifecycle.base.columns import as_numbers
from attrib.lifecycle.base.design import MAX_CATEGORIES, DesignMatrix

FRAME = pl.DataFrame(
    {
        "plan": ["year", "month", None, "month"],
        "charge": [20.0, 70.5, None, 30.0],
        "loyal": [True, False, True, True],
        "calls": [1, 2, 3, 6],
        "level": pl.Series(["b", "a", "b", "b"], dtype=pl.Categorical),
    }
)


def twin(frame: pl.DataFrame, new: pl.DataFrame, drop_first: bool, scale: bool):
    """Row by row, cell by cell."""
    names, columns = [], []
    for name in frame.columns:
        old, rows = frame[name].to_list(), new[name].to_list()
        if any(isinstance(v, str) for v in old):
            old, rows = [["(null)" if v is None else v for v in values] for values in (old, rows)]
            levels = sorted(set(old) - {"(null)"}) + ["(null)"] * ("(null)" in old)
            for level in levels[drop_first:] if len(levels) > 1 else []:
                names.append(f"{name}={level}")
                columns.append([float(v == level) for v in rows])
            continue
        known = [float(v) for v in old if v is not None]
        if len(set(known)) > 1:
            median = float(np.median(known))
            filled = [median if v is None else float(v) for v in old]
            mean, sd = (np.mean(filled), np.std(filled)) if scale and not set(known) <= {0, 1} else (0.0, 1.0)
            names.append(name)
            columns.append([((median if v is None else float(v)) - mean) / sd for v in rows])
        if known and None in old:
            names.append(f"{name}=(null)")
            columns.append([float(v is None) for v in rows])
    return names, np.array(columns).T


@pytest.mark.parametrize("drop_first", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_every_cell(drop_first, scale):
    design = DesignMatrix.fit(FRAME, drop_first=drop_first, scale=scale)
    names, matrix = twin(FRAME, FRAME, drop_first, scale)
    assert design.names == names
    found = design.transform(FRAME)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, matrix, rtol=0, atol=1e-15)


numbers = st.one_of(st.none(), st.integers(-5, 5), st.floats(-100, 100, width=16))
texts = st.one_of(st.none(), st.sampled_from(["", "a", "b", "(null)", "ä\n"]))


@given(
    st.lists(st.tuples(numbers, texts), min_size=2, max_size=8),
    st.lists(st.tuples(numbers, texts), max_size=5),
    st.booleans(),
    st.booleans(),
)
def test_any_frame(train, score, drop_first, scale):
    schema = {"n": pl.Float64, "t": pl.String}
    old, new = (pl.DataFrame(rows, schema, orient="row", strict=False) for rows in (train, score))
    names, matrix = twin(old, new, drop_first, scale)
    if not names:
        with pytest.raises(DataError, match="one value only"):
            DesignMatrix.fit(old)
        return
    design = DesignMatrix.fit(old, drop_first=drop_first, scale=scale)
    assert design.names == names
    np.testing.assert_allclose(design.transform(new), matrix.reshape(len(new), len(names)), rtol=1e-12, atol=1e-12)
    again = DesignMatrix.from_dict(json.loads(json.dumps(design.to_dict(), allow_nan=False)))
    assert again == design
    np.testing.assert_array_equal(again.transform(new), design.transform(new))


def test_order_and_further_columns_do_not_matter():
    design = DesignMatrix.fit(FRAME)
    other = FRAME.select(pl.lit("x").alias("more"), *reversed(FRAME.columns))
    np.testing.assert_array_equal(design.transform(other), design.transform(FRAME))


def test_pandas_says_the_same():
    frame = FRAME.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    design = DesignMatrix.fit(frame, scale=True)
    assert design.names == DesignMatrix.fit(FRAME).names
    np.testing.assert_array_equal(design.transform(frame), DesignMatrix.fit(FRAME, scale=True).transform(FRAME))
    np.testing.assert_array_equal(design.transform(FRAME), design.transform(frame))


def test_rows_in_another_order_learn_the_same():
    assert DesignMatrix.fit(FRAME, scale=False) == DesignMatrix.fit(FRAME.reverse(), scale=False)


def test_unseen_categories_are_zeros_and_counted():
    design = DesignMatrix.fit(FRAME, drop_first=False)
    new = FRAME.with_columns(plan=pl.Series(["week", "week", "day", "month"]))
    with pytest.warns(AttribWarning, match=r"of 4 rows of features, 'plan': 3 rows hold 'day', 'week', not seen"):
        matrix = design.transform(new)
    assert matrix[:, :3].tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_nulls_that_training_had_not_are_counted():
    design = DesignMatrix.fit(FRAME)
    new = FRAME.with_columns(calls=pl.Series([None, 2.0, 3.0, float("nan")]))
    with pytest.warns(AttribWarning, match=r"'calls': 2 nulls, .* became its median 2\.5"):
        matrix = design.transform(new)
    assert matrix[:, design.names.index("calls")].tolist() == [2.5, 2, 3, 2.5]


def test_a_column_of_nulls_only_fits_any_kind():
    design = DesignMatrix.fit(FRAME)
    matrix = design.transform(FRAME.with_columns(plan=None, charge=None))
    assert matrix[:, design.names.index("plan=(null)")].tolist() == [1] * 4
    assert matrix[:, design.names.index("charge=(null)")].tolist() == [1] * 4


def test_constant_columns_are_dropped_and_listed():
    frame = FRAME.with_columns(one=1, same=pl.lit("x"), none=None)
    with pytest.warns(AttribWarning, match="3 of 8 columns hold one value only and are left out: 'one', 'same'"):
        design = DesignMatrix.fit(frame)
    assert design.dropped == ("one", "same", "none")
    assert design.names == DesignMatrix.fit(FRAME).names


@pytest.mark.parametrize(
    ("frame", "key", "match"),
    [
        (FRAME.clear(), "no_rows", "0 rows"),
        (FRAME.with_columns(since=date(2026, 1, 1)), "bad_dtype", r"'since' \(Date\); turn dates into numbers"),
        (FRAME.with_columns(all=[1, 2]), "bad_dtype", "leave them out"),
        (FRAME.with_columns(charge=pl.lit(float("inf"))), "not_finite", "4 of 4 values of 'charge'"),
        (FRAME.select(pl.lit(1).repeat_by(4).explode()), "no_features", "one value only"),
        (pl.DataFrame({"id": [str(i) for i in range(MAX_CATEGORIES + 1)]}), "too_many_categories", "identifiers"),
        (pl.DataFrame({"a": ["x", "y"], "a=y": [1, 2]}), "duplicate_columns", "'a=y'"),
    ],
)
def test_frames_that_cannot_be_learned(frame, key, match):
    with pytest.raises(DataError, match=match) as error:
        DesignMatrix.fit(frame)
    assert error.value.key == key


def test_frames_that_differ_from_training():
    design = DesignMatrix.fit(FRAME)
    with pytest.raises(DataError, match="2 of 5 required columns are missing from features: plan, calls"):
        design.transform(FRAME.drop("plan", "calls"))
    with pytest.raises(DataError, match=r"'plan' \(Int32\), 'calls' \(String\); 'plan' was texts") as error:
        design.transform(FRAME.with_columns(plan=1, calls=pl.lit("2")))
    assert error.value.key == "bad_dtype"


def test_what_is_loaded_is_checked():
    good = DesignMatrix.fit(FRAME).to_dict()
    numeric = next(f for f in good["features"] if f["kind"] == "numeric")
    for broken in (
        None,
        [],
        {},
        {**good, "more": 1},
        {**good, "features": []},
        {**good, "features": good["features"] * 2},
        {**good, "features": [{**numeric, "scale": 0}]},
        {**good, "features": [{**numeric, "mean": float("nan")}]},
        {**good, "features": [{**numeric, "kind": "other"}]},
        {**good, "features": [{"kind": "category", "name": "a", "dtype": "", "categories": [], "reference": False}]},
    ):
        with pytest.raises(DataError) as error:
            DesignMatrix.from_dict(broken)
        assert error.value.key == "bad_model"


def test_a_matrix_of_numbers_is_a_frame_without_names():
    matrix = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 7.0]])
    design = DesignMatrix.fit(matrix)
    assert design.columns == ("x0", "x1") or list(design.columns) == ["x0", "x1"]
    named = DesignMatrix.fit(pl.DataFrame({"x0": matrix[:, 0], "x1": matrix[:, 1]}))
    assert np.array_equal(design.transform(matrix), named.transform(pl.DataFrame(matrix, schema=["x0", "x1"])))


# --- numbers written as texts ----------------------------------------------------------------------------------------


def charges(n=60, blanks=3) -> list[str]:
    """As pandas reads a column of a CSV file whose missing numbers are a blank."""
    return [" "] * blanks + [f"{18 + 7 * i / 4:.2f}" for i in range(n - blanks)]


def twin_of_texts(texts):
    """Numbers or None, one text at a time; no list at all where they are categories."""
    known = [text.strip() for text in texts if text is not None and text.strip()]
    try:
        numbers = [float(text) for text in known]
    except ValueError:
        return None
    codes = any(text.lstrip("+-")[:1] == "0" and text.lstrip("+-")[1:2].isdigit() for text in known)
    whole = all(text.lstrip("+-").isdigit() for text in known)
    if len(set(known)) <= 20 or not all(map(str.isascii, known)) or not all(map(math.isfinite, numbers)) or codes:
        return None
    if whole and len(set(known)) == len(known):
        return None
    return [float(text) if text is not None and text.strip() else None for text in texts]


words = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "\t", "x", "nan", "inf", "007", "-0.5", "0", "1e3", "2,5", "١"]),
    st.integers(-30, 30).map(str),
    st.floats(-100, 100).map(lambda x: f" {x:.2f}"),
)
numeric_words = st.one_of(st.sampled_from(["", " ", "0.5"]), st.integers(0, 40).map(str), st.floats(0, 9).map(str))


@given(st.one_of(st.lists(words, max_size=60), st.lists(numeric_words, min_size=22, max_size=60)))
def test_which_texts_are_numbers(texts):
    found = as_numbers(pl.Series("x", texts, dtype=pl.String))
    wanted = twin_of_texts(texts)
    assert (None if found is None else found.to_list()) == wanted


def test_numbers_written_as_texts_are_numbers_and_blanks_are_missing():
    frame = pd.DataFrame({"total": charges(), "plan": ["1", "2", "2"] * 20})
    with pytest.warns(AttribWarning, match=r"'total' \(3 of 60 blank\)") as caught:
        design = DesignMatrix.fit(frame, scale=True)
    assert len(caught) == 1
    assert design.names == ["total", "total=(null)", "plan=2"]
    clean = frame.assign(total=pd.to_numeric(frame["total"], errors="coerce"))
    np.testing.assert_array_equal(design.transform(frame), DesignMatrix.fit(clean, scale=True).transform(clean))
    np.testing.assert_array_equal(design.transform(clean), design.transform(frame))  # numbers will do later
    again = DesignMatrix.from_dict(json.loads(json.dumps(design.to_dict(), allow_nan=False)))
    assert again == design
    few = frame[:2]  # too few texts to tell by themselves: what training was counts
    np.testing.assert_array_equal(again.transform(few), design.transform(frame)[:2])
    with pytest.warns(AttribWarning, match="'total': 2 rows hold 'inf', 'much', no number: missing"):
        odd = design.transform(frame[:3].assign(total=["much", "inf", ""]))
    np.testing.assert_array_equal(odd, design.transform(few.iloc[[0, 0, 0]].assign(plan=["1", "2", "2"])))


def test_declared_categories_codes_and_identifiers_stay_texts():
    kept = {
        "declared": pl.Series(charges(), dtype=pl.Categorical),
        "codes": [f"0{i % 50}" for i in range(60)],
        "identifiers": [str(i) for i in range(60)],
        "levels": [str(i % 20) for i in range(60)],
        "words": ["none", *charges()[:59]],
    }
    assert {feature.kind for feature in DesignMatrix.fit(pl.DataFrame(kept)).features} == {"category"}


def test_designs_stored_without_the_mark_of_texts_can_be_read():
    plain = DesignMatrix.fit(FRAME).to_dict()
    for feature in plain["features"]:
        feature.pop("texts", None)
    assert DesignMatrix.from_dict(plain) == DesignMatrix.fit(FRAME)


# --- columns of a snapshot that are no features ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"label": [0, 1, 0, 1]}, "'label'"),
        ({"label": [True, False, None, True]}, "'label'"),
        (
            {"duration": [0.5, 3, 4, 5], "event": [0, 1, 1, 0]},
            r"'duration', 'event'.*drop\(\"duration\", \"event\"\)",
        ),
    ],
)
def test_labels_of_a_snapshot_are_refused(columns, named):
    with pytest.raises(DataError, match=f"features holds {named}") as error:
        DesignMatrix.fit(FRAME.with_columns(pl.Series(name, values) for name, values in columns.items()))
    assert error.value.key == "label_among_features"


def test_features_that_only_bear_such_a_name_are_features():
    frame = FRAME.with_columns(event=pl.Series(["fair", "web", "web", "fair"]), label=pl.Series([1, 2, 3, 0]))
    frame = frame.with_columns(duration=pl.Series([-1, 0, 1, 2]))
    assert DesignMatrix.fit(frame).names[-3:] == ["event=web", "label", "duration"]
    renamed = FRAME.with_columns(happened=pl.Series([0, 1, 1, 0]))
    assert "happened" in DesignMatrix.fit(renamed).names


def test_keys_of_a_snapshot_are_left_out_and_told():
    frame = FRAME.with_columns(customer_id=pl.Series([7, 8, 9, 10]), date=date(2026, 1, 1))
    with pytest.warns(AttribWarning, match="customer_id, date of features say which row it is"):
        design = DesignMatrix.fit(frame)
    assert design == DesignMatrix.fit(FRAME)


def test_channels_that_nobody_met_are_left_out_quietly():
    frame = FRAME.with_columns(pl.lit(0).alias("touches:(other)"), pl.lit(0.0).alias("share:fax"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        design = DesignMatrix.fit(frame)
    assert design.dropped == ("touches:(other)", "share:fax")
    with pytest.warns(AttribWarning, match="1 of 8 columns hold one value only and are left out: 'touches:mail'"):
        DesignMatrix.fit(frame.with_columns(pl.lit(2).alias("touches:mail")))


@pytest.mark.real_data
def test_the_telco_file_as_pandas_reads_it(shared_data):
    table = pd.read_csv(shared_data / "telco_churn.csv")
    features, churned = table.drop(columns=["customerID", "Churn"]), table["Churn"]
    with pytest.warns(AttribWarning, match=r"'TotalCharges' \(11 of 7043 blank\)"):
        model = ChurnClassifier().fit(features, churned)
    report = model.leaks_.filter(feature="TotalCharges").row(0, named=True)
    assert (report["leak"], round(report["auc"], 2)) == (None, 0.65)
    clean = features.assign(TotalCharges=pd.to_numeric(table["TotalCharges"], errors="coerce"))
    same = ChurnClassifier(check_leaks=False).fit(clean, churned)
    np.testing.assert_array_equal(model.predict_proba(features[-5:]), same.predict_proba(clean[-5:]))
