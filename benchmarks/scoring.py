"""Scoring: python -m benchmarks.scoring. What fitted models of churn, referral and value take for a million customers.

Features are those of `attrib.snapshot`: rows of a small generated market, drawn until there are as many as are asked
for. Models learn from the small market outside the clock. Beside it the snapshot of as many events itself, at one date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

from benchmarks.data import SEED, events, tables
from benchmarks.measure import timed
from benchmarks.peak import forget_peak
from benchmarks.record import Rows, measure, medians, options, save, show

START = datetime(2025, 1, 1)  # noqa: DTZ001 - times of the generated data have no zone
AT, HORIZON = START + timedelta(days=210), 90.0
SMALL = 20_000  # customers of the market to learn from
ALONE = 1_000  # rows that are scored alone too
Score = Callable[[int], Any]  # scores the first so many customers


@cache
def market() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training rows (about churn and referral) of a small market with contracts."""
    import attrib
    from attrib import synth

    data = synth.generate(SMALL, SEED, population=synth.Population(later=synth.Later(refers=0.005)))
    asked = {"at": AT, "stages": "five", "end": START + timedelta(days=365)}
    churn, referral = (
        attrib.snapshot(data.touchpoints, data.outcomes, **asked, **question)
        for question in ({"churn": "cancel", "population": "everyone"}, {"target": "referral"})
    )
    return churn, referral


def many(table: pl.DataFrame, customers: int) -> pl.DataFrame:
    """As many rows of features, drawn from those of the table."""
    rows = np.random.default_rng(SEED).integers(0, table.height, customers)
    return features(table)[rows]


def features(table: pl.DataFrame) -> pl.DataFrame:
    """Columns that vary: the others would be warned of."""
    table = table.drop("customer_id", "date", "label")
    return table.select(column for column in table if column.n_unique() > 1)


def histories(customers: int) -> pl.DataFrame:
    """Purchase histories of BG/NBD, in whole days as `purchase_summary` gives them, and mean order values."""
    rng = np.random.default_rng(SEED)
    end = rng.integers(1, 731, customers).astype(np.float64)
    would = rng.poisson(rng.gamma(1.2, 1 / 50, customers) * end)  # purchases of those who never leave
    frequency = np.minimum(would, rng.geometric(rng.beta(0.8, 2.4, customers).clip(1e-9)))
    last = rng.beta(np.maximum(frequency, 1), would - frequency + 1)  # of so many instants in order
    recency = np.where(frequency > 0, np.maximum(np.ceil(end * last), 1), 0)
    monetary = 48 * rng.gamma(4, 1, customers) / rng.gamma(5, 1, customers)
    columns = {"frequency": frequency, "recency": recency, "T": end, "monetary": monetary}
    return pl.DataFrame(columns).with_columns(pl.when(pl.col("frequency") > 0).then("monetary").alias("monetary"))


def churn(customers: int, model: str) -> Score:
    """Chances to leave by a classifier."""
    from attrib.lifecycle import ChurnClassifier

    table = market()[0]
    fitted = ChurnClassifier(model=model, check_leaks=False).fit(features(table), table["label"])  # type: ignore[arg-type]
    frame = many(table, customers)
    return lambda n: fitted.predict_proba(frame[:n])[:, 1]


def referral(customers: int) -> Score:
    """Chances to refer, were the customer asked."""
    from attrib.lifecycle import ReferralLikelihood

    table = market()[1]
    asked = np.random.default_rng(SEED).random(table.height) < 0.5
    fitted = ReferralLikelihood(check_leaks=False).fit(features(table), table["label"], asked=asked, propensity=0.5)
    frame = many(table, customers)
    return lambda n: fitted.predict_proba(frame[:n], asked=True)[:, 1]


def survival(customers: int) -> Score:
    """Chances to leave within the horizon by Cox's model, each customer at their own tenure."""
    from attrib.lifecycle import SurvivalChurn

    table = market()[0]
    rng = np.random.default_rng(SEED)
    tenure = rng.uniform(1, 400, table.height).round()
    fitted = SurvivalChurn("cox", penalizer=0.01).fit(features(table), tenure, table["label"])
    frame, now = many(table, customers), rng.uniform(0, 300, customers).round()
    return lambda n: fitted.predict_churn(frame[:n], HORIZON, now[:n])


def buying(customers: int) -> Score:
    """Chances to be alive and expected purchases by BG/NBD."""
    from attrib.lifecycle import BetaGeoNBD

    rows = histories(customers).select("frequency", "recency", "T")
    fitted = BetaGeoNBD().fit(*histories(SMALL)[:, :3])
    return lambda n: fitted.p_alive(*rows[:n]) + fitted.expected_purchases(HORIZON, *rows[:n])


def order_values(customers: int) -> Score:
    """Expected order values by Gamma-Gamma."""
    from attrib.lifecycle import GammaGamma

    rows = histories(customers).select("frequency", "monetary")
    fitted = GammaGamma().fit(*histories(SMALL)["frequency", "monetary"])
    return lambda n: fitted.expected_value(*rows[:n])


def value(customers: int, draws: int) -> Score:
    """Discounted lifetime values, with so many draws of the parameters for intervals."""
    from attrib.lifecycle import BetaGeoNBD, GammaGamma, lifetime_value

    rows, past = histories(customers), histories(SMALL)
    models = BetaGeoNBD().fit(*past[:, :3]), GammaGamma().fit(past["frequency"], past["monetary"])
    return lambda n: (
        lifetime_value(*models, *rows[:n], 365.0, discount=0.0002, draws=draws).customers["value"].to_numpy()
    )


CASES: dict[str, Callable[[int], Score]] = {
    "ChurnClassifier, logistic": lambda n: churn(n, "logistic"),
    "ChurnClassifier, boosting": lambda n: churn(n, "boosting"),
    "ReferralLikelihood": referral,
    "SurvivalChurn, Cox": survival,
    "BetaGeoNBD": buying,
    "GammaGamma": order_values,
    "lifetime_value": lambda n: value(n, 0),
    "lifetime_value, intervals of 200 draws": lambda n: value(n, 200),
}
SNAPSHOT = "snapshot"


def score(case: str, customers: int, repeats: int) -> dict[str, Any]:
    """Measure one model in this process; some customers are scored alone too, to the same numbers."""
    scores = CASES[case](customers)
    forget_peak()
    found = timed(lambda: scores(customers), repeats)
    answer, alone = found.pop("answer"), scores(min(ALONE, customers))
    if not np.isfinite(answer).all() or not (answer[: len(alone)] == alone).all():
        raise SystemExit(f"{case}: scores are no numbers, or others for the same customers alone")
    return found | {"rows": len(answer)}


def describe(touchpoints: int, repeats: int) -> dict[str, Any]:
    """Measure the snapshot of generated events at one date; each customer with an event before it has a row."""
    import attrib

    files = tables(events(touchpoints))
    forget_peak()
    found = timed(lambda: attrib.snapshot(*files, at=AT, stages="five", target="purchase"), repeats)
    table = found.pop("answer")
    seen = pl.concat([pl.scan_parquet(file).filter(pl.col("timestamp") < AT).select("customer_id") for file in files])
    customers = seen.select(pl.col("customer_id").n_unique()).collect().item()
    if table.height != customers:
        raise SystemExit(f"the snapshot has {table.height} rows for {customers} customers")
    return found | {"rows": table.height}


def rows_of(customers: int, repeats: int) -> Rows:
    """Measure all models."""
    return [_row(case, customers, measure("scoring", "one", case, customers, repeats)) for case in CASES]


def snapshots_of(touchpoints: int, repeats: int) -> Rows:
    """Measure the snapshot."""
    events(touchpoints)  # outside the measured process
    return [_row(SNAPSHOT, touchpoints, measure("scoring", "one", SNAPSHOT, touchpoints, repeats))]


def one(case: str, size: int, repeats: int) -> dict[str, Any]:
    """Measure one case in this process."""
    return describe(size, repeats) if case == SNAPSHOT else score(case, size, repeats)


def _row(case: str, size: int, found: dict[str, Any]) -> dict[str, Any]:
    return {"case": case, "size": size, "rows": found["rows"], **medians(found)}


def main() -> None:
    """Measure, print, and write scoring.csv into benchmarks/results."""
    if sys.argv[1:2] == ["one"]:
        case, size, repeats = sys.argv[2:]
        print(json.dumps(one(case, int(size), int(repeats))))
        return
    parser = options(__doc__, touchpoints=[1e6])
    parser.add_argument("--customers", type=float, default=1e6)
    arguments, console = parser.parse_args(), Console()
    console.print(f"measuring scores of {int(arguments.customers):,} customers …")
    rows = rows_of(int(arguments.customers), arguments.repeats)
    for size in map(int, arguments.touchpoints):
        console.print(f"measuring the snapshot of {size:,} touchpoints …")
        rows += snapshots_of(size, arguments.repeats)
    show(console, "scores of customers, and their features, medians", rows)
    save(rows, arguments.out / "scoring.csv", seed=SEED)


if __name__ == "__main__":
    main()
