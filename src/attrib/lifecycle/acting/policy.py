"""What a rule of action would have been worth, from actions that were logged with their chances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError, brief, warn
from attrib.extras import needs
from attrib.io.text import clean
from attrib.lifecycle.acting.lot import chosen_by, told
from attrib.lifecycle.acting.skewed import interval_of_sum, skewed_interval
from attrib.lifecycle.base.beside import Bools, check_same_rows, read_customers, read_numbers
from attrib.lifecycle.base.calibrated import one_thread
from attrib.lifecycle.base.design import DesignMatrix, collected
from attrib.values import FOLDS, MOST_DRAWS, check_seed, check_share, generator, whole_number

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
NOTHING = "(none)"  # how an action that is null is called: nobody did anything
_FEW = 10  # rows of an action from which an outcome model is fitted
_PAYERS = 10  # customers with an outcome from which an interval is believed ...
_OTHER_PAYERS = (
    20  # ... and of those treated otherwise, from which that of a lift is: see tests/lifecycle/test_policy_money
)
_NO_INTERVAL = (np.nan, np.nan)
_SUM = 1e-6  # by how much chances may miss 1


@dataclass(frozen=True, slots=True)
class Log:
    """What was done and what came of it, row by row.

    ``taken`` numbers the action in ``actions``; ``chance`` is the probability it had; ``codes`` numbers the customers.
    """

    actions: tuple[str, ...]
    taken: Integers
    chance: Floats
    outcome: Floats
    codes: Integers


def policy_value(
    actions: Any,
    outcome: Any,
    propensity: Any,
    policy: Any,
    *,
    features: Any = None,
    customers: Any = None,
    folds: int = 5,
    level: float = 0.95,
    replicates: int | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Estimate the mean outcome if actions had been taken by a policy, from a log in which their chances are known.

    With a the action logged, p its chance, π(a) the chance that the policy gives it, w = π(a) / p, y the outcome:

    * ``ips``: mean of w·y. Right on average whatever else is true, as long as the chances are.
    * ``snips``: Σw·y / Σw. Slightly biased, steadier.
    * ``dr``: mean of Σ π(b)·m(b) + w·(y − m(a)), with m(b) the outcome to be expected after action b, from a model of
      the customers of other folds: right if the chances or the models are, and the steadiest where the models are good.

    Intervals make up for skewness, since money is what a few pay, some of them much: Student's quotient over customers
    is transformed so that its skewness goes (Hall), and compared with Student's distribution of as many degrees of
    freedom as the variance has, few where few pay. Bounds lie asymmetrically, further out on the long side. Those of a
    lift are put together from those of the customers whom the policy could have treated as they were, and of the rest
    (Zou & Donner), so that a few payers on one side count as few.

    Parameters
    ----------
    actions : array-like [n]
        The action logged in each row: texts or whole numbers; null: none was taken, called ``(none)``.
    outcome : array-like of float [n]
        What came of it, such as 1 for a purchase and 0 for none, or money.
    propensity : float, array-like [n] or mapping of action to float
        The chance that the logged action had when it was chosen, above 0: one for all rows, one a row, or one for each
        action (None for the action that is null).
    policy : action, array-like [n], mapping, frame or callable
        What it would do: one action for everybody, one a row, or the chance of each action (numbers or arrays [n], by
        action; a frame has a column for each), summing to 1. A callable is given `features`, as they are, and returns
        any of these.
    features : frame, optional
        Of n rows, known before the action: what outcome models learn from, and callable policies decide by. Without:
        each action's mean.
    customers : array-like [n], optional
        Whose row it is, where customers have several: folds take all rows of a customer or none, and intervals count
        a customer once.
    folds, seed
        Of the outcome models.
    level : float
        Coverage of the intervals.
    replicates : int, optional
        Without effect: intervals are not drawn any more. Kept so that calls written for earlier versions go on.

    Returns
    -------
    polars.DataFrame
        ``estimator``, ``value, low, high``; ``logged`` (mean outcome as things were), ``lift, lift_low, lift_high``
        (value − logged, of the same customers); ``matched`` (rows whose action the policy could have taken),
        ``effective_rows``, (Σw)² / Σw², ``payers``: customers among the matched whose outcome is not 0, and
        ``other_payers``: those among the rest. Few payers, and no interval is to be trusted; few others, as where a
        small group is held back, and that of the lift is not. With fewer than two intervals are null.

    Raises
    ------
    SpecError
        ``bad_parameter``; ``bad_policy`` where it is none of these, or callable without `features`.
    DataError
        ``no_support`` where the policy takes an action that the log does not have, or a chance is not in (0, 1];
        ``bad_policy``; ``different_lengths``, ``null_values``.

    Warns
    -----
    AttribWarning
        Where the chances do not fit the actions: the mean of 1 / p over an action's rows, by n, is not about 1, of all
        rows or of those with some value of a feature; where the outcome is other than 0 for fewer than 10 of the
        customers whom the policy would have treated as they were, or for fewer than 20 of the others.

    References
    ----------
    Horvitz & Thompson (1952), JASA 47:663-685. Swaminathan & Joachims (2015), NeurIPS. Dudík, Langford & Li (2011),
    ICML. Chernozhukov et al. (2018), The Econometrics Journal 21:C1-C68 (cross-fitting). Hall (1992), On the removal of
    skewness by transformation, Journal of the Royal Statistical Society B 54:221-228. Zou & Donner (2008), Statistics
    in Medicine 27:1693-1702.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> sent = ["mail", None, "mail", None] * 50
    >>> bought = [1, 0, 1, 0, 1, 1, 0, 0] * 25
    >>> found = attrib.policy_value(sent, bought, 0.5, "mail")
    >>> found.select("estimator", pl.col("value").round(2), "logged").rows()
    [('ips', 0.75, 0.5), ('snips', 0.75, 0.5), ('dr', 0.75, 0.5)]

    A rule by what is known of each customer:

    >>> rows = pl.DataFrame({"visits": [1, 2, 3, 4] * 50})
    >>> rule = lambda known: known.select(pl.when(pl.col("visits") > 2).then(pl.lit("mail"))).to_series()
    >>> found = attrib.policy_value(sent, bought, 0.5, rule, features=rows)
    >>> found.select("estimator", pl.col("value").round(2), "matched").rows()
    [('ips', 0.5, 100), ('snips', 0.5, 100), ('dr', 0.5, 100)]
    """
    whole_number("folds", folds, 2, 100)
    if replicates is not None:
        whole_number("replicates", replicates, 2, MOST_DRAWS)
    check_seed(seed)
    check_share("level", level)
    policy = _decided(policy, features)
    given = {"outcome": outcome, "propensity": propensity, "policy": policy, "features": features}
    check_same_rows(actions=actions, **given, customers=customers)
    log = read_log(actions, outcome, propensity, customers)
    chosen = read_policy(policy, log)
    matrix = None
    if features is not None:
        table = collected(features)
        if table.height != len(log.taken):
            raise DataError("different_lengths", f"features has {table.height} rows, actions has {len(log.taken)}")
        matrix = DesignMatrix.fit(table, scale=True).transform(table)
        if unfit := chosen_by(table, log.taken, log.chance, log.codes):
            warn(f"propensities do not fit which rows got which action: these depend on {told(unfit)}")
    return value_of(log, chosen, expected_outcomes(log, matrix, folds, seed), level)


def value_of(log: Log, chosen: Floats, means: Floats, level: float) -> pl.DataFrame:
    """Estimates of `policy_value` for the chances that a policy gives each action, and what each is expected to bring.

    Parameters
    ----------
    log : Log
    chosen, means : float64 [n, actions]
        From `read_policy` and `expected_outcomes`.
    level : float
        Of the intervals.
    """
    rows = np.arange(len(log.taken))
    weight = chosen[rows, log.taken] / log.chance
    robust = (chosen * means).sum(axis=1) + weight * (log.outcome - means[rows, log.taken])
    terms = np.column_stack([weight * log.outcome, weight, robust, log.outcome, np.ones(len(rows))])
    could, paid = weight > 0, log.outcome != 0
    customers = int(log.codes.max()) + 1
    of_both = [_by_customer(terms, log.codes, customers, side) for side in (could, ~could)]
    totals = terms.sum(axis=0)
    found = _estimates(totals)
    matched, otherwise = (_parts(sums, found, totals) for sums in of_both)
    bounds = [skewed_interval(found[at], (matched + otherwise)[:, at], level) for at in range(3)]
    sides = [side[:, :3] - side[:, 3:4] for side in (matched, otherwise)]
    gains = [interval_of_sum(found[at] - found[3], [side[:, at] for side in sides], level) for at in range(3)]
    payers, others = (len(np.unique(log.codes[rows & paid])) for rows in (could, ~could))
    _warn_of_few(payers, len(np.unique(log.codes[could])), others, len(np.unique(log.codes[~could])))
    facts = {
        "matched": int(could.sum()),
        "effective_rows": float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0,
        "payers": payers,
        "other_payers": others,
    }
    out = []
    for at, name in enumerate(("ips", "snips", "dr")):
        low, high = bounds[at] if payers > 1 else _NO_INTERVAL
        lift_low, lift_high = gains[at] if payers > 1 and (others > 1 or could.all()) else _NO_INTERVAL
        out.append(
            {
                "estimator": name, "value": found[at], "low": low, "high": high, "logged": found[3],
                "lift": found[at] - found[3], "lift_low": lift_low, "lift_high": lift_high, **facts,
            }
        )  # fmt: skip
    return pl.DataFrame(out).with_columns(pl.col(pl.Float64).fill_nan(None))


def _warn_of_few(payers: int, customers: int, others: int, rest: int) -> None:
    """Warn where few payers decide an interval, or the lift against those who were treated otherwise."""
    remedy = "wait for more of them, or take an outcome that more of them have, such as buying at all"
    if payers < _PAYERS:
        least = "there is no interval" if payers < 2 else "the interval covers less often than it says"
        warn(
            f"of {customers:,} customers whose action the policy could have taken, {payers} had an outcome other than "
            f"0: {least}; {remedy}"
        )
    elif rest and others < _OTHER_PAYERS:
        least = "the lift has no interval" if others < 2 else "the interval of the lift covers less often than it says"
        warn(
            f"of {rest:,} customers who were treated otherwise than by the policy, {others} had an outcome other than "
            f"0: {least}; {remedy}"
        )


def read_log(actions: Any, outcome: Any, propensity: Any, customers: Any) -> Log:
    """Read and check a log; see `policy_value`."""
    names, taken = read_actions(actions)
    n = len(taken)
    results = read_numbers("outcome", outcome, n)
    chance = _read_propensity(propensity, names, taken)
    codes = read_customers(customers, n)
    log = Log(names, taken, chance, results, codes)
    _check_chances(log)
    return log


def read_actions(actions: Any) -> tuple[tuple[str, ...], Integers]:
    """Names of the actions, sorted, and the number of each row's; null is ``(none)``.

    Raises
    ------
    DataError
        ``no_rows``; ``bad_action`` where an action is called ``(none)`` and others are null.
    """
    if isinstance(actions, (str, bytes)) or not hasattr(actions, "__iter__"):
        raise DataError("bad_shape", f"actions = {brief(actions)} is not one action a row")
    if hasattr(actions, "columns"):
        columns = ", ".join(clean(name, 40) for name in list(actions.columns)[:8])
        raise DataError(
            "bad_shape", f"actions is a table with the columns {columns}", hint="pass the column that holds the actions"
        )
    if not isinstance(actions, pl.Series):
        actions = list(actions)
        if any(isinstance(action, (list, tuple, dict, set, np.ndarray, pl.Series)) for action in actions):
            raise DataError("bad_dtype", "actions holds lists, not the names of actions", hint="one action a row")
    try:
        series = actions if isinstance(actions, pl.Series) else pl.Series("actions", actions, strict=False)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError("bad_dtype", f"actions is not a column of names: {str(error)[:200]}") from error
    if series.dtype.is_nested() or series.dtype in (pl.Object, pl.Binary, pl.Duration):
        raise DataError("bad_dtype", f"actions holds {series.dtype}, not the names of actions")
    if series.is_empty():
        raise DataError("no_rows", "actions has 0 rows")
    texts = series.cast(pl.String)
    if texts.null_count() and (texts == NOTHING).any():
        raise DataError("bad_action", f"an action is called {NOTHING!r}, as rows without action are", hint="rename it")
    texts = texts.fill_null(NOTHING)
    names = sorted(texts.unique().to_list())
    return tuple(names), texts.cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()


def _read_propensity(propensity: Any, names: tuple[str, ...], taken: Integers) -> Floats:
    if isinstance(propensity, Mapping):
        shares = {_name(action): chance for action, chance in propensity.items()}
        missing = [name for name in names if name not in shares]
        if missing:
            raise DataError("no_support", f"propensity has no chance for {clean(missing[0], 80)!r}, which was taken")
        propensity = read_numbers("propensity", [shares[name] for name in names])[taken]
    values = np.full(len(taken), propensity) if np.ndim(propensity) == 0 else propensity
    chance = read_numbers("propensity", values, len(taken))
    wrong = int(((chance <= 0) | (chance > 1)).sum())
    if wrong:
        raise DataError(
            "no_support",
            f"{wrong} of {len(chance)} propensities are not above 0 and at most 1",
            hint="what was done had a chance: look at how it was logged",
        )
    return chance


def _check_chances(log: Log) -> None:
    """1 / p over the rows of an action has mean 1, taken over all rows, if the chances are true and never 0."""
    n = len(log.taken)
    for number, name in enumerate(log.actions):
        inverse = np.where(log.taken == number, 1 / log.chance, 0.0)
        error = inverse.std() / np.sqrt(n)
        if abs(inverse.mean() - 1) > 4 * error + 1e-9:
            warn(
                f"propensities do not fit how often {clean(name, 80)!r} was taken: inverse weights have a mean of "
                f"{inverse.mean():.2f}, not 1: some rows could never get it, or the chances are not those of the log"
            )


def _name(action: Any) -> str:
    return NOTHING if action is None else str(action)


def _decided(policy: Any, features: Any) -> Any:
    """What a callable policy answers; any other as it is."""
    if callable(policy):
        if features is None:
            raise SpecError("bad_policy", "a callable policy has nothing to decide by", hint="pass features=")
        policy = policy(features)
    listed = isinstance(policy, (str, Mapping)) or policy is None or hasattr(policy, "columns")
    if callable(policy) or not (listed or isinstance(policy, (int, np.integer)) or np.ndim(policy) == 1):
        raise SpecError(
            "bad_policy",
            f"policy is {type(policy).__name__}, neither actions nor their chances",
            hint="one action, one a row, chances by action, or a function of features that returns one of these",
        )
    return policy


def read_policy(policy: Any, log: Log) -> Floats:
    """Chance that the policy gives each action in each row, [n, actions]."""
    n = len(log.taken)
    if isinstance(policy, Mapping) or hasattr(policy, "columns"):
        table = policy if isinstance(policy, Mapping) else dict(collected(policy).to_dict())
        out = np.zeros((n, len(log.actions)))
        whole = np.zeros(n)
        for action, given in table.items():
            chance = read_numbers("policy", np.full(n, given) if np.ndim(given) == 0 else given, n)
            if not (chance >= 0).all():
                raise DataError("bad_policy", f"policy gives {clean(_name(action), 80)!r} chances below 0")
            whole += chance
            if chance.any():
                out[:, _known(_name(action), log)] += chance
        if np.abs(whole - 1).max() > _SUM:
            raise DataError("bad_policy", f"the chances of a policy sum to {whole.min():g} to {whole.max():g}, not 1")
        return out
    if policy is None or isinstance(policy, (str, int, np.integer)):
        taken = np.full(n, _known(_name(policy), log))
    else:
        names, numbers = read_actions(policy)
        if len(numbers) != n:
            raise DataError("different_lengths", f"policy has {len(numbers)} rows, actions has {n}")
        taken = np.array([_known(name, log) for name in names])[numbers]
    return np.asarray(np.eye(len(log.actions))[taken])


def _known(name: str, log: Log) -> int:
    if name not in log.actions:
        raise DataError(
            "no_support",
            f"the policy takes {clean(name, 80)!r}, which was never logged",
            hint="nothing can be said of an action that nobody ever got",
        )
    return log.actions.index(name)


def customer_parts(codes: Integers, folds: int, seed: int) -> Integers:
    """Fold of each row: customers shuffled and dealt."""
    n = int(codes.max()) + 1
    return np.asarray((generator(seed, FOLDS).permutation(n) % folds)[codes])


def expected_outcomes(log: Log, matrix: Floats | None, folds: int, seed: int) -> Floats:
    """Outcome to be expected of each action, [n, actions], by models that have not seen the row's customer."""
    fold = customer_parts(log.codes, folds, seed)
    binary = set(np.unique(log.outcome)) <= {0.0, 1.0}
    out = np.empty((len(log.taken), len(log.actions)))
    with one_thread():
        for part in np.unique(fold):
            test, rest = fold == part, fold != part
            if not rest.any():  # one customer
                out[test] = log.outcome.mean()
                continue
            for number in range(len(log.actions)):
                out[test, number] = _predict(matrix, log.outcome, rest, rest & (log.taken == number), test, binary)
    return out


def _predict(matrix: Floats | None, outcome: Floats, rest: Bools, own: Bools, test: Bools, binary: bool) -> Any:  # noqa: FBT001
    known = outcome[own] if own.any() else outcome[rest]
    if matrix is None or len(known) < _FEW or known.min() == known.max() or not own.any():
        return known.mean()
    linear = needs("sklearn.linear_model")
    if binary:
        model = linear.LogisticRegression(solver="newton-cholesky", max_iter=500).fit(matrix[own], known)
        return model.predict_proba(matrix[test])[:, 1]
    return linear.Ridge(alpha=1.0).fit(matrix[own], known).predict(matrix[test])


def _by_customer(terms: Floats, codes: Integers, customers: int, rows: Bools) -> Floats:
    """Sums of the terms of some rows by customer, [customers, terms]."""
    sums = [np.bincount(codes[rows], column[rows], minlength=customers) for column in terms.T]
    return np.column_stack(sums).astype(np.float64)


def _estimates(totals: Floats) -> list[float]:
    """IPS, SNIPS, DR and the logged mean from the totals of w·y, w, the robust terms, y, and rows."""
    weighted, weights, robust, outcome, n = (float(x) for x in totals)
    return [weighted / n, weighted / weights if weights else np.nan, robust / n, outcome / n]


def _parts(sums: Floats, found: list[float], totals: Floats) -> Floats:
    """What each customer adds to the four estimates, [customers, 4], from sums of customers as those of `_estimates`.

    That is the estimate's derivative by the customer's weight, times the number of customers: of sums over all rows
    its mean is 0.
    """
    parts = np.zeros((len(sums), 4))
    for at, (top, below) in enumerate(((0, 4), (0, 1), (2, 4), (3, 4))):
        if totals[below]:
            parts[:, at] = (sums[:, top] - found[at] * sums[:, below]) * (len(sums) / totals[below])
    return parts
