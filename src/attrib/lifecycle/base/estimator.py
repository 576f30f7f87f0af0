"""What estimators of this package share: parameters as scikit-learn reads them, and an error before `fit`."""

from __future__ import annotations

import inspect
from typing import Any, Self

from attrib.errors import SpecError
from attrib.extras import needs

__all__ = ["Estimator", "needs"]


class Estimator:
    """Parameters as scikit-learn reads them, so that ``clone``, grids and pipelines work, without importing it."""

    @classmethod
    def _parameters(cls) -> list[str]:
        return [name for name in inspect.signature(cls).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002 - as scikit-learn calls it
        """Parameters of the constructor, by name."""
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the constructor.

        Raises
        ------
        SpecError
            ``bad_parameter`` for a name that the constructor does not have.
        """
        for name, value in params.items():
            if name not in self._parameters():
                raise SpecError("bad_parameter", f"{type(self).__name__} has no parameter {name!r}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks before it takes an estimator."""
        return needs("sklearn.base").BaseEstimator().__sklearn_tags__()

    def __repr__(self) -> str:
        """Show the parameters."""
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"

    def _check_fitted(self, attribute: str) -> None:
        """Check that `fit` was called.

        Raises
        ------
        SpecError
            ``not_fitted``.
        """
        if not hasattr(self, attribute):
            raise SpecError("not_fitted", f"this {type(self).__name__} is not fitted", hint="call fit first")
