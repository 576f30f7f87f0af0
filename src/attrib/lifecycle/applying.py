"""Models of the later stages and the data of a job: fitted to them, judged by them, applied to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import AttribWarning, DataError, SolveError, SpecError, warn
from attrib.lifecycle import tables as rows_of
from attrib.lifecycle.buying.choosing import PurchaseChoice
from attrib.lifecycle.buying.classes import compared, tell_of_once
from attrib.lifecycle.buying.leaving import CANCELLED
from attrib.lifecycle.judging import groups
from attrib.lifecycle.judging.drifting import drift
from attrib.lifecycle.saving.storage import SavedModel
from attrib.lifecycle.tables import Rows
from attrib.schemas import CUSTOMER, DATE
from attrib.snapshots.asked import SILENT
from attrib.snapshots.events import Events
from attrib.spec_models import OF_PURCHASES

TENURE = "tenure"
_REASONS = {  # for which rows are left out of snapshots
    "no_purchase": "without a purchase by then", "inactive": "without an event in the window",
    "gone": "gone already", "silent_before": "silent before",
}  # fmt: skip
_REMEDY = '; estimator = "auto" chooses among models by which such customers may have left'
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Data:
    """What was read of the tables of a job file, and what identifies their files.

    ``own``: columns of the touchpoints that were read besides ours; ``duplicates``: whether they are kept; ``counts``:
    of the rows of ``train``, ``test`` and ``score`` that were made of them, and how many were left out and why.
    """

    events: Events
    own: tuple[str, ...] = ()
    duplicates: str = "drop"
    inputs: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        """Of the data."""
        return rows_of.end_of(self.events)


@dataclass(frozen=True, slots=True)
class OfTenure:
    """A survival model whose clock is the tenure, as one that knows of the time since the end of the gap only.

    Who has tenure t at the date is under observation from t + gap on: S(later) is S(t + gap + later) / S(t + gap).
    """

    model: Any
    gap: float
    horizon: float

    def predict_churn(self, features: pl.DataFrame, horizon: float) -> Floats:
        """Probability to leave within a horizon after the gap, [n]."""
        after = features[TENURE].to_numpy() + self.gap
        chance: Floats = self.model.predict_churn(features.drop(TENURE), horizon, conditional_after=after)
        return chance

    def predict_survival(self, features: pl.DataFrame, times: Any) -> Floats:
        """Probability to be there at times after the gap, [n, m]."""
        furthest = max(times)  # warns of all that lies beyond what is known; once is enough
        columns = []
        for time in times:
            with catch_warnings():
                if time < furthest:
                    simplefilter("ignore", AttribWarning)
                columns.append(1.0 - self.predict_churn(features, float(time)))
        return np.column_stack(columns)

    def risk(self, features: pl.DataFrame) -> Floats:
        """Rank customers by their probability to leave within the horizon, for tenure counts too; [n]."""
        return self.predict_churn(features, self.horizon)


def fit_to(
    model: Any, kind: str, asked: dict[str, Any], data: Data, ask: Mapping[str, Any] | None = None
) -> tuple[rows_of.Dates, pl.DataFrame, dict[str, pl.DataFrame]]:
    """Fit a model; what was found out (channels) is added to what was asked.

    ``ask``: how being asked to refer is told, see `attrib.spec_models.AskedSpec`.
    """
    rows_of.check_outcomes(data.events, asked, kind)
    if kind in OF_PURCHASES:
        return _fit_to_purchases(model, kind, asked, data)
    dates = rows_of.split_dates(asked, data.end, data.events.zone)
    rows_of.settle_population(data.events, asked, kind)
    survival, referral = kind == "survival_churn", kind == "referral_likelihood"
    rows = rows_of.rows_at(
        data.events, asked, dates.train, "survival" if survival else "train", duplicates=data.duplicates,
        end=dates.test[0] if survival and dates.test else None, referrals=referral and asked["target"] is None,
    )  # fmt: skip
    asked["channels"] = rows_of.channels_of(rows.features)
    data.counts["train"] = rows.counts
    _check_labels(rows, asked, dates.train, referral=referral)
    if survival:
        # all of them are still there after the gap: time runs from there, or has run since they came
        features, gap = rows.features, groups.days(asked["gap"])
        length, entry = rows.labels["duration"] - gap, None
        if asked["clock"] == TENURE:
            entry = features[TENURE] + gap
            length, features = entry + length, features.drop(TENURE)
        model.fit(features, length, rows.labels["event"], entry=entry, id=rows.keys[CUSTOMER])
        return dates, rows.features, {}
    more: dict[str, Any] = {}
    if ask is not None:
        rows, more["asked"], more["propensity"] = rows_of.treated(rows, data.events, data.own, asked, ask)
        data.counts["train"] = rows.counts
    if "count" in rows.labels.columns:
        # refunds may outweigh what was bought: the model takes what is left as nothing
        more |= {"count": rows.labels["count"], "value": rows.labels["value_brought"].clip(0.0)}
    model.fit(rows.features, rows.labels["label"], customers=rows.keys[CUSTOMER], **more)
    return dates, rows.features, {} if model.leaks_ is None else {"leaks": model.leaks_}


def _fit_to_purchases(
    model: Any, kind: str, asked: dict[str, Any], data: Data
) -> tuple[rows_of.Dates, pl.DataFrame, dict[str, pl.DataFrame]]:
    day = rows_of.next_midnight(data.end)
    if asked["holdout"]:
        day = (data.end - timedelta(days=groups.days(asked["horizon"]))).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
    histories = rows_of.purchases_at(data.events, asked, day, tell=kind != "gamma_gamma")
    data.counts["train"] = _counted(histories)
    try:
        model.fit(*_history(kind, histories))
    except SolveError as error:
        again = int((histories["frequency"] > 0).sum())
        text = f"{error.message}; of {histories.height:,} customers with {asked['target']!r}, {again:,} bought again"
        hint = f"a longer history, or another target that recurs more often; {error.hint}"
        raise SolveError(error.key, text, hint=hint) from error
    tables = {"choice": model.table_} if isinstance(model, PurchaseChoice) else {}
    return rows_of.Dates((day,), (day,) if asked["holdout"] else ()), _features(histories), tables


def _check_labels(rows: Rows, asked: Mapping[str, Any], dates: Sequence[datetime], *, referral: bool) -> None:
    """Check that something happened, and not everywhere: otherwise estimators complain of columns nobody has seen."""
    label = rows.labels["label" if "label" in rows.labels.columns else "event"]
    if label.n_unique() > 1 or (label.name == "event" and label[0]):
        return
    what = "somebody brought by the customer (referrer_id)"
    if asked["target"] or not referral:
        keys = ("churn", "target") if asked["churn"] == SILENT else ("target",) if asked["target"] else ("churn",)
        what = " or ".join(f"{key} = {asked[key]!r}" for key in keys if asked[key])
    at = f"{len(dates)} dates from {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}"
    raise DataError(
        "one_class",
        f"{what}: {'all' if label[0] else 'none'} of {rows.keys.height:,} rows at {at} "
        f"{'have' if label[0] else 'has'} it in the label window",
        hint="other dates (at, every, dates), a longer horizon, or more data",
    )


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
    rows_of.check_outcomes(data.events, asked, kind)
    if kind in OF_PURCHASES:
        return _judged_by_purchases(model, kind, asked, data, days[-1], replicates, found)
    referral = kind == "referral_likelihood" and asked["target"] is None
    purpose = "survival" if kind == "survival_churn" else "train"
    rows = rows_of.rows_at(
        data.events, asked, days, purpose, duplicates=data.duplicates, referrals=referral, groups=True
    )
    data.counts["test"] = rows.counts
    try:
        tables = groups.judge(_on_clock(model, asked), rows, asked, replicates)
    except DataError as error:
        if error.key != "one_class":
            raise
        hint = "other dates, a longer horizon or more data; fit with test_dates = 0 holds nothing out"
        raise DataError(error.key, error.message, hint=hint) from error
    return tables | (drift_of(found, rows.features) if found else {})


def _judged_by_purchases(
    model: Any, kind: str, asked: dict[str, Any], data: Data, day: datetime, replicates: int, found: SavedModel | None
) -> dict[str, pl.DataFrame]:
    """Compare with what was bought in the horizon after a date."""
    horizon = groups.days(asked["horizon"])
    until = day + timedelta(days=horizon)
    if until > data.end + timedelta(days=1):
        raise SpecError("bad_date", f"the horizon after {day} passes the end of the data", hint="an earlier date")
    tell = found is not None and kind != "gamma_gamma"  # else the fit has told
    before = rows_of.purchases_at(data.events, asked, day, tell=tell)
    after = rows_of.purchases_at(data.events, asked, until)
    data.counts["test"] = _counted(before)
    both = before.join(after, on=CUSTOMER, how="left", suffix="_then", maintain_order="left")
    bought = (both["frequency_then"] - both["frequency"]).to_numpy().astype(np.float64)
    expected = _expected(model, kind, before, asked)
    tables = {}
    if kind == "gamma_gamma":  # of those who bought in the horizon: the mean value of what they bought
        now, then = (both[f"frequency{end}"] * both[f"monetary{end}"].fill_null(0) for end in ("", "_then"))
        spent = then - now
        some = bought > 0
        if not some.any():
            raise DataError("no_rows", "nobody bought in the horizon: order values cannot be judged")
        expected, bought = expected[some], spent.to_numpy()[some] / bought[some]
    else:
        tables["by_frequency"] = compared(before["frequency"].to_numpy().astype(np.float64), expected, bought)
        remedy = "" if kind == "pareto_nbd" else _REMEDY
        tell_of_once(tables["by_frequency"], type(model).__name__, remedy)
    if not len(expected):
        raise DataError("no_rows", "there is no customer to judge the model by")
    return {"metrics": groups.judge_counts(expected, bought, replicates), **tables} | (
        drift_of(found, _features(before)) if found else {}
    )


def chosen_of(model: Any) -> tuple[Any, str]:
    """Return the model that was chosen and why, of a choice; any other model with no word."""
    return (model.model_, model.reason_) if isinstance(model, PurchaseChoice) else (model, "")


def _counted(histories: pl.DataFrame) -> dict[str, Any]:
    """What the record of a run tells of purchase histories."""
    known = {"rows": histories.height, "without_repeat": int((histories["frequency"] == 0).sum())}
    return known | ({CANCELLED: int(histories[CANCELLED].sum())} if CANCELLED in histories.columns else {})


def _features(histories: pl.DataFrame) -> pl.DataFrame:
    """Columns that models learn from, less who has left: that is known, not learned."""
    return histories.drop(CUSTOMER, CANCELLED, strict=False)


def _history(kind: str, histories: pl.DataFrame) -> list[pl.Series]:
    names = ("frequency", "monetary") if kind == "gamma_gamma" else ("frequency", "recency", "T", CANCELLED)
    return [histories[name] for name in names if name in histories.columns]


def _expected(model: Any, kind: str, histories: pl.DataFrame, asked: Mapping[str, Any]) -> Any:
    columns = _history(kind, histories)
    if kind == "gamma_gamma":
        return model.expected_value(*columns)
    unit = groups.days(f"1{asked['unit']}" if asked["unit"].isalpha() else asked["unit"])
    return model.expected_purchases(groups.days(asked["horizon"]) / unit, *columns)


def _on_clock(model: Any, asked: Mapping[str, Any]) -> Any:
    """Make a model of tenure look like one of the time after the gap; others are that already."""
    if asked.get("clock") != TENURE:
        return model
    return OfTenure(model, groups.days(asked["gap"]), groups.days(asked["horizon"]))


def scores_of(
    found: SavedModel, kind: str, asked: dict[str, Any], data: Data, day: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score customers as they stand at a date; their features come second."""
    model = found.model
    if kind in OF_PURCHASES:
        rows = rows_of.purchases_at(data.events, asked, day, tell=kind != "gamma_gamma")
        data.counts["score"] = _counted(rows)
        columns = {"score": _expected(model, kind, rows, asked)}
        if kind != "gamma_gamma":
            with catch_warnings():  # told with the score
                simplefilter("ignore", AttribWarning)
                columns["p_alive"] = model.p_alive(*_history(kind, rows))
            columns |= {name: rows[name] for name in (CANCELLED,) if name in rows.columns}
        keys = rows.select(CUSTOMER).with_columns(pl.lit(day, pl.Datetime("us")).alias(DATE))
        features = _features(rows)
    else:
        found_rows = rows_of.rows_at(data.events, asked, [day], "score", duplicates=data.duplicates)
        data.counts["score"] = found_rows.counts
        keys, features = found_rows.keys, found_rows.features
        timed = _on_clock(model, asked)
        columns = {"score": groups.probability(timed, Rows(keys, features, pl.DataFrame()), asked)}
        if kind == "survival_churn":
            columns["risk"] = np.broadcast_to(timed.risk(features), (features.height,))
        if kind == "referral_likelihood":
            if "count" in model.means_:
                columns["expected_referrals"] = model.expected_referrals(features)
            if "value" in model.means_:
                columns["expected_value"] = model.expected_value(features)
            if model.meaning_ is not None:
                columns |= model.uplift(features).to_dict()
    table = keys.with_columns(pl.Series(name, values) for name, values in columns.items())
    return table.with_columns(model=pl.lit(found.name), fingerprint=pl.lit(found.fingerprint)), features


def drift_of(found: SavedModel, features: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Compare features with those of training, where the model tells of them; warn of what has moved."""
    if found.profile is None:
        warn("drift cannot be told: the model was saved without its training data (save(…, training_data=features))")
        return {}
    table = drift(found.profile, features)
    strong = table.filter(~pl.col("level").is_in(["stable", "moderate"]), pl.col("note").is_null())  # clocks always do
    if strong.height:
        named = ", ".join(repr(name[:40]) for name in strong["feature"].head(5))
        more = f" and {strong.height - 5} more" if strong.height > 5 else ""
        warn(f"{strong.height} of {table.height} features have moved since training (PSI from 0.25): {named}{more}")
    return {"drift": table}


def left_out(counts: Mapping[str, Any] | None) -> str:
    """Say how many rows were left out and why, as the end of a title."""
    left = (counts or {}).get("left_out", {})
    named = ", ".join(f"{count:,} {_REASONS[reason]}" for reason, count in left.items())
    gone = (counts or {}).get("cancelled")
    return (f" (left out: {named})" if named else "") + (f" ({gone:,} of them have cancelled)" if gone else "")
