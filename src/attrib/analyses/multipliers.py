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
FEWEST = 3  # nodes that a mass lies on
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
        if credit == 0 and credit_se == 0:
            tested = tested_se = None  # every factor takes it to 0: the tests tell none from another

        def logs(u: Floats) -> Floats:
            k, out = np.exp(u), -0.5 * (u / tau) ** 2
            if tested is None or tested_se is None:
                return np.asarray(out)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
                return np.asarray(out + _fit(k, credit, credit_se, tested, tested_se))

        u = _nodes(logs, tau, _turns(credit, credit_se, tested, tested_se))
        heights = logs(u)
        kept = heights > heights.max() - NOTHING
        u, heights = u[kept], heights[kept]
        if len(u) < FEWEST:  # narrower than floats tell apart, or out of reach
            raise _too_far_apart()
        k = np.exp(u)
        mean, sd = np.full(len(u), float(credit)), np.full(len(u), float(credit_se))
        if tested is not None and tested_se is not None:
            error = np.hypot(tested_se, k * credit_se)
            mean += (k * credit_se / error) * (credit_se / error) * (tested - k * credit)
            sd *= tested_se / error
        density, step = np.exp(heights - heights.max()), np.diff(u)  # trapezoids between nodes of any distance
        below = np.append(0.0, np.cumsum((density[1:] + density[:-1]) / 2 * step))
        weight = density * (np.append(step, 0.0) + np.append(0.0, step)) / 2
        if not (below[-1] > 0 and np.isfinite(mean).all()):
            raise _too_far_apart()
        return cls(k, weight / below[-1], below / below[-1], mean, sd)

    def quantiles(self, levels: tuple[float, ...], scale: float = 1.0, sd: float | None = None) -> list[float]:
        """Quantiles of k × credit, with the credit's mean times ``scale`` and, where given, its own ``sd``."""
        from scipy.optimize import brentq
        from scipy.special import ndtr

        with np.errstate(over="ignore"):
            mean, spread = self.k * self.mean * scale, self.k * (self.sd if sd is None else sd)
            low, high = (mean - 12 * spread).min(), (mean + 12 * spread).max()
        if not np.isfinite([low, high]).all():
            raise _too_far_apart()
        if not (spread > 0).any():
            return self._of_nodes(mean, levels)
        floor = np.maximum(spread, 1e-300)
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
            raise _too_far_apart() from None

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
        unit = max(float(np.abs(mean).max()), float(spread.max())) or 1.0  # so that no square is too large
        return unit * math.sqrt(float(self.weight @ (((mean - centre) / unit) ** 2 + (spread / unit) ** 2)))


def _fit(k: Floats, credit: float, credit_se: float, tested: float, tested_se: float) -> Floats:
    """Log-likelihood of the tests given k, but for a constant: what all factors miss alike would hide the rest of it.

    With a test on the other side of 0 than the credit, the distance in errors, (tested - k·credit) / error, is least
    where k goes to 0 or to infinity; the square of that is left out, by the difference of squares.
    """
    error = np.hypot(tested_se, k * credit_se)
    off = (tested - k * credit) / error
    if tested and credit and (tested > 0) != (credit > 0):
        near, far = tested / tested_se, math.inf if credit_se == 0 else -credit / credit_se
        if abs(near) <= abs(far):  # off² - near², where off - near has no large parts that cancel
            share = k * credit_se / error
            apart = -k * credit / error - near * (share**2 / (1 + tested_se / error))
        else:
            share = tested_se / error
            apart = tested / error - far * (share**2 / (1 + k * credit_se / error))
            near = far
        return np.asarray(-0.5 * apart * (off + near) - np.log(error))
    return np.asarray(-0.5 * off**2 - np.log(error))


def _too_far_apart() -> DataError:
    return DataError(
        "bad_lift_tests",
        "credit and lift tests lie too far apart to be combined",
        hint="check the largest numbers of both, and the smallest standard errors",
    )


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
    if not np.isfinite(heights[top]) or heights[top] - NOTHING == heights[top]:
        raise _too_far_apart()
    between = scan[max(top - 1, 0)], scan[min(top + 1, len(scan) - 1)]
    found = minimize_scalar(
        lambda u: -float(logs(np.array([u]))[0]), bounds=between, method="bounded", options={"xatol": 1e-13}
    )
    peak = float(found.x) if -found.fun > heights[top] else float(scan[top])
    some = np.flatnonzero(heights > max(-found.fun, heights[top]) - NOTHING)
    low, high = between  # all of the mass, where no node of the look is near it
    if len(some):
        low, high = scan[max(some[0] - 1, 0)], scan[min(some[-1] + 1, len(scan) - 1)]
    near = [peak + side * close for side in (-1, 1)]
    whole = np.concatenate([np.linspace(low, high, EVEN), *near, [peak]])
    return np.unique(np.clip(whole, low, high))
