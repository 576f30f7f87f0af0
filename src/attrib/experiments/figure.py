"""A picture of the first metric: a point a model with twice its standard error, a panel a cell; always the same."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

import polars as pl

from attrib.experiments.page import WORDS, label
from attrib.experiments.plan import RANDOM, Experiment
from attrib.experiments.results import CELL, MODEL, Tables, cells_of, within

_MOST = 12  # panels: more is for the file


def drawn(experiment: Experiment, tables: Tables) -> bytes | None:
    """Draw the figure.

    Returns
    -------
    bytes or None
        SVG; None without matplotlib (which comes with ``attrib[lifecycle]``), without numbers, or if it is not wanted.
    """
    metric = experiment.spec.metrics[0]
    summary = tables.summary.filter((pl.col("metric") == metric) & pl.col("mean").is_not_null())
    if not experiment.spec.figure or summary.is_empty() or find_spec("matplotlib") is None:
        return None
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    cells = cells_of(tables).join(summary, on=CELL, how="semi", nulls_equal=True, maintain_order="left").head(_MOST)
    models = [model for model in experiment.models if model in set(summary[MODEL])][::-1]
    columns = min(cells.height, 3)
    rows = -(-cells.height // columns)
    settings: Any = {"svg.hashsalt": "attrib", "svg.fonttype": "none", "font.size": 9}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(2.2 + 2.6 * columns, rows * (0.9 + 0.24 * len(models))), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for at, panel in enumerate(panels.flat):
            if at >= cells.height:
                panel.set_axis_off()
                continue
            cell = cells.row(at, named=True)
            part = within(summary, cell)
            for row in part.rows(named=True):
                colour = "0.6" if row[MODEL] == RANDOM else "C0"
                spread = 2 * (row["se"] or 0.0)
                panel.errorbar(row["mean"], models.index(row[MODEL]), xerr=spread, fmt="o", ms=4, c=colour)
            panel.grid(axis="x", color="0.9")
            panel.spines[["top", "right"]].set_visible(False)
            if cells.height > 1:
                panel.set_title(label(cell, cells), fontsize=9)
            panel.set_yticks(range(len(models)), [name.replace("$", r"\$") for name in models])
        figure.supxlabel(f"{WORDS[metric]} (± 2 standard errors)", fontsize=9)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return b"\n".join(line.rstrip() for line in file.getvalue().splitlines()) + b"\n"
