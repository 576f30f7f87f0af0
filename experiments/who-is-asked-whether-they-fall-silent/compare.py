"""The churn models as shipped, on generated customers who cancel: with those who have left among the rows, and without.

Run from the repository: ``python experiments/who-is-asked-whether-they-fall-silent/compare.py``; writes results.csv
beside itself.
"""

from __future__ import annotations

import tomllib
import warnings
from datetime import date
from pathlib import Path

import polars as pl

import attrib
from attrib import lifecycle

HERE = Path(__file__).parent
TRAIN, TEST = [date(2025, 4, 1), date(2025, 5, 1), date(2025, 6, 1)], date(2025, 9, 20)
MARKETS = {
    "contracts, one in three cancels": attrib.synth.Later(scale=150.0),
    "contracts, few cancel": attrib.synth.Later(scale=600.0),
}


def rows(
    data: attrib.synth.Synthetic, asked: dict, when: object, channels: list[str] | None, cancelled: object
) -> pl.DataFrame:
    return attrib.snapshot(
        data.touchpoints, data.outcomes, at=when, channels=channels, cancelled=cancelled, population="customers",
        **{name: asked[name] for name in ("window", "gap", "horizon", "churn")},
    )  # fmt: skip


def judged(data: attrib.synth.Synthetic, model: lifecycle.ChurnClassifier, asked: dict, cancelled: object) -> tuple:
    then = rows(data, asked, TRAIN, None, cancelled)
    channels = [name.removeprefix("touches:") for name in then.columns if name.startswith("touches:")][:-1]
    later = rows(data, asked, TEST, channels, cancelled)
    gone = data.outcomes.filter(pl.col("outcome") == "cancel", pl.col("timestamp") < TEST)["customer_id"].unique()
    model.fit(then.drop("customer_id", "date", "label"), then["label"], customers=then["customer_id"])
    found = lifecycle.evaluate_classifier(
        later["label"], model.predict_proba(later)[:, 1], later["customer_id"], replicates=20
    )
    auc, brier = (found.filter(metric=name)["value"][0] for name in ("auc", "brier"))
    still = ~later["customer_id"].is_in(gone.implode())
    alone = later.filter(still)
    there = lifecycle.evaluate_classifier(
        alone["label"], model.predict_proba(alone)[:, 1], alone["customer_id"], replicates=20
    )
    named = 0 if model.leaks_ is None else model.leaks_["leak"].drop_nulls().len()
    inside = there.filter(metric="auc")["value"][0]
    return later.height, int((~still).sum()), float(later["label"].mean()), auc, inside, brier, named


def main() -> None:
    warnings.simplefilter("ignore")
    found = []
    for market, habits in MARKETS.items():
        data = attrib.synth.generate(customers=8000, seed=3, population=attrib.synth.Population(later=habits))
        for name in ("churn-logistic", "churn-boosting"):
            spec = tomllib.loads((HERE.parents[1] / "models" / name / "model.toml").read_text("utf-8"))
            for asked, cancelled in (("everybody (before)", []), ("who is still there (after)", ["cancel"])):
                model = lifecycle.ChurnClassifier(**spec["parameters"])
                found.append((market, name, asked, *judged(data, model, spec["snapshot"], cancelled)))
    columns = [
        "market",
        "model",
        "asked",
        "rows",
        "have_left",
        "silent",
        "auc",
        "auc_of_who_is_there",
        "brier",
        "leaks",
    ]
    table = pl.DataFrame(found, columns, orient="row").with_columns(pl.col(pl.Float64).round(3))
    table.write_csv(HERE / "results.csv")
    with pl.Config(tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=60, tbl_width_chars=180):
        print(table)


if __name__ == "__main__":
    main()
