"""Lift tests and credit combined: against brute-force integration, and in the limits where the answer is plain."""

import math
import warnings

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import attrib
from attrib.analyses.multipliers import Posterior
from attrib.errors import AttribWarning, DataError, SpecError

KINDS = pl.Enum(["player", "unattributed", "baseline"])


def table(rows, keys=("channel",), methods=("linear",)):
    """A credit table with intervals: rows are (keys…, kind, conversions, value, half width)."""
    numbers = ("conversions", "value", "conversions_low", "conversions_high", "value_low", "value_high")
    types = dict.fromkeys(keys, pl.String) | {"kind": KINDS, "method": pl.String} | dict.fromkeys(numbers, pl.Float64)
    if "stage" in types:
        types["stage"] = pl.Enum(["see", "do"])
    n = len(keys) + 1
    filled = [
        (*row[:n], method, c, v, c - half, c + half, v - 10 * half, v + 10 * half)
        for *row, c, v, half in rows
        for method in methods
    ]
    return pl.DataFrame(filled, types, orient="row")


CREDIT = table(
    [
        (None, "unattributed", 20.0, 200.0, 5.0),
        ("ad", "player", 100.0, 1000.0, 19.6),
        ("mail", "player", 60.0, 600.0, 9.8),
    ]
)


def lifts(*rows, **more):
    return pl.DataFrame(
        rows, {"channel": pl.String, "increment": pl.Float64, "standard_error": pl.Float64}, orient="row"
    )


def calibrated(credit, lift_tests, **options):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = attrib.calibrate(credit, lift_tests, **options)
    assert all(warning.category is AttribWarning for warning in seen)
    return found, [str(warning.message) for warning in seen]


def brute_force(tau, credit, credit_se, tested, tested_se, n=1_600):
    """Posterior of (k, k × c) on a grid of both, without a formula for either."""
    u = np.linspace(-7 * tau, 7 * tau, n)
    c = np.linspace(credit - 7 * credit_se, credit + 7 * credit_se, n)
    logs = (
        -0.5 * (u[:, None] / tau) ** 2
        - 0.5 * ((c[None, :] - credit) / credit_se) ** 2
        - 0.5 * ((tested - np.exp(u)[:, None] * c[None, :]) / tested_se) ** 2
    )
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    product = (np.exp(u)[:, None] * c[None, :]).ravel()
    order = np.argsort(product)
    cumulated = np.cumsum(weight.ravel()[order])
    quantiles = [product[order][np.searchsorted(cumulated, p)] for p in (0.025, 0.5, 0.975)]
    of_k = np.cumsum(weight.sum(axis=1))
    return quantiles, [math.exp(np.interp(p, of_k, u)) for p in (0.025, 0.5, 0.975)]


@pytest.mark.parametrize(
    ("credit", "credit_se", "tested", "tested_se", "tau"),
    [
        (100, 10, 40, 15, 0.7),
        (100, 30, -20, 25, 0.7),
        (5, 4, 60, 20, 1.0),
        (100, 1, 101, 30, 0.2),
        (300, 20, 0, 40, 0.7),
    ],
)
def test_posterior_equals_brute_force(credit, credit_se, tested, tested_se, tau):
    found = Posterior.of(tau, credit, credit_se, tested, tested_se)
    product, factor = brute_force(tau, credit, credit_se, tested, tested_se)
    levels = (0.025, 0.5, 0.975)
    scale = abs(product[2] - product[0])
    np.testing.assert_allclose(found.quantiles(levels), product, atol=0.005 * scale)
    np.testing.assert_allclose(found.factors(levels), factor, rtol=0.01)


def test_a_test_without_information_changes_nothing():
    found, notes = calibrated(CREDIT, lifts(("ad", 5000.0, 1e9)))
    row = found.tests.row(0, named=True)
    assert row["multiplier"] == pytest.approx(1.0, abs=1e-6)
    assert row["calibrated"] == pytest.approx(100.0, rel=0.02)  # the median of a log-normal times a normal
    untested = Posterior.of(math.log(2), 100.0, 10.0).quantiles((0.025, 0.975))
    assert (row["calibrated_low"], row["calibrated_high"]) == pytest.approx(untested, rel=1e-6)
    assert notes == [] or "exceeds" in notes[0]


def test_a_precise_test_is_believed():
    found, _ = calibrated(CREDIT, lifts(("ad", 40.0, 0.01)))
    row = found.tests.row(0, named=True)
    assert row["calibrated"] == pytest.approx(40.0, abs=0.01)
    assert row["calibrated_high"] - row["calibrated_low"] == pytest.approx(2 * 1.96 * 0.01, rel=0.05)
    assert row["multiplier"] == pytest.approx(0.4, rel=0.02)


@pytest.mark.parametrize("increment", [0.0, -30.0])
def test_results_of_zero_and_less_are_data(increment):
    found, _ = calibrated(CREDIT, lifts(("ad", increment, 10.0)))
    row = found.tests.row(0, named=True)
    assert 0 < row["calibrated"] < 30
    assert row["z"] < -5


def test_more_tests_are_one_of_their_weighted_mean():
    two, _ = calibrated(CREDIT, lifts(("ad", 40.0, 10.0), ("ad", 80.0, 20.0)))
    weights = 1 / 10**2, 1 / 20**2
    one, _ = calibrated(CREDIT, lifts(("ad", (40 * weights[0] + 80 * weights[1]) / sum(weights), sum(weights) ** -0.5)))
    assert two.tests["tests"].to_list() == [2]
    agreement = ("tests", "q", "q_p", "i_squared")
    assert_frame_equal(two.tests.drop(agreement), one.tests.drop(agreement))
    assert_frame_equal(two.credit, one.credit)


def test_what_is_left_is_the_baseline_and_nothing_is_lost():
    found, notes = calibrated(CREDIT, lifts(("ad", 40.0, 5.0), ("mail", 30.0, 5.0)))
    assert len(notes) == 1  # both tests are further from the credit than errors explain
    assert "ad by linear (credit 100, tested 40, z = -5.4), mail by linear" in notes[0]
    credit = found.credit
    assert credit["conversions"].sum() == pytest.approx(180.0)
    assert credit["value"].sum() == pytest.approx(1800.0)
    assert credit["share"].sum() == pytest.approx(1.0)
    rows = {(r["channel"], r["kind"]): r for r in credit.iter_rows(named=True)}
    assert rows[None, "unattributed"]["conversions"] == 20.0
    baseline = rows[None, "baseline"]
    assert baseline["conversions"] == pytest.approx(
        180 - 20 - rows["ad", "player"]["conversions"] - rows["mail", "player"]["conversions"]
    )
    assert baseline["conversions_low"] < baseline["conversions"] < baseline["conversions_high"]
    ad = rows["ad", "player"]
    assert ad["value"] == pytest.approx(10 * ad["conversions"])
    tested = found.tests.filter(channel="ad").row(0, named=True)
    assert (ad["conversions"], ad["conversions_low"], ad["conversions_high"]) == pytest.approx(
        (tested["calibrated"], tested["calibrated_low"], tested["calibrated_high"])
    )


def test_channels_without_a_test_keep_their_credit_with_the_width_of_the_prior():
    found, _ = calibrated(CREDIT, lifts(("ad", 40.0, 5.0)))
    mail = found.credit.filter(channel="mail").row(0, named=True)
    assert mail["conversions"] == pytest.approx(60.0, rel=0.02)
    assert mail["conversions_low"] == pytest.approx(60 * math.exp(-1.96 * math.log(2)), rel=0.05)
    assert "mail" not in found.tests["channel"].to_list()


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Truth drawn from the prior, the credit and the test from the model: 95 % of the intervals hold it."""
    rng = np.random.default_rng(3)
    n, held = 400, 0
    tau, credit_se, tested_se = 0.7, 12.0, 15.0
    for _ in range(n):
        limit = 100.0
        truth = limit * math.exp(tau * rng.standard_normal())
        posterior = Posterior.of(
            tau,
            limit + credit_se * rng.standard_normal(),
            credit_se,
            truth + tested_se * rng.standard_normal(),
            tested_se,
        )
        low, high = posterior.quantiles((0.025, 0.975))
        held += low <= truth <= high
    assert abs(held / n - 0.95) < 3 * math.sqrt(0.95 * 0.05 / n)


def test_each_method_has_its_own_factor():
    credit = table(
        [("ad", "player", 100.0, 1000.0, 10.0), ("mail", "player", 60.0, 600.0, 9.0)], methods=("linear", "last_touch")
    )
    credit = credit.with_columns(
        pl.when((pl.col("channel") == "ad") & (pl.col("method") == "last_touch"))
        .then(20.0)
        .otherwise(pl.col("conversions"))
        .alias("conversions")
    )
    found, _ = calibrated(credit, lifts(("ad", 50.0, 3.0)))
    factors = dict(found.tests.select("method", "multiplier").iter_rows())
    assert factors["linear"] < 1 < factors["last_touch"]


def test_a_stage_of_the_resolved_view_or_all_together():
    rows = [
        (None, None, "unattributed", 10.0, 100.0, 1.0),
        ("see", "ad", "player", 60.0, 600.0, 6.0),
        ("do", "ad", "player", 40.0, 400.0, 4.0),
    ]
    credit = table(rows, keys=("stage", "channel"))
    together, _ = calibrated(credit, lifts(("ad", 50.0, 2.0)))
    assert together.tests["credit"].to_list() == [100.0]
    moved = together.credit.filter(kind="player")["conversions"]
    assert moved.sum() == pytest.approx(together.tests["calibrated"][0])
    assert moved[0] / moved[1] == pytest.approx(1.5)
    one, _ = calibrated(credit, lifts(("ad", 50.0, 2.0)).with_columns(stage=pl.lit("do")))
    kept = one.credit.filter(stage="see", kind="player")["conversions"][0]
    assert kept == pytest.approx(60.0, rel=0.02)


def test_stages_that_count_their_own_conversions_need_a_stage():
    rows = [
        ("see", None, "unattributed", 10.0, 100.0, 1.0),
        ("do", None, "unattributed", 10.0, 100.0, 1.0),
        ("see", "ad", "player", 60.0, 600.0, 6.0),
        ("do", "ad", "player", 40.0, 400.0, 4.0),
    ]
    credit = table(rows, keys=("stage", "channel"))
    with pytest.raises(DataError) as caught:
        attrib.calibrate(credit, lifts(("ad", 50.0, 2.0)))
    assert caught.value.key == "stage_not_given"
    found, _ = calibrated(credit, lifts(("ad", 20.0, 1.0)).with_columns(stage=pl.lit("do")))
    sums = found.credit.group_by("stage", maintain_order=True).agg(pl.col("conversions").sum())
    assert sums["conversions"].to_list() == pytest.approx([70.0, 50.0])


@pytest.mark.parametrize(
    ("rows", "key"),
    [
        ([], "bad_lift_tests"),
        ([("ad", None, 1.0)], "bad_lift_tests"),
        ([("ad", math.nan, 1.0)], "bad_lift_tests"),
        ([("ad", 1.0, 0.0)], "bad_lift_tests"),
        ([("ad", 1.0, -1.0)], "bad_lift_tests"),
        ([("ad", 1.0, math.inf)], "bad_lift_tests"),
        ([("adx", 1.0, 1.0)], "unknown_player"),
    ],
)
def test_tests_that_cannot_be_used(rows, key):
    with pytest.raises(DataError) as caught:
        attrib.calibrate(CREDIT, lifts(*rows))
    assert caught.value.key == key


def test_arguments_that_cannot_be_used():
    good = lifts(("ad", 40.0, 10.0))
    for options in ({"tau": 0}, {"tau": "a"}, {"level": 1.0}, {"tau": True}):
        with pytest.raises(SpecError):
            attrib.calibrate(CREDIT, good, **options)
    outcomes = pl.concat([good.with_columns(outcome=pl.lit(o)) for o in ("purchase", "signup")])
    with pytest.raises(SpecError, match="2 outcomes"):
        attrib.calibrate(CREDIT, outcomes)
    found, _ = calibrated(CREDIT, outcomes, outcome="purchase")
    assert found.tests["tests"].to_list() == [1]
    with pytest.raises(SpecError, match="no test of 'visit'"):
        attrib.calibrate(CREDIT, outcomes, outcome="visit")
    with pytest.raises(DataError, match="increment"):
        attrib.calibrate(CREDIT, good.drop("increment"))


def test_other_spellings_of_the_error_and_own_names():
    good = lifts(("ad", 40.0, 10.0))
    wanted = attrib.calibrate(CREDIT, good).tests
    assert_frame_equal(attrib.calibrate(CREDIT, good.rename({"standard_error": "se"})).tests, wanted)
    own = good.rename({"standard_error": "err", "increment": "lift"})
    assert_frame_equal(
        attrib.calibrate(CREDIT, own, columns={"standard_error": "err", "increment": "lift"}).tests, wanted
    )


def test_credit_without_intervals_and_without_credit_warns():
    bare = CREDIT.select("channel", "kind", "method", "conversions", "value")
    found, notes = calibrated(bare, lifts(("ad", 40.0, 10.0)))
    assert any("no intervals" in note for note in notes)
    assert found.tests["credit_se"].to_list() == [0.0]
    nothing = CREDIT.with_columns(
        pl.when(pl.col("channel") == "ad").then(-3.0).otherwise(pl.col("conversions")).alias("conversions")
    )
    _, notes = calibrated(nothing, lifts(("ad", 40.0, 10.0)))
    assert any("no factor" in note for note in notes)


def test_a_real_credit_table():
    paths = pl.DataFrame(
        {"path": ["ad > mail", "mail", "seo"], "total_conversions": [400, 200, 0], "total_null": [600, 200, 50]}
    )
    credit = attrib.credit(attrib.Journeys.from_paths(paths), [attrib.Linear(), attrib.Markov()])
    found, _ = calibrated(credit, lifts(("ad", 90.0, 30.0)))
    assert set(found.credit["method"]) == set(credit["method"])
    sums = found.credit.group_by("method").agg(pl.col("conversions").sum())["conversions"].to_list()
    assert sums == pytest.approx([600.0, 600.0])
    assert "tests, 2 rows" in repr(found)
    assert f"credit, {found.credit.height} rows" in repr(found)
    assert " [" in repr(found)  # intervals beside the points


def brute_multiplier(credit, credit_se, tested, tested_se, tau):
    """Median of the factor by a sum over a fine even grid of its logarithm, 60 standard deviations either way."""
    reach = max(60 * tau, 30)  # a narrow prior may be further than that from a test that is sure of itself
    u = np.linspace(-reach, reach, 400_001)
    variance = (np.exp(u) * credit_se) ** 2 + tested_se**2
    logs = -0.5 * (u / tau) ** 2 - 0.5 * np.log(variance) - 0.5 * (tested - np.exp(u) * credit) ** 2 / variance
    weight = np.cumsum(np.exp(logs - logs.max()))
    return math.exp(np.interp(0.5, weight / weight[-1], u))


@pytest.mark.parametrize("tau", [0.1, math.log(2), 3.0])
@pytest.mark.parametrize("credit_se", [0.0, 2.8, 40.0])
@pytest.mark.parametrize(
    ("tested", "tested_se"),
    [
        (2_000, 100), (2e5, 100), (2e9, 1e6), (-500, 1), (-5e6, 1e3), (1e-6, 1e-8), (0, 1e-3), (20, 1e-3), (20.5, 5),
        (0.02, 0.001), (1e4, 1e4),
    ],
)  # fmt: skip
def test_factors_are_found_wherever_they_are(tested, tested_se, credit_se, tau):
    found = Posterior.of(tau, 20.1, credit_se, tested, tested_se)
    factor = found.factors((0.5,))[0]
    if credit_se or tested_se > 1e-5 * abs(tested):  # else the peak is narrower than a step of the even grid
        assert factor == pytest.approx(brute_multiplier(20.1, credit_se, tested, tested_se, tau), rel=2e-3)
    elif tested > 0:
        assert factor == pytest.approx(tested / 20.1, rel=1e-3)
    low, middle, high = found.quantiles((0.025, 0.5, 0.975))
    assert low <= middle <= high
    assert np.isfinite([low, middle, high]).all()


@pytest.mark.parametrize("credit_se", [0.0, 24.0])
@pytest.mark.parametrize("credit", [0.0, 600.0, -600.0])
@pytest.mark.parametrize("tested_se", [5e-324, 1e-9, 1.0, 1e155, 1e300])
@pytest.mark.parametrize("tested", [0.0, 10.0, -10.0, 1e20, 1e300, -1e300])
def test_whatever_the_numbers_there_is_an_answer_or_an_error_of_ours(tested, tested_se, credit, credit_se):
    try:
        found = Posterior.of(math.log(2), credit, credit_se, tested, tested_se)
        numbers = [*found.factors((0.025, 0.5, 0.975)), *found.quantiles((0.025, 0.5, 0.975)), found.sd_of()]
    except DataError as error:
        assert error.key == "bad_lift_tests"  # noqa: PT017 - either will do
        return
    assert np.isfinite(numbers).all()
    if credit == credit_se == 0 or tested_se >= 1e300 > abs(tested):  # the test says nothing of the factor
        assert numbers[0] == pytest.approx(math.exp(-1.959964 * math.log(2)), rel=1e-4)


def test_a_test_on_the_other_side_of_zero_is_weighed_with_all_digits():
    """z = 6·10¹¹: what all factors miss alike is left out; the mode solves u / tau² + k·c·(k·c − t) / s² = 0."""
    tested, se, credit, tau = -5.0, 1e-9, 600.0, math.log(2)
    found = Posterior.of(tau, credit, 0.0, tested, se)
    u = np.log(found.k[np.argmax(np.gradient(found.below, np.log(found.k)))])
    k = math.exp(u)
    assert u / tau**2 + k * credit * (k * credit - tested) / se**2 == pytest.approx(0, abs=1.5)


def test_a_test_far_away_is_believed_as_far_as_its_error_says():
    """Without an error of its own the credit gives way, however far the test is."""
    for tested in (1e-9, 1e-3, 1e12):
        found = Posterior.of(math.log(2), 20.0, 0.0, tested, tested * 1e-9)
        assert found.factors((0.5,))[0] == pytest.approx(tested / 20, rel=1e-6)
        low, high = found.quantiles((0.025, 0.975))
        assert high - low == pytest.approx(2 * 1.96 * tested * 1e-9, rel=0.01)


def test_tests_that_contradict_each_other_are_told():
    """Q by hand: 40 ± 10 and 80 ± 5 have the mean 72; 32² / 10² + 8² / 5² = 12.8 of one degree of freedom."""
    found, notes = calibrated(CREDIT, lifts(("ad", 40.0, 10.0), ("ad", 80.0, 5.0), ("mail", 60.0, 9.0)))
    ad, mail = found.tests.rows(named=True)
    assert ad["tested"] == pytest.approx(72)
    assert ad["q"] == pytest.approx(12.8)
    assert ad["q_p"] == pytest.approx(math.erfc(math.sqrt(12.8 / 2)))  # chi-squared of one degree: a normal's two tails
    assert ad["i_squared"] == pytest.approx(11.8 / 12.8)
    assert (mail["q"], mail["q_p"], mail["i_squared"]) == (None, None, None)
    assert len(notes) == 1
    assert "2 lift tests of ad contradict each other: 40 ± 10, 80 ± 5 (Q = 12.8, p = 0.00035, I² = 92%)" in notes[0]


def test_tests_that_agree_are_not_told():
    found, notes = calibrated(CREDIT, lifts(("ad", 90.0, 10.0), ("ad", 100.0, 10.0), ("ad", 95.0, 30.0)))
    assert found.tests["q_p"].item() > 0.5
    assert found.tests["i_squared"].item() == 0
    assert notes == []


def test_a_test_that_contradicts_the_credit_is_told_with_both():
    _, notes = calibrated(CREDIT, lifts(("ad", 900.0, 100.0), ("mail", 70.0, 9.0)))
    assert any("ad by linear (credit 100, tested 900, z = 8.0)" in note for note in notes)
    assert not any("mail by" in note for note in notes)


def test_many_contradictions_are_cut_and_hostile_names_are_harmless():
    names = [f"a{at}\x1b[2J" for at in range(8)]
    credit = table([(None, "unattributed", 0.0, 0.0, 0.0), *((n, "player", 100.0, 1000.0, 10.0) for n in names)])
    rows = [(name, increment, 1.0) for name in names for increment in (90.0, 100.0, 110.0)]
    _, notes = calibrated(credit, lifts(*rows))
    assert sum("lift tests of a" in note for note in notes) == 5
    assert any("the lift tests of 3 more groups contradict each other" in note for note in notes)
    assert not any("\x1b" in note for note in notes)
