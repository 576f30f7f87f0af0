"""The factor by which a model's credit is wrong, given lift tests: its posterior by quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from attrib.errors import DataError

Floats = npt.NDArray[np.float64]

NODES = 801  # of the quadrature over the logarithm of the factor
REACH = 9.0  # standard deviations of the prior to either side


@dataclass(frozen=True, slots=True)
class Posterior:
    """Of the factor k and the calibrated credit: nodes k with their weights, and normal distributions given each.

    ``mean`` and ``sd``: of the credit given k.
    """

    k: Floats
    weight: Floats
    mean: Floats
    sd: Floats

    @classmethod
    def of(
        cls, tau: float, credit: float, credit_se: float, tested: float | None = None, tested_se: float | None = None
    ) -> Posterior:
        """Combine prior, credit and the tests' mean.

        Given k, the tests' mean is normal(k × credit, tested_se² + (k × credit_se)²), and the credit, seen with the
        tests, normal again (a regression on them).
        """
        low, high = -REACH * tau, REACH * tau
        while True:
            u = np.linspace(low, high, NODES)
            k = np.exp(u)
            logs = -0.5 * (u / tau) ** 2
            mean, sd = np.full(NODES, float(credit)), np.full(NODES, float(credit_se))
            if tested is not None and tested_se is not None:
                variance = tested_se**2 + (k * credit_se) ** 2
                logs = logs - 0.5 * (tested - k * credit) ** 2 / variance - 0.5 * np.log(variance)
                mean += k * credit_se**2 / variance * (tested - k * credit)
                sd *= tested_se / np.sqrt(variance)
            weight = np.exp(logs - logs.max())
            where = np.flatnonzero(weight > 1e-14)  # the mass: where it is narrow, look closer
            first, last = max(where[0] - 1, 0), min(where[-1] + 1, NODES - 1)
            if last - first > NODES // 8:
                break
            low, high = u[first], u[last]
        return cls(k, weight / weight.sum(), mean, sd)

    def quantiles(self, levels: tuple[float, ...], scale: float = 1.0, sd: float | None = None) -> list[float]:
        """Quantiles of k × credit, with the credit's mean times ``scale`` and, where given, its own ``sd``."""
        from scipy.optimize import brentq
        from scipy.special import ndtr

        mean, spread = self.k * self.mean * scale, self.k * (self.sd if sd is None else sd)
        if not (spread > 0).any():
            return self._of_nodes(mean, levels)
        floor = np.maximum(spread, 1e-300)
        low, high = (mean - 12 * spread).min(), (mean + 12 * spread).max()
        try:
            return [
                float(
                    brentq(
                        lambda x, p=p: float(self.weight @ ndtr((x - mean) / floor)) - p,
                        low,
                        high,
                        xtol=1e-9 * (high - low) / 1e3,
                    )
                )
                for p in levels
            ]
        except ValueError:  # numbers beyond what floats tell apart
            raise DataError(
                "bad_lift_tests",
                "credit and lift tests lie too far apart to be combined",
                hint="check the larger of them",
            ) from None

    def factors(self, levels: tuple[float, ...]) -> list[float]:
        """Quantiles of k."""
        return self._of_nodes(self.k, levels)

    def _of_nodes(self, values: Floats, levels: tuple[float, ...]) -> list[float]:
        order = np.argsort(values, kind="stable")
        below = np.cumsum(self.weight[order]) - 0.5 * self.weight[order]
        return [float(x) for x in np.interp(levels, below, values[order])]

    def sd_of(self, scale: float = 1.0, sd: float | None = None) -> float:
        """Standard deviation of k × credit."""
        mean, spread = self.k * self.mean * scale, self.k * (self.sd if sd is None else sd)
        centre = float(self.weight @ mean)
        return math.sqrt(float(self.weight @ ((mean - centre) ** 2 + spread**2)))
