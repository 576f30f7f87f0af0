"""Coverage of 95 % intervals of the survival models and of uplift, by data sets whose truth is known.

Run from the repository: ``python experiments/do-intervals-of-later-models-cover/simulate.py [data sets]``. Takes some
minutes for 200; writes results.csv beside itself.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl

import attrib
from attrib.lifecycle import ReferralLikelihood, SurvivalChurn, contract_value

SLOPES = np.array([0.5, -0.3, 0.0, 0.0])
SCALE, SHAPE = 12.0, 1.3  # a Weibull distribution: it is both a Cox and a Weibull model
AT = pl.DataFrame({"x0": [0.0, 1.0, -1.0], "x1": [0.0, -1.0, 1.0], "x2": [0.0, 1.0, 0.0], "x3": [0.0, 0.0, -1.0]})


def survival(features: np.ndarray, time: float) -> np.ndarray:
    return np.exp(-((time / SCALE) ** SHAPE) * np.exp(features @ SLOPES))


def customers(rng: np.random.Generator, n: int) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    features = rng.normal(size=(n, 4))
    leaves = SCALE * (rng.exponential(size=n) / np.exp(features @ SLOPES)) ** (1 / SHAPE)
    seen = rng.uniform(1, 24, n)
    frame = pl.DataFrame({f"x{j}": features[:, j] for j in range(4)})
    return frame, np.minimum(leaves, seen), leaves <= seen


def several(
    rng: np.random.Generator, groups: int, rows: int
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Rows of a customer share their features in part and their luck in part; the margin is known: see below."""
    who = np.repeat(np.arange(groups), rows)
    features = rng.normal(size=(groups, 4))[who] * np.sqrt(0.7) + rng.normal(size=(groups * rows, 4)) * np.sqrt(0.3)
    from scipy.special import ndtr

    luck = ndtr(np.sqrt(0.7) * rng.normal(size=groups)[who] + np.sqrt(0.3) * rng.normal(size=groups * rows))
    leaves = SCALE * (-np.log(luck) / np.exp(features @ SLOPES)) ** (1 / SHAPE)  # a copula: each row's margin is exact
    seen = rng.uniform(1, 24, groups * rows)
    frame = pl.DataFrame({f"x{j}": features[:, j] for j in range(4)})
    return frame, np.minimum(leaves, seen), leaves <= seen, who


def survival_hits(tally: dict, model: str, n: int, seed: int, *, clustered: bool) -> None:
    rng = np.random.default_rng([seed, n, clustered])
    who = None
    if clustered:
        frame, duration, event, who = several(rng, n // 3, 3)
    else:
        frame, duration, event = customers(rng, n)
    name = f"{model}, {'3 rows a customer' if clustered else 'one row a customer'}"
    curve = model == "kaplan_meier"
    # intervals are those of the fit before it is shrunk; the shrunken prediction could only make them wider
    fitted = SurvivalChurn(model, calibration=None, check_leaks=False).fit(
        None if curve else frame, duration, event, id=who
    )
    points = AT.to_numpy()
    if not curve:
        sign = -SHAPE if model == "weibull" else 1.0
        found = fitted.summary().head(4)
        for column in range(4):
            truth = SLOPES[column] / sign
            low, high = found["low"][column], found["high"][column]
            tally[name, n, "coefficient"].append((low <= truth <= high, high - low))
    if curve:  # the mean over customers
        draws = np.random.default_rng(0).normal(size=(200_000, 4))
        truths = {t: np.array([survival(draws, t).mean()]) for t in (3, 6, 9, 12)}
        X = None
    else:
        truths = {t: survival(points, t) for t in (3, 6, 9, 12)}
        X = AT
    new = fitted.predict_churn(X, 6, level=0.95)
    hit(tally[name, n, "predict_churn(6), new"], new, "churn", 1 - truths[6])
    later = fitted.predict_churn(X, 6, [3.0] * len(new), level=0.95)
    hit(tally[name, n, "predict_churn(6), after 3"], later, "churn", 1 - truths[9] / truths[3])
    curves = fitted.predict_survival(X, [12.0], level=0.95)
    hit(tally[name, n, "predict_survival(12)"], curves, "survival", truths[12])
    value = contract_value(fitted, X, 10.0, 4, period=3.0)
    truth = 10 * sum(truths[t] for t in (3, 6, 9, 12))
    for low, high, true in zip(value["low"], value["high"], truth, strict=True):
        tally[name, n, "contract_value, 4 payments"].append((low <= true <= high, high - low))


def hit(tally: list, frame: pl.DataFrame, name: str, truth: np.ndarray) -> None:
    for low, high, true in zip(frame[f"{name}_low"], frame[f"{name}_high"], truth, strict=True):
        tally.append((low <= true <= high, high - low))


def uplift_hits(tally: dict, n: int, seed: int, *, clustered: bool) -> None:
    rng = np.random.default_rng([seed, n, 7, clustered])
    rows = 3 if clustered else 1
    who = np.repeat(np.arange(n // rows), rows)
    features = rng.normal(size=(n // rows, 3))[who]
    asked = rng.random(n) < 0.5

    def chance(x: np.ndarray, treated: np.ndarray | bool) -> np.ndarray:
        return 1 / (1 + np.exp(-(-2.0 + 0.4 * x[:, 0] + np.where(treated, 0.7 + 0.3 * x[:, 1], 0.0))))

    from scipy.special import ndtr

    luck = (
        ndtr(np.sqrt(0.5) * rng.normal(size=n // rows)[who] + np.sqrt(0.5) * rng.normal(size=n))
        if clustered
        else rng.random(n)
    )
    refers = luck < chance(features, asked)
    frame = pl.DataFrame({f"x{j}": features[:, j] for j in range(3)})
    model = ReferralLikelihood(check_leaks=False).fit(frame, refers, asked=asked, propensity=0.5, customers=who)
    points = np.array([[0.0, 0.0, 0.0], [1.0, -1.0, 0.0], [-1.0, 1.0, 1.0]])
    found = model.uplift(pl.DataFrame({f"x{j}": points[:, j] for j in range(3)}))
    name = f"uplift, {'3 rows a customer' if clustered else 'one row a customer'}"
    hit(tally[name, n, "uplift of a customer"], found, "uplift", chance(points, True) - chance(points, False))
    mean = model.report_["uplift"]
    truth = float((chance(features, True) - chance(features, False)).mean())
    tally[name, n, "mean uplift of training"].append((mean["low"] <= truth <= mean["high"], mean["high"] - mean["low"]))


def change_hits(tally: dict, n: int, share: float, features: int, seed: int, *, clustered: bool) -> None:
    """Of `next_action`: a mail by lot to some; rows of a customer (three dates) share their features and their luck."""
    from scipy.special import ndtr

    rng = np.random.default_rng([seed, n, features, 11, clustered])
    rows = 3 if clustered else 1
    who = np.repeat(np.arange(n // rows), rows)
    x = rng.normal(size=(n // rows, features))[who]
    mailed = rng.random(len(who)) < share

    def chance(x: np.ndarray, treated: np.ndarray | bool) -> np.ndarray:
        return 1 / (1 + np.exp(-(-1.2 + 0.4 * x[:, 0] + np.where(treated, 0.7 + 0.3 * x[:, 1], 0.0))))

    luck = rng.random(len(who))
    if clustered:
        luck = ndtr(np.sqrt(0.5) * rng.normal(size=n // rows)[who] + np.sqrt(0.5) * rng.normal(size=n))
    past = pl.DataFrame({f"x{j}": x[:, j] for j in range(features)}).with_columns(
        pl.Series("customer_id", who),
        pl.when(pl.Series(mailed)).then(pl.lit("mail")).alias("action"),
        pl.Series("advanced", (luck < chance(x, mailed)).astype(int)),
    )
    points = np.zeros((3, features))
    points[:, :3] = [[0.0, 0.0, 0.0], [1.0, -1.0, 0.0], [-1.0, 1.0, 1.0]]
    now = pl.DataFrame({f"x{j}": points[:, j] for j in range(features)}).with_columns(
        pl.Series("customer_id", range(3))
    )
    found = attrib.next_action(now, past, randomised=True, min_overlap=0.0).ranking.sort("customer_id")
    got = "rows" if clustered else "customers"
    name = f"next_action, {round(n * share)} of {n} {got} mailed, {features} features"
    name += ", 3 rows a customer" if clustered else ""
    truth = chance(points, treated=True) - chance(points, treated=False)
    for low, high, true in zip(found["change_low"], found["change_high"], truth, strict=True):
        tally[name, n, "change of a customer"].append((low <= true <= high, high - low))


def main(sets: int) -> None:
    tally: dict = defaultdict(list)
    warnings.simplefilter("ignore")
    for seed in range(sets):
        for clustered in (False, True):
            for model in ("cox", "weibull", "kaplan_meier"):
                survival_hits(tally, model, 300, seed, clustered=clustered)
            uplift_hits(tally, 1500, seed, clustered=clustered)
            change_hits(tally, 1500, 0.5, 4, seed, clustered=clustered)
        for share, features in ((0.5, 16), (0.1, 4), (0.1, 16)):
            change_hits(tally, 600, share, features, seed, clustered=False)
        if seed % 20 == 19:
            written(tally)
            print(seed + 1, flush=True)
    with pl.Config(tbl_rows=-1, fmt_str_lengths=60):
        print(written(tally))


def written(tally: dict) -> pl.DataFrame:
    rows = [
        (name, n, what, len(hits), float(np.mean([h for h, _ in hits])), float(np.median([w for _, w in hits])))
        for (name, n, what), hits in tally.items()
    ]
    table = pl.DataFrame(rows, ["model", "rows", "interval", "intervals", "coverage", "median_width"], orient="row")
    table = table.with_columns(pl.col("coverage", "median_width").round(3))
    table.write_csv(Path(__file__).parent / "results.csv")
    return table


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
