"""What estimators of this package share: parameters as scikit-learn reads them, and an error before `fit`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Self

from attrib.errors import SpecError, brief
from attrib.extras import needs
from attrib.io.text import clean
from attrib.showing import Sheet, Shown, facts_sheet, value_of


class Estimator(Shown):
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
                raise SpecError("bad_parameter", f"{type(self).__name__} has no parameter {brief(name)}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks before it takes an estimator."""
        return needs("sklearn.base").BaseEstimator().__sklearn_tags__()

    def _title(self) -> str:
        """The call that makes it: parameters where they are not the default."""
        defaults = {name: one.default for name, one in inspect.signature(type(self)).parameters.items()}
        given = {name: value for name, value in self.get_params().items() if value is not defaults.get(name)}
        shown = {name: repr(value) for name, value in given.items() if repr(value) != repr(defaults.get(name))}
        return f"{type(self).__name__}({', '.join(f'{name}={clean(value, 60)}' for name, value in shown.items())})"

    def _sheets(self) -> Iterator[Sheet]:
        """What `fit` found, of what can be said in a line: numbers, names, and how much there is of the rest."""
        found = {
            name.removesuffix("_").replace("_", " "): value
            for name, value in vars(self).items()
            if name.endswith("_") and not name.startswith("_") and value is not None
        }
        errors = found.pop("standard errors", None)
        if isinstance(errors, dict) and isinstance(found.get("params"), dict):
            parameters = found.pop("params").items()
            found = {name: f"{value_of(value)} ± {value_of(errors.get(name))}" for name, value in parameters} | found
        if found:
            yield facts_sheet(found)

    def _check_fitted(self, attribute: str) -> None:
        """Check that `fit` was called.

        Raises
        ------
        SpecError
            ``not_fitted``.
        """
        if not hasattr(self, attribute):
            raise SpecError("not_fitted", f"this {type(self).__name__} is not fitted", hint="call fit first")
