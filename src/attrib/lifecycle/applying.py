"""Models of the later stages and the data of a job: fitted to them, judged by them, applied to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from attrib.errors import DataError, SpecError, warn
from attrib.lifecycle import tables as rows_of
from attrib.lifecycle.judging import groups
from attrib.lifecycle.judging.drifting import drift
from attrib.lifecycle.saving.storage import SavedModel
from attrib.lifecycle.tables import EventTables, Rows
from attrib.schemas import CUSTOMER, DATE
from attrib.snapshots.events import Events
from attrib.spec_models import OF_PURCHASES


@dataclass(frozen=True, slots=True)
class Data:
    """The tables of a job file, what was read of them, and what identifies their files."""

    tables: EventTables
    events: Events
    inputs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def end(self) -> datetime:
        """Of the data."""
        return rows_of.end_of(self.events)


def fit_to(
    model: Any, kind: str, asked: dict[str, Any], data: Data
) -> tuple[rows_of.Dates, pl.DataFrame, dict[str, pl.DataFrame]]:
    """Fit a model; what was found out (channels) is added to what was asked."""
    if kind in OF_PURCHASES:
        held = timedelta(days=groups.days(asked["horizon"]))
        day = data.end - held if asked["holdout"] else data.end + timedelta(microseconds=1)
        day = day.replace(hour=0, minute=0, second=0, microsecond=0) if asked["holdout"] else day
        histories = rows_of.purchases_at(data.tables, asked, day)
        model.fit(*_history(kind, histories))
        return rows_of.Dates((day,), (day,) if asked["holdout"] else ()), histories.drop(CUSTOMER), {}
    dates = rows_of.split_dates(asked, data.end, data.events.zone)
    survival, referral = kind == "survival_churn", kind == "referral_likelihood"
    rows = rows_of.rows_at(
        data.tables, data.events, asked, dates.train, "survival" if survival else "train",
        end=dates.test[0] if survival and dates.test else None, referrals=referral and asked["target"] is None,
    )  # fmt: skip
    asked["channels"] = rows_of.channels_of(rows.features)
    if survival:
        # all of them are still there after the gap: time runs from there
        model.fit(rows.features, rows.labels["duration"] - groups.days(asked["gap"]), rows.labels["event"])
        return dates, rows.features, {}
    more = {"count": rows.labels["count"]} if "count" in rows.labels.columns else {}
    model.fit(rows.features, rows.labels["label"], customers=rows.keys[CUSTOMER], **more)
    return dates, rows.features, {} if model.leaks_ is None else {"leaks": model.leaks_}


def judge(
    model: Any,
    kind: str,
    asked: dict[str, Any],
    data: Data,
    days: Sequence[datetime],
    replicates: int = 200,
    found: SavedModel | None = None,
) -> dict[str, pl.DataFrame]:
    """Judge a model at dates; ``found`` adds the drift of features since it was trained."""
    if kind in OF_PURCHASES:
        return _judged_by_purchases(model, kind, asked, data, days[-1], replicates, found)
    referral = kind == "referral_likelihood" and asked["target"] is None
    purpose = "survival" if kind == "survival_churn" else "train"
    rows = rows_of.rows_at(data.tables, data.events, asked, days, purpose, referrals=referral, groups=True)
    tables = groups.judge(model, rows, asked, replicates)
    return tables | (drift_of(found, rows.features) if found else {})


def _judged_by_purchases(
    model: Any, kind: str, asked: dict[str, Any], data: Data, day: datetime, replicates: int, found: SavedModel | None
) -> dict[str, pl.DataFrame]:
    """Compare with what was bought in the horizon after a date."""
    horizon = groups.days(asked["horizon"])
    until = day + timedelta(days=horizon)
    if until > data.end + timedelta(days=1):
        raise SpecError("bad_date", f"the horizon after {day} passes the end of the data", hint="an earlier date")
    before, after = (rows_of.purchases_at(data.tables, asked, moment) for moment in (day, until))
    both = before.join(after, on=CUSTOMER, how="left", suffix="_then", maintain_order="left")
    bought = (both["frequency_then"] - both["frequency"]).to_numpy().astype(np.float64)
    expected = _expected(model, kind, before, asked)
    if kind == "gamma_gamma":  # of those who bought in the horizon: the mean value of what they bought
        now, then = (both[f"frequency{end}"] * both[f"monetary{end}"].fill_null(0) for end in ("", "_then"))
        spent = then - now
        some = bought > 0
        if not some.any():
            raise DataError("no_rows", "nobody bought in the horizon: order values cannot be judged")
        expected, bought = expected[some], spent.to_numpy()[some] / bought[some]
    if not len(expected) or not np.isfinite(expected).all():
        raise DataError("no_rows", "the model has no expectation for some customers, or there is none")
    return {"metrics": groups.judge_counts(expected, bought, replicates)} | (
        drift_of(found, before.drop(CUSTOMER)) if found else {}
    )


def _history(kind: str, histories: pl.DataFrame) -> list[pl.Series]:
    names = ("frequency", "recency", "T") if kind == "beta_geo_nbd" else ("frequency", "monetary")
    return [histories[name] for name in names]


def _expected(model: Any, kind: str, histories: pl.DataFrame, asked: Mapping[str, Any]) -> Any:
    columns = _history(kind, histories)
    if kind == "gamma_gamma":
        return model.expected_value(*columns)
    unit = groups.days(f"1{asked['unit']}" if asked["unit"].isalpha() else asked["unit"])
    return model.expected_purchases(groups.days(asked["horizon"]) / unit, *columns)


def scores_of(
    found: SavedModel, kind: str, asked: dict[str, Any], data: Data, day: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score customers as they stand at a date; their features come second."""
    model = found.model
    if kind in OF_PURCHASES:
        features = rows_of.purchases_at(data.tables, asked, day)
        columns = {"score": _expected(model, kind, features, asked)}
        if kind == "beta_geo_nbd":
            columns["p_alive"] = model.p_alive(*_history(kind, features))
        keys = features.select(CUSTOMER).with_columns(pl.lit(day, pl.Datetime("us")).alias(DATE))
        features = features.drop(CUSTOMER)
    else:
        rows = rows_of.rows_at(data.tables, data.events, asked, [day], "score")
        keys, features = rows.keys, rows.features
        columns = {"score": groups.probability(model, Rows(keys, features, pl.DataFrame()), asked)}
        if kind == "survival_churn":
            columns["risk"] = np.broadcast_to(model.risk(features), (features.height,))
        if kind == "referral_likelihood" and "count" in model.means_:
            columns["expected_referrals"] = model.expected_referrals(features)
    table = keys.with_columns(pl.Series(name, values) for name, values in columns.items())
    return table.with_columns(model=pl.lit(found.name), fingerprint=pl.lit(found.fingerprint)), features


def drift_of(found: SavedModel, features: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Compare features with those of training, where the model tells of them; warn of what has moved."""
    if found.profile is None:
        return {}
    table = drift(found.profile, features)
    strong = table.filter(~pl.col("level").is_in(["stable", "moderate"]), pl.col("note").is_null())  # clocks always do
    if strong.height:
        named = ", ".join(repr(name[:40]) for name in strong["feature"].head(5))
        more = f" and {strong.height - 5} more" if strong.height > 5 else ""
        warn(f"{strong.height} of {table.height} features have moved since training (PSI from 0.25): {named}{more}")
    return {"drift": table}
