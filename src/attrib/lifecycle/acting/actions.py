"""attrib.next_action: for each customer, the stage, the risks, and which channel could move them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.arguments import distinct_names
from attrib.errors import DataError, SpecError, brief
from attrib.io.tables import check_types
from attrib.io.text import clean
from attrib.lifecycle.acting.allowed import blocked_by
from attrib.lifecycle.acting.claims import RANKING, claim_unless_chosen, read_decisions
from attrib.lifecycle.acting.deciding import ACTION, ADVANCED, SINCE
from attrib.lifecycle.acting.effects import Effects, History, change, fit_effects
from attrib.lifecycle.acting.offering import candidates
from attrib.lifecycle.acting.policy import Log, expected_outcomes, read_policy, value_of
from attrib.lifecycle.base.beside import check_same_rows, read_customers
from attrib.lifecycle.base.calibrated import Recipe
from attrib.lifecycle.base.design import DesignMatrix, collected
from attrib.lifecycle.base.labels import Floats, check_seed_and_folds
from attrib.lifecycle.grouping.profiles import numbers_of
from attrib.schemas import CHANNEL, CUSTOMER, DATE, RENAME, STAGE, require_columns
from attrib.showing import Shown
from attrib.snapshots.asked import check_model
from attrib.stages import StageModel
from attrib.values import MOST_DRAWS, check_share, whole_number

_NO_FEATURE = (CUSTOMER, DATE, ACTION, ADVANCED, SINCE, "label", "duration", "event")
_ROW = "__row"
_RANKING = (
    STAGE, CHANNEL, "declared", "rank", "change", "change_low", "change_high", "chance_if", "chance_if_not", "similar",
    "reason", "claim",
)  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class NextActions(Shown):
    """What next_action says.

    Attributes
    ----------
    customers : polars.DataFrame
        A row for each row of the snapshot: its keys, ``stage``, ``stall_risk`` (not advancing within the horizon, as
        things were), ``churn_risk``, ``referral_chance``, ``best`` (the channel of rank 1, if it changes the chance
        for the better), ``actions`` and ``expected_channels`` that the stage declares, and ``claim``.
    ranking : polars.DataFrame
        A row for each customer and channel that may be used, best first: ``rank``, ``change`` of the probability to
        advance (``chance_if`` − ``chance_if_not``) and its interval ``change_low, change_high``, ``declared`` (whether
        the stage names it among its actions), ``similar`` (customers of the stage who got it), ``reason`` where
        ``change`` is null, and ``claim``.
    blocked : polars.DataFrame
        Customers and channels that may not be used, with the ``reason``: these are not in the ranking.
    value : polars.DataFrame or None
        Where actions were randomised or their chances logged: what policies would have been worth, with intervals.
        The policy ``best`` takes the best action by models that have not seen the customer, caps and consent aside.
    claim : str
        What ``change`` may be taken for.
    """

    customers: pl.DataFrame
    ranking: pl.DataFrame
    blocked: pl.DataFrame
    value: pl.DataFrame | None
    claim: str


def next_action(
    snapshot: Any,
    decisions: Any,
    *,
    stages: str | Path | StageModel | None = None,
    channels: Sequence[str] | None = None,
    features: str | Sequence[str] | None = None,
    churn: Any = None,
    churn_horizon: float | None = None,
    churn_after: Any = None,
    referral: Any = None,
    eligible: Any = None,
    consent: Any = None,
    consent_free: Sequence[str] = (),
    caps: Mapping[str, tuple[int, str]] | None = None,
    touchpoints: Any = None,
    columns: Any = None,
    randomised: bool = False,
    propensity: Any = None,
    min_support: int = 30,
    min_overlap: float = 0.1,
    level: float = 0.95,
    folds: int = 5,
    replicates: int | None = None,
    seed: int = 0,
) -> NextActions:
    """Rank channels for each customer by the estimated change of the probability to advance.

    For each action of the past a calibrated logistic regression learns P(advance) from the features of those who got
    it (a T-learner); the change is its probability minus that of the model of customers who were left alone, with
    intervals of the expectation for customers with these features (delta method, variances over customers). That is a
    comparison of different customers: **a ranking, not a causal effect**, unless actions were randomised or the
    chances with which they were chosen are known; then rows count with the inverse of their chance.

    Parameters
    ----------
    snapshot : frame
        Customers now: `attrib.snapshot` with ``purpose="score"`` and the ``channels`` of the decisions. Where an
        outcome ends the relation, name it there (``churn="cancel"``): else customers who have left are ranked, too.
        Beside it ``population="everyone"``, as decisions have it, keeps prospects.
    decisions : frame
        From `attrib.decisions`, or any with ``customer_id``, features, ``action`` (null: left alone) and ``advanced``
        (1 or 0).
    stages : str, Path or StageModel, optional
        For the actions and channels that the stages declare. Declared actions that are in no decision are listed
        without a number.
    channels : sequence of str, optional
        To choose from: those that you can act with. Without, all actions of the decisions, with a warning if there are
        some that customers take by themselves, judged by their names (direct, organic, word of mouth …).
    features : str or sequence of str, optional
        Columns of both tables to learn from; without, all that both have, but for keys, labels and dates.
    churn, referral : model, str or array-like, optional
        A fitted `ChurnClassifier`, `SurvivalChurn` or `ReferralLikelihood`, or the probabilities: a column or an array.
    churn_horizon, churn_after : float; array-like or str
        Of `SurvivalChurn.predict_churn`: ``horizon`` and ``conditional_after``.
    eligible, consent : mapping of channel to column (or bool), or frame, optional
        A frame has ``customer_id``, ``channel`` and a column of flags of that name. What `eligible` does not mention
        is eligible; what `consent` does not mention has **no** consent. A null is a no. None: the rule is not applied.
    consent_free : sequence of str
        Channels that need no consent; only with `consent`.
    caps : mapping of channel to (int, str), optional
        Most touches in the time before the date, such as ``{"mail": (3, "7d"), "*": (10, "30d")}``; ``*``: all channels
        together. Counted in `touchpoints` (named by `columns`, as in `attrib.snapshot`), each row, duplicates too.
    randomised : bool
        Whether actions were assigned by lot, with the same chances for all. Make the rows with ``randomised=`` of
        `attrib.decisions` as well: without, it leaves out who advances within the decision window, which is a result of
        the action; no causal claim is made of such rows. Rows of your own must hold everybody whom the lot was drawn
        for, ``action`` as drawn, and ``advanced`` counted from then on.
    propensity : str or array-like, optional
        The chance that each decision's action had: a column of decisions, or one number a row. What is said of the rows
        of `randomised` holds here, too.
    min_support : int
        Customers of the stage who must have got an action, and must have been left alone.
    min_overlap : float
        An action is not judged for customers whose chance to get it, by a model of the past, is below this part of the
        average; likewise of being left alone.
    level : float
        Coverage of the intervals, of changes and of policy values.
    folds, seed
        Of calibration and of policy values.
    replicates : int, optional
        Without effect, as in `policy_value`.

    Returns
    -------
    NextActions

    Raises
    ------
    SpecError
        ``bad_parameter``, ``bad_value``.
    DataError
        ``missing_columns``, ``no_actions``, ``no_baseline``, ``too_few_of_a_class``, ``bad_flag``, ``bad_action``, and
        those of `DesignMatrix.fit`.

    Warns
    -----
    AttribWarning
        Where channels that nobody can send are offered, or one of `channels` looks like a misspelt one; where the rows
        do not bear the causal claim asked for: they leave out who advanced at once, or actions depend on a feature, the
        stage or the date beyond their chances.

    References
    ----------
    Künzel, Sekhon, Bickel & Yu (2019), PNAS 116:4156-4165 (T-learner). Hillstrom (2008), The MineThatData e-mail
    analytics challenge.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> past = pl.DataFrame(
    ...     {
    ...         "customer_id": range(400),
    ...         "visits": [1, 2, 3, 4] * 100,
    ...         "action": ["mail", None] * 200,
    ...         "advanced": [1, 0, 1, 1, 1, 0, 0, 0] * 50,
    ...     }
    ... )
    >>> now = pl.DataFrame({"customer_id": [7], "visits": [2]})
    >>> found = attrib.next_action(now, past)
    >>> found.ranking.select("channel", "rank", "claim").rows()
    [('mail', 1, 'ranking, not causal')]
    """
    check_same_rows(snapshot=snapshot, churn=churn, churn_after=churn_after, referral=referral)
    check_same_rows(decisions=decisions, propensity=propensity)
    table, past = collected(snapshot), collected(decisions)
    require_columns("snapshot", table.columns, [CUSTOMER], hint=RENAME)
    require_columns("decisions", past.columns, [CUSTOMER, ACTION, ADVANCED], hint="make them with attrib.decisions")
    for name, frame in (("snapshot", table), ("decisions", past)):
        check_types(name, frame.schema, {CUSTOMER: "id", DATE: "key", STAGE: "name", ACTION: "name"})
    check_seed_and_folds(seed, folds)
    whole_number("min_support", min_support, 2)
    check_share("level", level)
    if replicates is not None:
        whole_number("replicates", replicates, 2, MOST_DRAWS)
    if isinstance(min_overlap, bool) or not isinstance(min_overlap, (int, float)) or not 0 <= min_overlap < 1:
        raise SpecError("bad_parameter", f"min_overlap = {brief(min_overlap)} is not a number from 0 to below 1")
    model = check_model(stages)
    named = _features(table, past, features, propensity)
    log, claim = read_decisions(past, propensity, randomised)
    if claim != RANKING:
        claim = claim_unless_chosen(claim, past, log, named)
    history, design = _history(past, log, named, weighted=propensity is not None)
    effects = fit_effects(history, Recipe(folds=folds, seed=seed).check(), min_support)
    stage = _stage_of(table, past)
    own = candidates(log.actions, channels)
    offered = [*own, *sorted({a for s in (model.stages if model else ()) for a in s.actions} - set(own))]
    matrix = design.transform(table.select(design.columns))
    blocks = blocked_by(
        table, offered, eligible=eligible, consent=consent, consent_free=distinct_names("consent_free", consent_free),
        caps=caps, touchpoints=touchpoints, columns=columns,
    )  # fmt: skip
    blocked = _blocked(table, offered, blocks)
    ranking = _ranked(
        table,
        offered,
        own,
        effects,
        matrix,
        stage,
        model,
        blocks,
        min_support=min_support,
        min_overlap=min_overlap,
        level=level,
    ).with_columns(pl.lit(claim).alias("claim"))
    stall = np.where(stage < 0, np.nan, 1 - effects.everybody.probability(matrix))
    risks = {
        "stall_risk": stall,
        "churn_risk": _risk(table, "churn", churn, churn_horizon, churn_after),
        "referral_chance": _risk(table, "referral", referral),
    }
    customers = _customers(table, ranking, risks, model).with_columns(pl.lit(claim).alias("claim"))
    value = None
    if claim != RANKING:
        value = _value(log, history, min_support, folds=folds, seed=seed, level=level)
    keys = [name for name in (CUSTOMER, DATE) if name in table.columns]
    return NextActions(customers, ranking.select(*keys, *_RANKING), blocked, value, claim)


def _features(
    table: pl.DataFrame, past: pl.DataFrame, features: str | Sequence[str] | None, propensity: Any
) -> list[str]:
    if features is not None:
        named = list(distinct_names("features", features))
        wrong = [name for name in named if name in _NO_FEATURE or (isinstance(propensity, str) and name == propensity)]
        if wrong or not named:
            raise SpecError("bad_value", f"features: {clean(wrong[0], 80) if wrong else 'nothing'!r} is no feature")
        hint = "features must name columns of both, snapshot and decisions"
        require_columns("snapshot", table.columns, named, hint=hint)
        require_columns("decisions", past.columns, named, hint=hint)
        return named
    taken = (*_NO_FEATURE, propensity) if isinstance(propensity, str) else _NO_FEATURE
    named = [
        name for name, dtype in past.schema.items()
        if name in table.columns and name not in taken and not dtype.is_temporal() and not dtype.is_nested()
    ]  # fmt: skip
    if not named:
        raise DataError("no_features", "snapshot and decisions have no feature in common", hint="name features")
    return named


def _history(past: pl.DataFrame, log: Log, named: list[str], *, weighted: bool) -> tuple[History, DesignMatrix]:
    design = DesignMatrix.fit(past.select(named), scale=True)
    known = _stages_of(past)
    stage = np.zeros(past.height, dtype=np.int64)
    if known:
        stage = past[STAGE].cast(pl.String).cast(pl.Enum(known)).to_physical().cast(pl.Int64).to_numpy()
    history = History(
        design.transform(past.select(named)), log.actions, log.taken, log.outcome > 0, stage, max(len(known), 1),
        read_customers(past[CUSTOMER], past.height), 1 / log.chance if weighted else None,
    )  # fmt: skip
    return history, design


def _stages_of(past: pl.DataFrame) -> list[str]:
    if STAGE not in past.columns:
        return []
    if past[STAGE].null_count():
        raise DataError("null_values", "decisions: stage is missing in some rows", hint="leave those rows out")
    return past[STAGE].cast(pl.String).unique().sort().to_list()


def _stage_of(table: pl.DataFrame, past: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Number of each customer's stage among those of the decisions; -1 for another one."""
    known = _stages_of(past)
    if not known:
        return np.zeros(table.height, dtype=np.int64)
    require_columns("snapshot", table.columns, [STAGE], hint="give attrib.snapshot the stages of the decisions")
    codes = table[STAGE].cast(pl.String).cast(pl.Enum(known), strict=False).to_physical().cast(pl.Int64).fill_null(-1)
    return codes.to_numpy()


def _first(blocks: list[tuple[str, int, npt.NDArray[np.bool_]]], at: int, n: int) -> npt.NDArray[np.int64]:
    """Which block stops each row from a channel, the first one; -1 for none."""
    out = np.full(n, -1)
    for number, (_, channel, rows) in enumerate(blocks):
        if channel == at:
            out[rows & (out < 0)] = number
    return out


def _blocked(table: pl.DataFrame, offered: list[str], blocks: list[Any]) -> pl.DataFrame:
    keys = [name for name in (CUSTOMER, DATE) if name in table.columns]
    texts = pl.Series([reason for reason, _, _ in blocks], dtype=pl.String)
    parts = [
        table.clear().select(*keys, pl.lit("").alias(CHANNEL), pl.lit("").alias("reason")).with_row_index(_ROW).clear()
    ]
    for at, channel in enumerate(offered):
        first = _first(blocks, at, table.height)
        rows = np.flatnonzero(first >= 0)
        if len(rows):
            part = table.select(keys).with_row_index(_ROW)[rows]
            parts.append(part.with_columns(pl.lit(channel).alias(CHANNEL), texts[first[rows]].alias("reason")))
    return pl.concat(parts).sort(_ROW, maintain_order=True).drop(_ROW)


def _ranked(
    table: pl.DataFrame,
    offered: list[str],
    own: list[str],
    effects: Effects,
    matrix: Floats,
    stage: npt.NDArray[np.int64],
    model: StageModel | None,
    blocks: list[Any],
    *,
    min_support: int,
    min_overlap: float,
    level: float,
) -> pl.DataFrame:
    """Rows of the ranking, in order."""
    keys = [name for name in (CUSTOMER, DATE) if name in table.columns]
    called = pl.col(STAGE).cast(pl.String) if STAGE in table.columns else pl.lit(None, pl.String)
    base = table.select(*keys, called.alias(STAGE)).with_row_index(_ROW)
    parts = []
    for at, channel in enumerate(offered):
        found = change(effects, channel, matrix, stage, min_support=min_support, min_overlap=min_overlap, level=level)
        similar = np.zeros(len(stage), dtype=np.int64)
        if channel in effects.actions:
            similar = np.where(stage < 0, 0, effects.similar[stage, effects.actions.index(channel)])
        declares = [s.name for s in model.stages if channel in s.actions] if model else []
        part = base.hstack(found).with_columns(
            pl.lit(channel).alias(CHANNEL),
            pl.col(STAGE).is_in(declares).fill_null(value=False).alias("declared"),
            pl.Series("similar", similar),
        )
        # what a stage declares, and nobody ever did, is an idea for that stage only
        keep = pl.Series(_first(blocks, at, table.height) < 0)
        parts.append(part.filter(keep if channel in own else keep & part["declared"]))
    whole = pl.concat(parts) if parts else base.clear()
    whole = whole.sort(_ROW, "change", CHANNEL, descending=[False, True, False], nulls_last=True)
    place = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(_ROW)
    return whole.with_columns(pl.when(pl.col("change").is_not_null()).then(place).alias("rank"))


def _customers(
    table: pl.DataFrame, ranking: pl.DataFrame, risks: dict[str, Floats | None], model: StageModel | None
) -> pl.DataFrame:
    keys = [name for name in (CUSTOMER, DATE) if name in table.columns]
    called = pl.col(STAGE).cast(pl.String) if STAGE in table.columns else pl.lit(None, pl.String)
    best = ranking.filter(pl.col("rank") == 1, pl.col("change") > 0).select(_ROW, pl.col(CHANNEL).alias("best"))
    rows = table.select(*keys, called.alias(STAGE)).with_row_index(_ROW)
    rows = rows.with_columns(
        (pl.lit(None, pl.Float64) if values is None else pl.Series(name, values).fill_nan(None)).alias(name)
        for name, values in risks.items()
    ).join(best, on=_ROW, how="left", maintain_order="left")
    notes = {s.name: s for s in model.stages} if model else {}
    for name in ("actions", "expected_channels"):
        listed = pl.DataFrame(
            {STAGE: list(notes), name: [list(getattr(s, name)) for s in notes.values()]},
            schema={STAGE: pl.String, name: pl.List(pl.String)},
        )
        rows = rows.join(listed, on=STAGE, how="left", maintain_order="left")
    return rows.drop(_ROW)


def _risk(table: pl.DataFrame, name: str, model: Any, horizon: float | None = None, after: Any = None) -> Floats | None:
    """Probabilities of a model, a column or an array."""
    if hasattr(model, "predict_churn"):
        if horizon is None and getattr(model, "horizon", None) is None:
            raise SpecError("bad_value", "churn is a survival model: how far ahead?", hint="pass churn_horizon=")
        return np.asarray(model.predict_churn(table, horizon, after), dtype=np.float64)
    if hasattr(model, "predict_proba"):
        named = list(getattr(model, "feature_names_in_", table.columns))
        hint = f"{name} learned from other columns: make the snapshot as that of its training"
        require_columns("snapshot", table.columns, named, hint=hint)
        return np.asarray(model.predict_proba(table.select(named))[:, 1], dtype=np.float64)
    values = numbers_of(table, name, model)
    if values is not None and ((values < 0) | (values > 1)).any():
        raise DataError("bad_probability", f"{name} holds values that are not between 0 and 1")
    return values


def _value(log: Log, history: History, min_support: int, *, folds: int, seed: int, level: float) -> pl.DataFrame:
    """Worth of taking each action always, and of the best one by models that have not seen the customer."""
    means = expected_outcomes(log, history.matrix, folds, seed)
    counts = np.bincount(log.taken, minlength=len(log.actions))
    means[:, counts < min_support] = -np.inf
    best = pl.Series(log.actions)[means.argmax(axis=1)]
    frame = pl.DataFrame({f"x{at}": column for at, column in enumerate(history.matrix.T)})
    expected = expected_outcomes(log, DesignMatrix.fit(frame, scale=True).transform(frame), folds, seed)
    parts = []
    for name, policy in [("best", best), *((f"always {name}", name) for name in log.actions)]:
        found = value_of(log, read_policy(policy, log), expected, level)
        parts.append(found.select(pl.lit(name).alias("policy"), pl.all()))
    return pl.concat(parts)
