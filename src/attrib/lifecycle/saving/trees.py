"""Boosted trees of scikit-learn as bytes that hold numbers only, by skops, and back with every number checked.

Trees are walked by compiled code that checks no bounds: a child that does not exist, or one that leads back, would read
foreign memory or never end. So after skops has refused foreign types, each node is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from attrib.extras import needs
from attrib.io.text import clean
from attrib.lifecycle.saving.archives import array, broken, members

WHAT = "trees"
MOST_MEMBERS = 100_000  # of the archive: a few a tree
_TREE = ("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor")
# what a file may be made of: fixed here, never read from it
_KINDS = {
    ("builtins", "dict", "DictNode"),
    ("builtins", "list", "ListNode"),
    ("builtins", "str", "JsonNode"),
    ("builtins", "str", "TypeNode"),
    ("numpy", "ndarray", "NdArrayNode"),
    (*_TREE, "ObjectNode"),
}
_KEYS = {"__class__", "__module__", "__loader__", "__id__", "content", "is_json", "key_types", "type", "file"}
_TOP_KEYS = _KEYS | {"protocol", "_skops_version"}


def dump_trees(models: list[Any]) -> bytes:
    """Write fitted ``HistGradientBoostingClassifier`` of two classes: the trees and where they start, nothing else."""
    plain = [
        {
            "columns": int(model.n_features_in_),
            "start": np.array(model._baseline_prediction, dtype=np.float64),  # noqa: SLF001 - scikit-learn has no other name
            "trees": [tree for (tree,) in model._predictors],  # noqa: SLF001
        }
        for model in models
    ]
    written: bytes = needs("skops.io").dumps(plain)
    return written


def load_trees(written: bytes) -> list[Any]:
    """Rebuild the models, trusting nothing.

    Parameters
    ----------
    written : bytes
        From `dump_trees`, or from somebody who wants us to believe so.

    Returns
    -------
    list of HistGradientBoostingClassifier
        They predict the same to the bit, and can do nothing else.

    Raises
    ------
    DataError
        ``bad_model_file``.
    """
    _check_archive(written)
    try:
        plain = needs("skops.io").loads(written, trusted=[".".join(_TREE)])
    except Exception as error:  # a foreign parser, hostile bytes: whatever it says, they are no model
        raise broken(WHAT, f"skops: {type(error).__name__}") from error
    if not isinstance(plain, list) or not all(isinstance(one, dict) for one in plain):
        raise broken(WHAT, "no list of trees")
    return [_rebuilt(one) for one in plain]


def _check_archive(written: bytes) -> None:
    """Check sizes and types before skops builds anything."""
    content = members(written, WHAT, MOST_MEMBERS)
    try:
        schema = json.loads(content.pop("schema.json"))
        nodes = list(_nodes(schema))
    except (KeyError, ValueError, RecursionError) as error:
        raise broken(WHAT, f"no schema ({type(error).__name__})") from error
    for name in content:
        array(content[name], WHAT)
    for node in nodes:
        kind = (node.get("__module__"), node.get("__class__"), node.get("__loader__"))
        if not all(isinstance(part, str) for part in kind) or kind not in _KINDS:
            raise broken(WHAT, f"a part of type {clean(kind, 120)}")
        if set(node) - (_TOP_KEYS if node is schema else _KEYS):
            raise broken(WHAT, "a part with more than it needs")
        if kind[2] == "NdArrayNode" and node.get("type") != "numpy":
            raise broken(WHAT, "an array that is not one of numbers")


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    """All parts that skops would build: every mapping but those that only list others by name."""
    waiting = [part]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            if "__loader__" in one or "__class__" in one or "__module__" in one:
                yield one
            waiting += one.values()


def _rebuilt(plain: dict[Any, Any]) -> Any:
    ensemble = needs("sklearn.ensemble._hist_gradient_boosting.gradient_boosting")
    binning = needs("sklearn.ensemble._hist_gradient_boosting.binning")
    columns, start, trees = (plain.get(name) for name in ("columns", "start", "trees"))
    if type(columns) is not int or not 1 <= columns <= 10**6 or not isinstance(trees, list):
        raise broken(WHAT, "no list of trees")
    if not isinstance(start, np.ndarray) or start.shape != (1, 1) or start.dtype != np.float64:
        raise broken(WHAT, "no start")
    if not np.isfinite(start).all():
        raise broken(WHAT, "a start that is no number")
    model = ensemble.HistGradientBoostingClassifier()
    # all that decision_function reads; what else a file may say is left behind
    model.n_features_in_, model.n_trees_per_iteration_, model.classes_ = columns, 1, np.array([False, True])
    model._preprocessor = None  # noqa: SLF001 - as fit leaves it
    model._baseline_prediction = start  # noqa: SLF001
    model._bin_mapper = binning._BinMapper()  # noqa: SLF001
    model._bin_mapper.is_categorical_ = np.zeros(columns, np.uint8)  # noqa: SLF001
    model._bin_mapper.bin_thresholds_ = [None] * columns  # noqa: SLF001 - read, and only used for categories
    model._predictors = [[_checked(tree, columns)] for tree in trees]  # noqa: SLF001
    return model


def _checked(tree: Any, columns: int) -> Any:
    """Make a tree anew from its nodes: children lie behind their parents, so that every way down ends."""
    predictor = needs("sklearn.ensemble._hist_gradient_boosting.predictor")
    common = needs("sklearn.ensemble._hist_gradient_boosting.common")
    nodes: npt.NDArray[Any] | None = getattr(tree, "nodes", None) if type(tree) is predictor.TreePredictor else None
    if not isinstance(nodes, np.ndarray) or nodes.dtype != common.PREDICTOR_RECORD_DTYPE or nodes.ndim != 1:
        raise broken(WHAT, "a tree without nodes")
    nodes = np.ascontiguousarray(nodes)
    at = np.arange(len(nodes), dtype=np.int64)
    inner = nodes["is_leaf"] == 0
    fine = len(nodes) > 0 and bool(np.isfinite(nodes["value"]).all()) and not nodes["is_categorical"].any()
    for name in ("left", "right"):
        child = nodes[name].astype(np.int64)[inner]
        fine = fine and bool(((child > at[inner]) & (child < len(nodes))).all())
    feature = nodes["feature_idx"][inner]
    fine = fine and bool(((feature >= 0) & (feature < columns)).all())
    if not fine or np.isnan(nodes["num_threshold"][inner]).any():
        raise broken(WHAT, "a tree whose nodes do not fit each other")
    none = np.zeros((0, 8), np.uint32)
    return predictor.TreePredictor(nodes, none, none)
