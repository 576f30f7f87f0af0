"""shapley-attribution 2.1.0 (MIT): the closed form of Shapley's value, and last touch; it reads lists of channels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from clock import main
from shapley_attribution import LastTouchAttribution, SimplifiedShapleyAttribution
from tables import SEPARATOR, read

Table = tuple[list[str], list[int]]


def prepare(file: Path) -> Table:
    """One journey a row."""
    rows = read(file)
    return [path for path, _, _ in rows], [conversions for _, conversions, _ in rows]


def credit(table: Table, model: Any) -> dict[str, float]:
    """Credited conversions; paths are cut inside the clock, as the others cut them."""
    paths, converts = table
    return model().fit([path.split(SEPARATOR) for path in paths], converts).get_attribution()


if __name__ == "__main__":
    models = {"shapley": SimplifiedShapleyAttribution, "last_touch": LastTouchAttribution}
    methods = {name: partial(credit, model=model) for name, model in models.items()}
    main("shapley-attribution", {"path table": (prepare, methods)})
