"""The factor by which a model's credit is wrong, given lift tests: its posterior by quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from attrib.errors import DataError

Floats = npt.NDArray[np.float64]

REACH = 60.0  # standard deviations of the prior to either side within which the mass is looked for
SCAN = 6_001  # nodes of that look
EVEN, NEAR = (
    4_001,
    400,
)  # nodes of the quadrature: evenly over the mass, and ever closer to its highest point, each side
NOTHING = 45.0  # below the highest log density by so much: no mass
FURTHEST = 300.0  # of log k, so that no square overflows


@dataclass(frozen=True, slots=True)
class Posterior:
    """Of the factor k and the calibrated credit: nodes k with their weights, and normal distributions given each.

    ``below``: the mass below each node; ``mean`` and ``sd``: of the credit given k.
    """

    k: Floats
    weight: Floats
    below: Floats
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

        def logs(u: Floats) -> Floats:
            k, out = np.exp(u), -0.5 * (u / tau) ** 2
            if tested is None or tested_se is None:
                return np.asarray(out)
            variance = tested_se**2 + (k * credit_se) ** 2
            return np.asarray(out - 0.5 * (tested - k * credit) ** 2 / variance - 0.5 * np.log(variance))

        u = _nodes(logs, tau, _turns(credit, credit_se, tested, tested_se))
        heights = logs(u)
        u, heights = u[heights > heights.max() - NOTHING], heights[heights > heights.max() - NOTHING]
        k = np.exp(u)
        mean, sd = np.full(len(u), float(credit)), np.full(len(u), float(credit_se))
        if tested is not None and tested_se is not None:
            variance = tested_se**2 + (k * credit_se) ** 2
            mean += k * credit_se**2 / variance * (tested - k * credit)
            sd *= tested_se / np.sqrt(variance)
        density, step = np.exp(heights - heights.max()), np.diff(u)  # trapezoids between nodes of any distance
        below = np.append(0.0, np.cumsum((density[1:] + density[:-1]) / 2 * step))
        weight = density * (np.append(step, 0.0) + np.append(0.0, step)) / 2
        return cls(k, weight / below[-1], below / below[-1], mean, sd)

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
        """Quantiles of values that rise, or fall, with k."""
        rising = values[-1] >= values[0]
        order, below = (values, self.below) if rising else (values[::-1], 1 - self.below[::-1])
        return [float(x) for x in np.interp(levels, below, order)]

    def sd_of(self, scale: float = 1.0, sd: float | None = None) -> float:
        """Standard deviation of k × credit."""
        mean, spread = self.k * self.mean * scale, self.k * (self.sd if sd is None else sd)
        centre = float(self.weight @ mean)
        return math.sqrt(float(self.weight @ ((mean - centre) ** 2 + spread**2)))


def _turns(credit: float, credit_se: float, tested: float | None, tested_se: float | None) -> list[float]:
    """Where the likelihood may turn: factors that take the credit, or its error, to the test's result, or its error."""
    if tested is None or tested_se is None:
        return []
    pairs = ((tested, credit), (abs(tested), credit_se), (tested_se, credit_se), (tested_se, abs(credit)))
    ratios = [top / below for top, below in pairs if below and top / below > 0]
    return [float(np.clip(np.log(ratio), -FURTHEST, FURTHEST)) for ratio in ratios]


def _nodes(logs: Callable[[Floats], Floats], tau: float, turns: list[float]) -> Floats:
    """Values of log k, in order, close together where the density is: its peak may be narrower than any fixed step."""
    from scipy.optimize import minimize_scalar

    far = max(REACH * tau, *(abs(turn) + REACH * tau for turn in turns)) if turns else REACH * tau
    close = np.geomspace(1e-14, 2 * far, NEAR)
    around = [turn + side * close for turn in turns for side in (-1, 1)]
    scan = np.unique(np.clip(np.concatenate([np.linspace(-far, far, SCAN), *around, turns]), -FURTHEST, FURTHEST))
    heights = logs(scan)
    top = int(np.argmax(heights))
    between = scan[max(top - 1, 0)], scan[min(top + 1, len(scan) - 1)]
    found = minimize_scalar(
        lambda u: -float(logs(np.array([u]))[0]), bounds=between, method="bounded", options={"xatol": 1e-13}
    )
    peak = float(found.x) if -found.fun > heights[top] else float(scan[top])
    some = np.flatnonzero(heights > max(-found.fun, heights[top]) - NOTHING)
    low, high = scan[max(some[0] - 1, 0)], scan[min(some[-1] + 1, len(scan) - 1)]
    near = [peak + side * close for side in (-1, 1)]
    whole = np.concatenate([np.linspace(low, high, EVEN), *near, [peak]])
    return np.unique(np.clip(whole, low, high))
