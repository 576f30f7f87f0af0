"""Which model of repeat purchases suits the customers: the one that tells most of customers it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import polars as pl

from attrib.errors import DataError, SolveError, SpecError, brief
from attrib.lifecycle.base.beside import Floats
from attrib.lifecycle.base.estimator import Estimator
from attrib.lifecycle.buying.geometric import BetaGeoNBD, ModifiedBetaGeoNBD
from attrib.lifecycle.buying.histories import Histories, read_history
from attrib.lifecycle.buying.pareto import ParetoNBD
from attrib.lifecycle.buying.purchasing import PurchaseModel
from attrib.values import FOLDS, check_seed, generator, whole_number

KINDS: dict[str, type[PurchaseModel]] = {
    "beta_geo_nbd": BetaGeoNBD,
    "modified_beta_geo_nbd": ModifiedBetaGeoNBD,
    "pareto_nbd": ParetoNBD,
}
MOST = 50_000  # customers that are compared; the chosen model learns from all
CLEAR = 2.0  # standard errors of a difference below which models are not told apart
SCHEMA = {
    "model": pl.String, "log_likelihood": pl.Float64, "behind": pl.Float64, "standard_error": pl.Float64,
    "chosen": pl.Boolean, "note": pl.String,
}  # fmt: skip


class PurchaseChoice(Estimator):
    """Models of repeat purchases compared by customers that were held out, and the best one fitted to all.

    Parameters
    ----------
    models : sequence of str
        Which are compared: ``beta_geo_nbd``, ``modified_beta_geo_nbd``, ``pareto_nbd``.
    folds : int
        Parts of the customers, each left out once.
    seed : int
        Of the parts.

    Attributes
    ----------
    model_ : BetaGeoNBD, ModifiedBetaGeoNBD or ParetoNBD
        The chosen one, fitted to all customers.
    name_ : str
        Its name.
    table_ : polars.DataFrame
        ``model``; ``log_likelihood`` of the customers left out, summed; ``behind``: by how much less than that of the
        best; ``standard_error`` of that difference, over customers; ``chosen``; ``note``. Best first.
    reason_ : str
        The same in one line.

    Examples
    --------
    >>> history = pl.DataFrame(
    ...     {
    ...         "frequency": [2, 1, 0, 0, 7, 1, 0, 3, 12, 0] * 20,
    ...         "recency": [30.4, 1.7, 0.0, 0.0, 36.4, 5.0, 0.0, 14.1, 31.0, 0.0] * 20,
    ...         "T": [38.9, 38.9, 38.9, 30.1, 38.9, 38.9, 21.6, 38.9, 35.2, 31.3] * 20,
    ...     }
    ... )
    >>> choice = PurchaseChoice(folds=2).fit(history)
    >>> choice.table_["model"].to_list()[0] == choice.name_
    True
    """

    model_: PurchaseModel
    name_: str
    table_: pl.DataFrame
    reason_: str

    def __init__(self, models: Sequence[str] = tuple(KINDS), folds: int = 5, seed: int = 0) -> None:
        self.models, self.folds, self.seed = models, folds, seed

    def fit(self, frequency: Any, recency: Any = None, T: Any = None, cancelled: Any = None) -> Self:
        """Compare the models, choose one, and fit it to all customers.

        Parameters
        ----------
        frequency, recency, T, cancelled : array-like, shape [n]; or one frame
            As of `BetaGeoNBD.fit`.

        Returns
        -------
        PurchaseChoice

        Raises
        ------
        DataError
            Those of `BetaGeoNBD.fit`.
        SpecError
            ``bad_parameter``, ``bad_argument``.
        SolveError
            ``not_identified`` where none of the models could be fitted.
        """
        models, folds = self._checked()
        columns = read_history(frequency, recency, T, cancelled)
        if not len(columns[0]):
            raise DataError("no_rows", "there is no customer to learn from")
        if not (columns[0] > 0).any():
            raise DataError("no_repeats", "no customer bought again", hint="observe them for longer")
        histories = Histories(*columns)
        parts = _parts(histories, folds, check_seed(self.seed))
        scores, notes = {}, {}
        for name in models:
            scores[name], notes[name] = _held_out(KINDS[name], parts)
        fitted: dict[str, PurchaseModel] = {}
        for name in sorted(scores, key=lambda name: -_total(scores[name], parts)):
            if scores[name] is None:
                continue
            try:
                fitted[name] = KINDS[name]()._fit_to(histories)  # noqa: SLF001 - one package
            except SolveError as error:
                scores[name], notes[name] = None, error.message
                continue
            self.name_, self.model_ = name, fitted[name]
            break
        if not fitted:
            told = "; ".join(f"{name}: {notes[name]}" for name in models)
            hint = "customers may be too few or too alike: use more of them, or a longer time"
            raise SolveError("not_identified", f"no model could be fitted to these customers: {told}", hint=hint)
        self.table_ = _table(self.name_, scores, notes, parts)
        self.reason_ = _reason(self.table_, folds, int(sum(test.customers for _, test in parts)))
        self.model_._tell(histories)  # noqa: SLF001
        return self

    def _checked(self) -> tuple[list[str], int]:
        given = [self.models] if isinstance(self.models, str) else self.models
        models = list(given) if isinstance(given, (list, tuple)) else []
        wrong = [name for name in models if not isinstance(name, str) or name not in KINDS]
        if wrong or not models or len(set(models)) < len(models):
            fault = f"models = {brief(self.models)} are not some of {', '.join(KINDS)}, each once"
            raise SpecError("bad_parameter", fault, hint=f"e.g. models=[{', '.join(map(repr, KINDS))}]")
        return models, whole_number("folds", self.folds, 2, 100)

    def p_alive(self, frequency: Any, recency: Any = None, T: Any = None, cancelled: Any = None) -> Floats:
        """Probability that a customer has not left for good at T, by the chosen model."""
        return self._chosen().p_alive(frequency, recency, T, cancelled)

    def expected_purchases(
        self, t: Any, frequency: Any, recency: Any = None, T: Any = None, cancelled: Any = None
    ) -> Floats:
        """Expected purchases in (T, T + t], by the chosen model."""
        return self._chosen().expected_purchases(t, frequency, recency, T, cancelled)

    def _chosen(self) -> PurchaseModel:
        self._check_fitted("model_")
        return self.model_

    def __repr__(self) -> str:
        """Show what was chosen, and why."""
        return f"<PurchaseChoice: {self.reason_}>" if hasattr(self, "reason_") else super().__repr__()


def choose_purchase_model(
    frequency: Any,
    recency: Any = None,
    T: Any = None,
    cancelled: Any = None,
    *,
    models: Sequence[str] = tuple(KINDS),
    folds: int = 5,
    seed: int = 0,
) -> PurchaseChoice:
    """Compare BG/NBD, MBG/NBD and Pareto/NBD by held-out likelihood, and fit the best one.

    Customers are dealt into parts; each model learns from all parts but one, and the log-likelihood of the purchases of
    the customers in that one is taken. The model with the largest sum is chosen. All three describe the same events,
    so that the numbers can be compared.

    Parameters
    ----------
    frequency, recency, T, cancelled : array-like, shape [n]; or one frame
        As of `BetaGeoNBD.fit`. Of more than 50,000 customers, so many are compared, drawn by lot.
    models, folds, seed
        As of :class:`PurchaseChoice`.

    Returns
    -------
    PurchaseChoice
        ``model_``, ``name_``, ``table_``, ``reason_``.

    Raises
    ------
    AttribError
        Those of `PurchaseChoice.fit`.

    Examples
    --------
    >>> rng, rows = np.random.default_rng(1), []
    >>> for rate, gone in zip(rng.gamma(1.5, 1 / 6, 400), rng.exponential(rng.gamma(1.0, 12.0, 400)), strict=True):
    ...     times = rng.exponential(1 / rate, 200).cumsum()
    ...     times = times[times < min(gone, 39.0)]
    ...     rows.append((len(times), times.max(initial=0.0), 39.0))
    >>> history = pl.DataFrame(rows, schema=["frequency", "recency", "T"], orient="row")
    >>> choice = choose_purchase_model(history, models=["beta_geo_nbd", "modified_beta_geo_nbd"], folds=2)
    >>> choice.table_.select("model", pl.col("behind").round(0)).rows()
    [('modified_beta_geo_nbd', 0.0), ('beta_geo_nbd', 52.0)]
    """
    return PurchaseChoice(models, folds, seed).fit(frequency, recency, T, cancelled)


Parts = list[tuple[Histories, Histories]]


def _parts(histories: Histories, folds: int, seed: int) -> Parts:
    """Histories to learn from and to be judged by, for each part left out; the order of customers changes nothing."""
    each = np.repeat(np.arange(len(histories.n)), histories.n.astype(np.int64))
    dealt = generator(seed, FOLDS).permutation(len(each))[:MOST]
    part = np.arange(len(dealt)) % folds
    columns = histories.x, histories.recency, histories.T, histories.cancelled

    def some(chosen: Any) -> Histories:
        return Histories(*(column[each[dealt[chosen]]] for column in columns))

    return [(some(part != fold), some(part == fold)) for fold in range(folds) if (part == fold).any()]


def _held_out(kind: type[PurchaseModel], parts: Parts) -> tuple[list[Floats] | None, str | None]:
    """Log-likelihood of each history left out, part by part; None with the reason where there is none."""
    found = []
    for train, test in parts:
        try:
            model = kind()._fit_to(train)  # noqa: SLF001
        except SolveError as error:
            return None, f"cannot be fitted: {error.message}"
        found.append(model._log_densities(test))  # noqa: SLF001
    impossible = sum(float(test.n[each == -np.inf].sum()) for each, (_, test) in zip(found, parts, strict=True))
    if impossible:
        return None, f"holds it for impossible that {impossible:,.0f} customers cancelled without a repeat purchase"
    return found, None


def _total(scores: list[Floats] | None, parts: Parts) -> float:
    if scores is None:
        return -np.inf
    return float(sum(test.n @ each for each, (_, test) in zip(scores, parts, strict=True)))


def _table(
    chosen: str, scores: dict[str, list[Floats] | None], notes: dict[str, str | None], parts: Parts
) -> pl.DataFrame:
    best, weights = scores[chosen], np.concatenate([test.n for _, test in parts])
    assert best is not None
    rows: list[tuple[Any, ...]] = []
    for name in sorted(scores, key=lambda name: -_total(scores[name], parts)):
        each, note = scores[name], notes[name]
        if each is None:
            rows.append((name, None, None, None, False, note))
            continue
        behind = np.concatenate(best) - np.concatenate(each)
        mean = weights @ behind / weights.sum()
        error = float(np.sqrt(weights @ (behind - mean) ** 2))
        total = float(weights @ behind)
        if name != chosen and total < CLEAR * error:
            note = "not told apart from the chosen one"
        rows.append((name, _total(each, parts), total, error, name == chosen, note))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _reason(table: pl.DataFrame, folds: int, customers: int) -> str:
    """Say in a line what was chosen, and by how much."""
    first = table.row(0, named=True)
    others = table.filter(~pl.col("chosen")).drop_nulls("log_likelihood")
    line = f"{first['model']} is chosen"
    if others.height:
        next_one = others.row(0, named=True)
        line += f", ahead of {next_one['model']} by {next_one['behind']:,.1f} (± {next_one['standard_error']:,.1f})"
        line += f" of held-out log-likelihood ({customers:,} customers in {folds} parts)"
        if next_one["note"]:
            line += ": hardly told apart"
    failed = table.filter(pl.col("log_likelihood").is_null())
    return line + "".join(f"; {row['model']} {row['note']}" for row in failed.to_dicts())
