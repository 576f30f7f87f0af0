"""Features of survival models that know who left, or when: named before anything is fitted."""

import contextlib
import warnings

import numpy as np
import polars as pl
import pytest

from attrib.errors import AttribWarning, SolveError
from attrib.lifecycle import ChurnClassifier, SurvivalChurn
from attrib.lifecycle.judging.leaks import leak_report
from attrib.lifecycle.judging.survival_leaks import survival_leaks


def contracts(n=400, seed=0):
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame({"plan": rng.choice(["month", "year"], n), "calls": rng.poisson(1.0, n).astype(float)})
    risk = np.where(frame["plan"] == "month", 0.08, 0.02) * 1.3 ** frame["calls"].to_numpy()
    leaves, seen = rng.exponential(1 / risk), rng.uniform(1, 36, n)
    return frame, np.minimum(leaves, seen), leaves <= seen


def named(frame, duration, event, model="cox", **more):
    """Features that are named, and the warnings."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit = SurvivalChurn(model, **more).fit(frame, duration, event)
    texts = [str(w.message) for w in said if issubclass(w.category, AttribWarning)]
    return fit.leaks_.drop_nulls("leak")["feature"].to_list(), texts


@pytest.mark.parametrize("model", ["cox", "weibull", "lognormal"])
@pytest.mark.parametrize("penalizer", [0.001, 0.1])
def test_a_column_that_is_the_answer_is_named(model, penalizer):
    frame, duration, event = contracts()
    for column in (event.astype(float), np.where(event, "left", "stay"), event):
        found, texts = named(frame.with_columns(k=pl.Series(column)), duration, event, model, penalizer=penalizer)
        assert found == ["k"]
        assert any("'k' (tells who left" in text for text in texts)


def test_the_check_does_not_hang_on_the_fit():
    """Without a penalty there may be no coefficients to be found: the leak is told all the same."""
    frame, duration, event = contracts()
    leaking = frame.with_columns(k=pl.Series(event.astype(float)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with contextlib.suppress(SolveError):
            SurvivalChurn(penalizer=0).fit(leaking, duration, event)
    assert any("'k' (tells who left" in str(w.message) for w in said)


def test_honest_columns_are_not_named_nor_when_customers_came():
    for seed in range(5):
        frame, duration, event = contracts(600, seed)
        came = pl.Series("came", 36.0 - np.where(event, np.random.default_rng(seed).uniform(duration, 36), duration))
        found, texts = named(frame.with_columns(came, one=pl.lit(1.0)), duration, event)
        assert found == []
        assert not any("better than is plausible" in text for text in texts)


def test_columns_that_tell_when_are_named():
    """Charges so far are the duration times the price; also where all have left, and where few have."""
    frame, duration, event = contracts()
    price = np.random.default_rng(1).choice([20.0, 22.0], 400)
    charged = frame.with_columns(total=pl.Series(duration * price))
    found, texts = named(charged, duration, event)
    assert found == ["total"]
    assert any("'total' (tells when they left: concordance 0.9" in text for text in texts)
    assert named(charged, duration, np.ones(400, bool))[0] == ["total"]


def test_entries_and_rows_that_change():
    frame, duration, event = contracts()
    leaking = frame.with_columns(k=pl.Series(event.astype(float)))
    with pytest.warns(AttribWarning, match="'k' "):
        SurvivalChurn().fit(leaking, duration, event, entry=duration / 4)
    half = duration / 2  # known in the last row only
    rows = pl.concat([frame.with_columns(k=pl.lit(0.0)), leaking]).with_columns(
        id=np.tile(np.arange(400), 2), start=np.append(np.zeros(400), half), stop=np.append(half, duration),
        event=np.append(np.zeros(400, bool), event),
    )  # fmt: skip
    with pytest.warns(AttribWarning, match="'k' "):
        SurvivalChurn("time_varying_cox").fit(rows, id="id", start="start", stop="stop", event="event")


def test_a_column_for_each_of_many_reasons_is_a_group():
    frame, duration, event = contracts(900)
    reason = np.where(event, np.random.default_rng(2).integers(0, 30, 900), -1)
    columns = {f"reason_{k}": pl.Series((reason == k).astype(float)) for k in range(30)}
    found, texts = named(frame.with_columns(**columns), duration, event)
    assert set(found) <= set(columns)
    assert len(found) > 25
    assert any("settles who left together with others" in text for text in texts)


def test_a_check_that_is_not_wanted_is_not_made():
    frame, duration, event = contracts()
    fit = SurvivalChurn(check_leaks=False).fit(frame, duration, event)
    assert fit.leaks_ is None
    assert SurvivalChurn.from_state(*fit.state()).leaks_ is None


# --- classifiers ------------------------------------------------------------------------------------------------------


def with_cancelled(n=3000, seed=0):
    """A sixth has cancelled, at different times, and is silent for it; others fall silent by a chance of a third."""
    rng = np.random.default_rng(seed)
    gone = rng.random(n) < 1 / 6
    frame = pl.DataFrame({"touches": rng.poisson(3.0, n), "spent": rng.gamma(2.0, 10.0, n)})
    return frame, gone, np.where(gone, rng.random(n) < 0.995, rng.random(n) < 0.35), rng


def test_days_since_cancelling_are_named_although_no_two_are_equal():
    frame, gone, silent, rng = with_cancelled()
    days = pl.Series("days_since_cancel", np.where(gone, rng.uniform(1, 200, 3000), np.nan)).fill_nan(None)
    with pytest.warns(AttribWarning, match="'days_since_cancel' \\(settles"):
        report = leak_report(frame.with_columns(days), silent)
    assert report.drop_nulls("leak")["feature"].to_list() == ["days_since_cancel"]


def test_a_column_for_each_way_of_cancelling_is_a_group():
    frame, gone, silent, rng = with_cancelled(9000)
    way = np.where(gone, rng.integers(0, 7, 9000), -1)
    ways = {f"count_cancel_{k}": pl.Series((way == k).astype(float)) for k in range(7)}
    with pytest.warns(AttribWarning, match="settles a class together with others"):
        report = leak_report(frame.with_columns(**ways), silent | gone)
    leaks = report.drop_nulls("leak")
    assert set(leaks["feature"]) == set(ways)
    assert set(leaks["leak"]) == {"group"}


def test_one_probability_for_everybody_is_told():
    rng = np.random.default_rng(3)
    noise = pl.DataFrame({"a": rng.normal(size=400), "b": rng.normal(size=400)})
    said = []
    for seed in range(6):
        label = np.random.default_rng(seed).random(400) < 0.3
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = ChurnClassifier(check_leaks=False).fit(noise, label)
        one = np.ptp(model.predict_proba(noise)[:, 1]) < 1e-9
        told = any("rows get the same probability" in str(w.message) for w in caught)
        assert told == one
        said.append(told)
    assert any(said)
    few = pl.DataFrame({"a": np.arange(60) % 2})
    with pytest.warns(AttribWarning, match="all 60 rows get the same probability"):  # no leaf is large enough
        ChurnClassifier("boosting", check_leaks=False).fit(few, rng.random(60) < 0.5)


def leaking(kind, frame, duration, event, seed):
    """Columns of which none says much, and together all: what was recorded after customers had left."""
    rng, n = np.random.default_rng(seed), len(event)
    if kind == "marks":
        reason = rng.integers(0, 12, n)
        return frame.with_columns(pl.Series(f"k{j}", (event & (reason == j)).astype(float)) for j in range(12))
    if kind == "some marks":  # of 60 % of those who left
        reason, told = rng.integers(0, 12, n), rng.random(n) < 0.6
        return frame.with_columns(pl.Series(f"k{j}", (event & told & (reason == j)).astype(float)) for j in range(12))
    if kind == "one mark":
        return frame.with_columns(k0=pl.Series((event & (rng.random(n) < 0.6)).astype(float)))
    if kind == "sum":
        one = rng.normal(0, 3, n)
        return frame.with_columns(k0=pl.Series(one), k1=pl.Series(event - one))
    if kind == "difference of dates":
        start = rng.normal(0, 100, n)
        return frame.with_columns(k0=pl.Series(start), k1=pl.Series(start + duration))
    one = rng.random(n) < 0.5
    return frame.with_columns(k0=pl.Series(one), k1=pl.Series(one ^ event))


KINDS = ["marks", "some marks", "one mark", "sum", "difference of dates", "either"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [{}, {"calibration": None}, {"penalizer": 1.0}])
def test_columns_that_know_who_left_only_together_are_told_whatever_the_penalty(kind, more):
    frame, duration, event = contracts(1000, 3)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with contextlib.suppress(SolveError):  # of some there are no coefficients
            SurvivalChurn(**more).fit(leaking(kind, frame, duration, event, 3), duration, event)
    assert any("'k0'" in str(w.message) and "known before" in str(w.message) for w in said)


@pytest.mark.parametrize("share", [0.5, 0.15])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "difference of dates"])
def test_columns_that_know_a_label_only_together_are_told(kind, share):
    frame, duration, _ = contracts(1500, 4)
    label = np.random.default_rng(4).random(1500) < share
    with pytest.warns(AttribWarning, match="'k[0-9]+'"):
        report = leak_report(leaking(kind, frame, duration, label, 4), label)
    found = report.drop_nulls("leak")["feature"].to_list()
    assert "k0" in found
    assert set(found).isdisjoint(frame.columns)
    if "marks" in kind:
        assert len(found) == 12


def test_honest_marks_are_no_group():
    """Rare values of honest columns, of which many are of one class by chance."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        frame, duration, event = contracts(800, seed)
        frame = frame.with_columns(
            *(pl.Series(f"rare{j}", (rng.random(800) < 0.01).astype(float)) for j in range(40)),
            pl.Series("place", np.where(rng.random(800) < 0.6, "home", rng.integers(0, 90, 800).astype(str))),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            report = survival_leaks(frame, duration, event, None, np.arange(800), seed)
        assert report["leak"].is_null().all()
        assert leak_report(frame, event)["leak"].is_null().all()
