"""Many columns, few who left: the calibration slope beside its twin of plain lifelines, and what it is there for."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from attrib.errors import AttribWarning, DataError, SolveError, SpecError
from attrib.lifecycle import SurvivalChurn, calibration_at
from attrib.lifecycle.contractual.episodes import episodes
from attrib.lifecycle.contractual.riskset import RiskTable
from attrib.lifecycle.contractual.shrinkage import fold_of

NOISE = 50


def crowd(n, seed, columns=NOISE + 1):
    """Customers of whom one column out of all says something; about 150 of 450 leave in up to 12 months."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, columns))
    leaves, seen = 20 * random.exponential(size=n) / np.exp(0.7 * x[:, 0]), random.uniform(4, 12, n)
    frame = pl.DataFrame({f"x{j}": x[:, j] for j in range(columns)})
    return frame, np.minimum(leaves, seen), leaves <= seen


def plainly(fitter, table, penalizer, **given):
    import lifelines

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return getattr(lifelines, fitter)(penalizer=penalizer).fit(table, "duration", "event", **given)


@pytest.mark.parametrize("entry", [False, True])
@pytest.mark.parametrize(
    ("model", "fitter", "group"),
    [
        ("cox", "CoxPHFitter", None),
        ("weibull", "WeibullAFTFitter", "lambda_"),
        ("lognormal", "LogNormalAFTFitter", "mu_"),
    ],
)
def test_the_slope_by_plain_lifelines(model, fitter, group, entry):
    frame, duration, event = crowd(300, 1, columns=9)
    late = np.random.default_rng(2).uniform(0, 6, 300)
    if entry:
        there = late < duration
        frame, duration, event, late = frame.filter(there), duration[there], event[there], late[there]
    late = late if entry else None
    ours = SurvivalChurn(model, folds=4, seed=7).fit(frame, duration, event, entry=late)
    table = frame.to_pandas().assign(duration=duration, event=event)
    given = {}
    if entry:
        table["entry"], given = late, {"entry_col": "entry"}
    fold = fold_of(episodes(frame, duration, event), 4, 7)

    def slopes(fitted):
        return (fitted.params_ if group is None else fitted.params_.loc[group]).loc[frame.columns].to_numpy()

    centred = frame.to_numpy() - frame.to_numpy().mean(axis=0)
    unseen = np.empty(len(table))
    for k in range(4):
        beta = slopes(plainly(fitter, table[fold != k], 0.001, **given))
        unseen[fold == k] = centred[fold == k] @ beta
    single = pd.DataFrame({"unseen": unseen, **table.drop(columns=frame.columns)})
    found = plainly(fitter, single, 0.0, **given)
    slope = (found.params_ if group is None else found.params_.loc[group]).loc["unseen"]
    assert 0.3 < slope < 1
    assert ours.calibration_slope_ == pytest.approx(slope, abs=2e-5)

    whole = plainly(fitter, table, 0.001, **given)
    np.testing.assert_allclose(ours.coefficients_[: frame.width], ours.calibration_slope_ * slopes(whole), rtol=1e-9)
    risk = centred @ ours.coefficients_[: frame.width]
    if model == "cox":
        np.testing.assert_allclose(ours.risk(frame), risk, atol=1e-12)
        breslow = 0.0
        for j, t in enumerate(np.unique(duration[event])):
            there = (duration >= t) & (True if late is None else late < t)
            breslow += (event & (duration == t)).sum() / np.exp(risk[there]).sum()
            assert ours.baseline_["cumulative_hazard"][j] == pytest.approx(breslow)
        return
    # location and shape are where the likelihood of the whole model is highest, the slopes being given
    best = log_likelihood(model, ours.coefficients_[-2:], ours, frame, duration, event, late)
    for change in ([1e-2, 0], [-1e-2, 0], [0, 1e-2], [0, -1e-2], [5e-3, -5e-3], [-5e-3, 5e-3]):
        assert log_likelihood(model, ours.coefficients_[-2:] + change, ours, frame, duration, event, late) < best


def log_likelihood(model, last, ours, frame, duration, event, late):
    from scipy.stats import norm

    score = frame.to_numpy() @ ours.coefficients_[:-2] + last[0]
    shape = np.exp(last[1])
    if model == "weibull":
        z = shape * (np.log(duration) - score)
        density, there = np.log(shape) - np.log(duration) + z, lambda t: -np.exp(shape * (np.log(t) - score))
    else:
        z = (np.log(duration) - score) / shape
        density = norm.logpdf(z) - np.log(shape) - norm.logsf(z)
        there = lambda t: norm.logsf((np.log(t) - score) / shape)  # noqa: E731 - as above
    return (event * density + there(duration) - (0 if late is None else there(late))).sum()


@pytest.mark.parametrize("model", ["cox", "weibull", "lognormal"])
def test_chances_of_strangers_are_what_is_seen_of_them(model):
    (train, duration, event), (new, later, left) = crowd(450, 6), crowd(1500, 104)
    assert 140 < event.sum() < 160
    off = {}
    for calibration in ("slope", None):
        fitted = SurvivalChurn(model, calibration=calibration).fit(train, duration, event)
        table = calibration_at(fitted.predict_churn(new, 4), later, left, 4, bins=5)
        # of the strangers, and of the level of the hazard as so few tell it
        seen, level = (table["observed_high"] - table["observed_low"]) / 3.92, table["predicted"] / event.sum() ** 0.5
        off[calibration] = ((table["predicted"] - table["observed"]) / (seen**2 + level**2).sqrt()).to_numpy()
    assert np.abs(off["slope"]).max() < 2.5  # of 15 comparisons
    assert off[None][0] < -3
    assert off[None][4] > 2


def test_chances_of_strangers_over_many_samples():
    """Not by luck of one sample: predicted less observed by quintile, over training data of many seeds."""
    new, later, left = crowd(8000, 99)
    off = {"slope": [], None: []}
    for seed in range(12):
        train, duration, event = crowd(450, seed)
        for calibration, found in off.items():
            fitted = SurvivalChurn(calibration=calibration).fit(train, duration, event)
            table = calibration_at(fitted.predict_churn(new, 4), later, left, 4, bins=5)
            found.append((table["predicted"] - table["observed"]).to_numpy())
    with_, without = (np.mean(found, axis=0) for found in off.values())
    assert np.abs(with_).max() < 0.03
    assert without[0] < -0.05
    assert without[4] > 0.12


def test_what_is_fitted_keeps_its_ranks_and_tests():
    frame, duration, event = crowd(450, 5)
    plain, shrunken = (SurvivalChurn(calibration=c).fit(frame, duration, event) for c in (None, "slope"))
    slope = shrunken.calibration_slope_
    assert shrunken.score(frame, duration, event) == plain.score(frame, duration, event)
    np.testing.assert_allclose(shrunken.coefficients_, slope * plain.coefficients_)
    theirs, ours = plain.summary(), shrunken.summary()
    # inference is that of the fit before it is shrunk; what predictions use stands beside
    assert ours.drop("shrunk_coefficient").equals(theirs.drop("shrunk_coefficient"))
    np.testing.assert_allclose(ours["shrunk_coefficient"], slope * ours["coefficient"])
    assert theirs["shrunk_coefficient"].equals(theirs["coefficient"].alias("shrunk_coefficient"))
    both = [m.proportional_hazards(frame, duration, event).sort("feature") for m in (plain, shrunken)]
    np.testing.assert_allclose(both[1]["statistic"], both[0]["statistic"], rtol=1e-6)


@pytest.mark.parametrize("model", ["cox", "weibull"])
def test_as_many_leave_as_did(model):
    frame, duration, event = crowd(450, 6)
    fitted = SurvivalChurn(model).fit(frame, duration, event)
    hazards = -np.log(np.diag(fitted.predict_survival(frame, duration)))
    assert hazards.sum() == pytest.approx(event.sum(), rel=1e-4)


def test_the_location_of_a_shrunk_fit_stays():
    """At the means of the columns it is that of the fit, for slopes are turned about there."""
    frame, duration, event = crowd(450, 6, columns=4)
    frame = frame + 3
    plain, shrunken = (SurvivalChurn("weibull", calibration=c).fit(frame, duration, event) for c in (None, "slope"))
    assert shrunken.calibration_slope_ < 1
    at = np.append(frame.mean().row(0), [1.0, 0.0])
    np.testing.assert_array_equal(shrunken.covariance_, plain.covariance_)
    assert at @ shrunken.coefficients_ == pytest.approx(at @ plain.coefficients_, abs=0.1)


def test_many_rows_and_few_columns_need_none():
    frame, duration, event = crowd(6000, 7, columns=2)
    assert 0.97 < SurvivalChurn().fit(frame, duration, event).calibration_slope_ <= 1


def test_noise_says_nothing_and_that_is_said():
    frame, duration, event = crowd(450, 11)
    noise = frame.drop("x0")
    for model in ("cox", "weibull"):
        with pytest.warns(AttribWarning, match="all get the curve of all"):
            fitted = SurvivalChurn(model).fit(noise, duration, event)
        assert fitted.calibration_slope_ == 0
        assert np.ptp(fitted.predict_churn(noise, 4)) == 0
        again = SurvivalChurn.from_state(*fitted.state())
        np.testing.assert_array_equal(again.predict_churn(noise, 4), fitted.predict_churn(noise, 4))
    with pytest.warns(AttribWarning):
        cox = SurvivalChurn().fit(noise, duration, event)
    table = RiskTable.of(duration, event)
    np.testing.assert_allclose(cox.baseline_["cumulative_hazard"], table.hazard())
    with pytest.raises(SpecError, match="no hazard ratios to test; fit with calibration=None"):
        cox.proportional_hazards(noise, duration, event)


def test_rows_of_a_customer_stay_together():
    frame, duration, event = crowd(150, 1)
    # each customer three times: to whom has seen the twin, all that was learned by heart seems to hold
    rows, length, left = pl.concat([frame] * 3), np.tile(duration, 3), np.tile(event, 3)
    whose = np.tile(np.arange(150), 3)
    fold = fold_of(episodes(rows, length, left, customer=whose), 5, 0)
    assert (fold.reshape(3, 150) == fold[:150]).all()
    leavers = np.bincount(fold[:150], event)
    assert np.ptp(leavers) <= 1
    assert np.ptp(np.bincount(fold[:150])) <= 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttribWarning)
        apart, together = (SurvivalChurn().fit(rows, length, left, id=i) for i in (None, whose))
        named = SurvivalChurn().fit(rows.with_columns(who=whose.astype(str)), length, left, id="who")
    assert apart.calibration_slope_ > together.calibration_slope_ + 0.3
    assert (apart.customers_, together.customers_, named.customers_) == (450, 150, 150)


def test_intervals_of_a_customer_stay_together():
    frame, duration, event = crowd(450, 3)
    # the same customers in two rows each: (0, half], (half, all]
    half = duration / 2
    rows = pl.concat([frame, frame]).with_columns(
        id=np.tile(np.arange(450), 2),
        start=np.append(np.zeros(450), half),
        stop=np.append(half, duration),
        event=np.append(np.zeros(450, bool), event),
    )
    given = {"id": "id", "start": "start", "stop": "stop", "event": "event"}
    cut = SurvivalChurn("time_varying_cox").fit(rows, **given)
    whole = SurvivalChurn().fit(frame, duration, event)
    # the penalty is weighed by rows, of which there are twice as many; otherwise it is the same likelihood
    assert cut.calibration_slope_ == pytest.approx(whole.calibration_slope_, abs=0.02)
    np.testing.assert_array_equal(fold_of(episodes(rows, "stop", "event", "start", "id"), 5, 0)[:450],
                                  fold_of(episodes(frame, duration, event), 5, 0))  # fmt: skip


def test_the_same_seed_gives_the_same_slope():
    frame, duration, event = crowd(450, 3)
    first, again, other = (SurvivalChurn(seed=s).fit(frame, duration, event) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.coefficients_, again.coefficients_)
    assert first.calibration_slope_ != other.calibration_slope_


def test_rare_categories_may_be_in_one_fold_only():
    frame, duration, event = crowd(300, 3, columns=3)
    rare = frame.with_columns(plan=pl.Series(["gold"] * 2 + ["a", "b"] * 149))
    for model in ("cox", "weibull"):
        for penalizer in (0.0, 0.001):
            fitted = SurvivalChurn(model, penalizer).fit(rare, duration, event)
            assert 0.5 < fitted.calibration_slope_ <= 1
    # of a single column, which does not vary without its one customer
    with pytest.warns(AttribWarning):
        SurvivalChurn().fit(pl.DataFrame({"x": [1.0] + [0.0] * 299}), duration, event)


def test_what_cannot_be_calibrated_is_said():
    frame, duration, event = crowd(300, 3, columns=3)
    few = np.flatnonzero(event)[:4]
    left = np.isin(np.arange(300), few)
    with pytest.raises(DataError, match=r"4 customers left: too few for the 5 folds .* or calibration=None") as error:
        SurvivalChurn().fit(frame, duration, left)
    assert error.value.key == "too_few_events"
    assert SurvivalChurn(calibration=None).fit(frame, duration, left).calibration_slope_ is None
    assert SurvivalChurn("kaplan_meier").fit(None, duration, left).calibration_slope_ is None
    # two columns that differ in one customer only are the same without them
    twins = frame.with_columns(y=pl.col("x0") + pl.Series([1.0] + [0.0] * 299))
    with pytest.raises(
        SolveError, match=r"calibration without fold \d of 5: .*; calibration=None does without"
    ) as error:
        SurvivalChurn(penalizer=0).fit(twins, duration, event)
    assert error.value.key == "no_convergence"
    for given in ({"calibration": "sigmoid"}, {"calibration": True}, {"folds": 1}, {"seed": -1}, {"folds": "5"}):
        with pytest.raises(SpecError) as error:
            SurvivalChurn(**given).fit(frame, duration, event)
        assert error.value.key == "bad_parameter"
    with pytest.raises(SpecError, match=r"'90d' is not a finite number from 0; in the unit of the durations"):
        SurvivalChurn(horizon="90d").fit(frame, duration, event)
    with pytest.raises(DataError):
        SurvivalChurn().fit(frame, duration, event, id=np.arange(299))


def test_files_of_before_have_no_slope():
    frame, duration, event = crowd(300, 3, columns=3)
    fitted = SurvivalChurn(calibration=None).fit(frame, duration, event)
    plain, arrays = fitted.state()
    del plain["calibration_slope"]
    for name in ("calibration", "folds", "seed"):
        del plain["parameters"][name]
    again = SurvivalChurn.from_state(plain, arrays)
    np.testing.assert_array_equal(again.risk(frame), fitted.risk(frame))
    assert again.calibration_slope_ is None


@pytest.mark.real_data
def test_telco_needs_next_to_none(shared_data):
    table = pl.read_csv(shared_data / "telco_churn.csv", null_values=[" "])
    frame = table.drop("customerID", "TotalCharges", "Churn", "tenure")
    fitted = SurvivalChurn().fit(frame, table["tenure"], table["Churn"])
    assert 0.97 < fitted.calibration_slope_ < 1
