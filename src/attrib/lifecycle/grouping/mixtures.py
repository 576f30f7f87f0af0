"""Gaussian mixtures of journey features: fitted by scikit-learn, their number chosen, and kept as numbers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import logsumexp

from attrib.errors import DataError, brief
from attrib.extras import needs
from attrib.lifecycle.base.calibrated import ROWS_AT_ONCE, one_thread
from attrib.values import FOLDS, generator

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
STABLE = 0.8  # least mean adjusted Rand index
SELECTION = {
    "k": pl.Int64(), "bic": pl.Float64(), "stability": pl.Float64(), "smallest": pl.Int64(), "converged": pl.Boolean(),
    "chosen": pl.Boolean(), "refused": pl.String(),
}  # fmt: skip
# Added to the variances of standardised features: a persona is at least a fifth as wide as everybody. Counts with
# many zeros would else make spikes of endless likelihood.
_FLOOR = 0.05


@dataclass(frozen=True, slots=True)
class Mixture:
    """A fitted mixture: ``weights`` [k], ``means`` [k, p], ``factors`` [k, p, p] (upper Cholesky factors of the
    precisions).
    """  # noqa: D205

    weights: Floats
    means: Floats
    factors: Floats

    def probabilities(self, matrix: Floats) -> Floats:
        """Probability of each component, [n, k]."""
        out = np.empty((len(matrix), len(self.weights)))
        with one_thread():
            for start in range(0, len(matrix), ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                joint = self._joint(matrix[rows])
                out[rows] = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        return out

    def _joint(self, matrix: Floats) -> Floats:
        """Logarithm of weight times density, but for a constant."""
        out = np.empty((len(matrix), len(self.weights)))
        for number, (weight, mean, factor) in enumerate(zip(self.weights, self.means, self.factors, strict=True)):
            distance = (((matrix - mean) @ factor) ** 2).sum(axis=1)
            out[:, number] = np.log(weight) + np.log(np.diag(factor)).sum() - distance / 2
        return out

    def ordered(self, order: Integers) -> Mixture:
        """Return its components in another order."""
        return Mixture(self.weights[order], self.means[order], self.factors[order])

    def arrays(self) -> dict[str, Floats]:
        """All of it, by name."""
        return {"weights": self.weights, "means": self.means, "factors": self.factors}

    @classmethod
    def from_arrays(cls, arrays: Any, k: int, columns: int) -> Self:
        """Rebuild it, trusting nothing.

        Raises
        ------
        DataError
            ``bad_model``.
        """
        shapes = {"weights": (k,), "means": (k, columns), "factors": (k, columns, columns)}
        try:
            found = {name: np.asarray(arrays[name]) for name in shapes}
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("bad_model", f"stored personas are incomplete: {brief(error):.200}") from error
        good = all(found[n].dtype == np.float64 and found[n].shape == shape for n, shape in shapes.items())
        good = good and all(np.isfinite(array).all() for array in found.values()) and bool((found["weights"] > 0).all())
        if not good or (np.diagonal(found["factors"], axis1=1, axis2=2) <= 0).any():
            raise DataError("bad_model", "the numbers of stored personas do not fit each other")
        return cls(**found)


def choose(
    matrix: Floats, customers: Integers, sizes: list[int], *, refits: int, least: int, seed: int
) -> tuple[Mixture, pl.DataFrame]:
    """Fit each size, and keep the smallest BIC among those that are stable and have no small component.

    Parameters
    ----------
    matrix : float64 [n, p]
    customers : int [n]
        Numbered from 0: a refit sees all rows of half of the customers.
    sizes : list of int
        One alone is taken as it is, if its components are large enough.
    refits : int
        On halves, for the stability of each size.
    least : int
        Rows of the smallest component allowed.
    seed : int

    Raises
    ------
    DataError
        ``small_persona`` if no size is left.
    """
    with one_thread():
        fits = {k: _fit(matrix, k, seed, starts=2) for k in sizes}
        labels = {k: model.predict(matrix) for k, model in fits.items()}
        bic = {k: float(model.bic(matrix)) for k, model in fits.items()}
        stable = {k: _stability(matrix, customers, labels[k], k, refits, seed) for k in sizes}
    smallest = {k: int(np.bincount(labels[k], minlength=k).min()) for k in sizes}
    refused: dict[int, str | None] = {}
    for k in sizes:
        refused[k] = None
        if k > 1 and smallest[k] < least:
            refused[k] = f"a persona of {smallest[k]:,} rows, fewer than {least:,}"
        elif len(sizes) > 1 and stable[k] < STABLE:
            refused[k] = f"stability below {STABLE}"
    left = [k for k in sizes if refused[k] is None]
    if not left:
        raise DataError("small_persona", f"k = {sizes[-1]}: {refused[sizes[-1]]}", hint='fewer personas, or k="auto"')
    best = min(left, key=lambda k: (bic[k], k))
    rows = [(k, bic[k], stable[k], smallest[k], bool(fits[k].converged_), k == best, refused[k]) for k in sizes]
    model = fits[best]
    mixture = Mixture(model.weights_, model.means_, model.precisions_cholesky_)
    return mixture, pl.DataFrame(rows, schema=SELECTION, orient="row")


def _fit(matrix: Floats, k: int, seed: int, starts: int) -> Any:
    model = needs("sklearn.mixture").GaussianMixture(
        k, covariance_type="full", reg_covar=_FLOOR, n_init=starts, max_iter=200, random_state=seed
    )
    with warnings.catch_warnings():  # the table of sizes says whether it converged
        warnings.simplefilter("ignore", needs("sklearn.exceptions").ConvergenceWarning)
        return model.fit(matrix)


def _stability(matrix: Floats, customers: Integers, labels: Integers, k: int, refits: int, seed: int) -> float:
    """Mean adjusted Rand index between the labels and those of fits to random halves of the customers."""
    if k == 1:
        return 1.0
    likeness = needs("sklearn.metrics").adjusted_rand_score
    n = int(customers.max()) + 1
    found = []
    for number in range(refits):
        drawn = np.zeros(n, dtype=np.bool_)
        drawn[generator(seed, FOLDS, number).permutation(n)[: -(-n // 2)]] = True
        half = matrix[drawn[customers]]
        if len(half) < k:
            return 0.0
        found.append(likeness(labels, _fit(half, k, seed, starts=1).predict(matrix)))
    return float(np.mean(found))
