"""A fitted survival model as JSON and arrays, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError
from attrib.lifecycle.base.design import DesignMatrix
from attrib.lifecycle.base.estimator import Estimator
from attrib.lifecycle.contractual.hazards import PARAMETRIC
from attrib.lifecycle.contractual.names import CURVES, model_name
from attrib.lifecycle.contractual.uncertain import Uncertainty

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
FORMAT = 1
OF_FIT = ("coefficients", "covariance", "center", "times", "hazard", "at_risk", "left")
OF_ERRORS = ("unshrunk", "unshrunk_hazard", "grid", "joint")  # files of before have none
ARRAYS = (*OF_FIT, *OF_ERRORS)


class StoredSurvival(Estimator):
    """What of a survival model is kept."""

    model: str
    horizon: float | None
    model_: str
    classes_: Bools
    causes_: list[Any]
    design_: DesignMatrix | None
    coefficients_: Floats
    covariance_: Floats
    calibration_slope_: float | None
    clustered_: bool
    leaks_: pl.DataFrame | None
    longest_: float
    customers_: int
    left_: int
    _center: Floats
    _times: Floats
    _hazard: Floats
    _at_risk: Floats
    _left: Floats
    _by_cause: Floats
    _design_effect: Floats | None
    _errors: Uncertainty | None

    def _check_parameters(self) -> None:
        raise NotImplementedError

    def state(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """All that predictions need, as JSON and as arrays; `from_state` is the way back."""
        self._check_fitted("coefficients_")
        plain = {
            "estimator": type(self).__name__,
            "format": FORMAT,
            "parameters": self.get_params(),
            "design": self.design_.to_dict() if self.design_ else None,
            "longest": self.longest_,
            "customers": self.customers_,
            "left": self.left_,
            "model": self.model_,
            "calibration_slope": self.calibration_slope_,
            "clustered": self.clustered_,
        }
        arrays = [
            self.coefficients_, self.covariance_, self._center, self._times, self._hazard, self._at_risk, self._left,
        ]  # fmt: skip
        names: tuple[str, ...] = OF_FIT
        if self._errors is not None:
            names = ARRAYS
            arrays += [self._errors.coefficients, self._errors.hazard, self._errors.grid, self._errors.joint]
        named = dict(zip(names, arrays, strict=True))
        if self.model_ == "aalen_johansen":
            plain["causes"], named["by_cause"] = list(self.causes_), self._by_cause
            if self._design_effect is not None:
                named["design_effect"] = self._design_effect
        return plain, named

    @classmethod
    def from_state(cls, plain: Any, arrays: Mapping[str, Any]) -> Self:
        """Rebuild the model from `state`, trusting nothing; its predictions are the same to the last bit.

        Raises
        ------
        DataError
            ``bad_model``.
        """
        try:
            good = plain["estimator"] == cls.__name__ and plain["format"] == FORMAT
            model = cls(**plain["parameters"])
            model._check_parameters()
            model.model_, model.classes_ = model_name(plain.get("model", model.model)), np.array([False, True])
            counts = {name: plain[name] for name in ("longest", "customers", "left")}
            found = {name: np.asarray(arrays[name]) for name in OF_FIT}
            design = plain["design"]
        except (KeyError, TypeError, ValueError, SpecError) as error:
            raise DataError("bad_model", f"not a stored {cls.__name__}: {error}") from error
        model.design_ = None if model.model_ in CURVES else DesignMatrix.from_dict(design)
        columns = 0 if model.design_ is None else len(model.design_.names)
        several, times = columns + 2 * (model.model_ in PARAMETRIC), found["times"].shape[:1]
        hazards = (0,) if model.model_ in PARAMETRIC else times
        shapes = ((several,), (several, several), (columns,), times, hazards, times, times)
        good &= all(isinstance(n, (int, float)) and math.isfinite(n) and n >= 0 for n in counts.values())
        slope = plain.get("calibration_slope")  # files of before have none
        good &= slope is None or (type(slope) in (int, float) and 0 <= slope <= 1)
        good &= all(a.dtype == np.float64 and a.shape == s for a, s in zip(found.values(), shapes, strict=True))
        exact = ("coefficients", "center", "times", "at_risk", "left")  # Kaplan–Meier's hazard may end at infinity
        good = good and all(np.isfinite(found[name]).all() for name in exact) and not np.isnan(found["hazard"]).any()
        times_, hazard = found["times"], found["hazard"]  # compared, for infinity less infinity is nothing
        if not good or (times_[1:] <= times_[:-1]).any() or (hazard[1:] < hazard[:-1]).any():
            raise DataError("bad_model", f"not a stored {cls.__name__} of format {FORMAT}")
        model.longest_, model.customers_, model.left_ = counts["longest"], counts["customers"], counts["left"]
        model.calibration_slope_, model.clustered_ = slope, plain.get("clustered") is True
        model.coefficients_, model.covariance_, model._center = (found[name] for name in OF_FIT[:3])
        model._times, model._hazard, model._at_risk, model._left = (found[name] for name in OF_FIT[3:])
        model._errors, model.leaks_ = _errors_of(model, arrays), None
        model._design_effect = None
        if model.model_ == "aalen_johansen":
            model.causes_, model._by_cause = plain.get("causes"), np.asarray(arrays.get("by_cause"))
            if not _good_causes(model.causes_, model._by_cause, model._left):
                raise DataError("bad_model", f"not a stored {cls.__name__}: its causes do not fit")
            if "design_effect" in arrays:
                wider = np.asarray(arrays["design_effect"])
                fine = wider.dtype == np.float64 and wider.shape == model._by_cause.shape
                if not fine or not (np.isfinite(wider) & (wider >= 0)).all():
                    raise DataError("bad_model", f"not a stored {cls.__name__}: its errors do not fit")
                model._design_effect = wider
        return model


def _good_causes(causes: Any, counts: npt.NDArray[Any], left: Floats) -> bool:
    """Whether stored causes have names, and counts that make up all who left."""
    named = isinstance(causes, list) and all(type(cause) in (str, int, float, bool) for cause in causes)
    if not named or len(set(causes)) < len(causes) or counts.dtype != np.float64:
        return False
    return counts.shape == (len(causes), len(left)) and bool((counts >= 0).all() and (counts.sum(axis=0) == left).all())


def _errors_of(model: StoredSurvival, arrays: Mapping[str, Any]) -> Uncertainty | None:
    """What is not known of a stored model; None for files of before.

    Raises
    ------
    DataError
        ``bad_model``.
    """
    if not any(name in arrays for name in OF_ERRORS):
        return None
    found = [np.asarray(arrays.get(name)) for name in OF_ERRORS]
    plain, hazard, grid, joint = found
    several = len(model.coefficients_)
    shapes = ((several,), model._hazard.shape, grid.shape[:1], (several + len(grid.reshape(-1)),) * 2)  # noqa: SLF001 - as its own
    good = all(a.dtype == np.float64 and a.shape == s for a, s in zip(found, shapes, strict=True))
    good = good and not np.isnan(hazard).any() and all(np.isfinite(a).all() for a in (plain, grid))
    if not good or (grid[1:] < grid[:-1]).any() or (hazard[1:] < hazard[:-1]).any():
        raise DataError("bad_model", f"not a stored {type(model).__name__}: its errors do not fit")
    return Uncertainty(model.model_, plain, model._center, model._times, hazard, grid, joint)  # noqa: SLF001
