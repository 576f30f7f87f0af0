"""What the classifiers of this package share: labels of two classes, and how they come back from a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError
from attrib.lifecycle.base.beside import check_same_rows
from attrib.lifecycle.base.design import DesignMatrix
from attrib.lifecycle.base.estimator import Estimator, needs
from attrib.lifecycle.base.labels import Bools, Integers, read_labels
from attrib.lifecycle.judging.leaks import leak_report


class TwoClasses(Estimator):
    """A classifier of two classes; ``classes_`` are sorted, probabilities are of the second one."""

    folds: int
    seed: int
    check_leaks: bool
    classes_: npt.NDArray[Any]
    feature_names_in_: npt.NDArray[Any]
    n_features_in_: int
    design_: DesignMatrix
    leaks_: pl.DataFrame | None

    def _labels(self, X: Any, y: Any) -> Bools:
        """Which rows are of the second class, labels being those of `fit`."""
        check_same_rows(X=X, y=y)
        classes, positive = read_labels(y)
        if list(classes) != list(self.classes_):
            raise DataError("bad_labels", f"y holds {list(classes)!r:.80}, training held {list(self.classes_)!r:.80}")
        return positive

    def _leaks(self, table: pl.DataFrame, positive: Bools, codes: Integers) -> pl.DataFrame | None:
        """The leak report, if it is asked for."""
        if not self.check_leaks:
            return None
        return leak_report(table, positive, customers=codes, folds=self.folds, seed=self.seed)

    def _class_of(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        """The more probable class of each row."""
        return self.classes_[(probabilities[:, 1] >= 0.5).astype(np.intp)]

    def _name_features(self, names: list[str]) -> None:
        self.feature_names_in_ = np.array(names, dtype=object)
        self.n_features_in_ = len(names)

    def _facts(self) -> dict[str, Any]:
        """What a file holds of every classifier, beside its own parts."""
        return {
            "parameters": self.get_params(),
            "design": self.design_.to_dict(),
            "classes": self.classes_.tolist(),
            "features": self.feature_names_in_.tolist(),
        }

    def _read_facts(self, data: Any) -> None:
        """Take classes and features from a file; the parameters are there already."""
        self.classes_, _ = read_labels(data["classes"])
        self._name_features([str(name) for name in data["features"]])
        self.leaks_ = None

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks before it takes an estimator: it is a classifier of two classes."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        tags.classifier_tags = needs("sklearn.utils").ClassifierTags(multi_class=False)
        return tags
