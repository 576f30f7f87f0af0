"""A picture of the first metric with twice its standard error, always the same.

A panel a cell with a point a model; or, where there are three sizes or more, a panel a world with a line a model.
"""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

import polars as pl

from attrib.experiments.page import WORDS, label
from attrib.experiments.plan import PER_CHANNEL, RANDOM, Experiment
from attrib.experiments.results import CELL, MODEL, Tables, cells_of, within

_MOST = 12  # panels: more is for the file
_CURVE = 3  # sizes from which lines say more than points
_WHOLE = 1.0  # of a share error: beyond, a point stands at the edge as an arrow
_LINES = ("-", "--", ":", "-.")


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

    cells = cells_of(tables).join(summary, on=CELL, how="semi", nulls_equal=True, maintain_order="left")
    models = [model for model in experiment.models if model in set(summary[MODEL])]
    curves = cells["customers"].n_unique() >= _CURVE and cells[PER_CHANNEL].null_count() == 0
    keys = ["world", "setting", "stage"] if curves else CELL
    groups = list(cells.partition_by(keys, maintain_order=True))[:_MOST]
    columns = min(len(groups), 3)
    rows = -(-len(groups) // columns)
    tall = 2.6 if curves else 0.9 + 0.24 * len(models)
    settings: Any = {"svg.hashsalt": "attrib", "svg.fonttype": "none", "font.size": 9}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(2.2 + 2.6 * columns, rows * tall), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for at, panel in enumerate(panels.flat):
            if at >= len(groups):
                panel.set_axis_off()
                continue
            (_curves if curves else _points)(panel, groups[at], summary, models, limited=metric == "share_error")
            panel.grid(axis="y" if curves else "x", color="0.9")
            panel.spines[["top", "right"]].set_visible(False)
            if len(groups) > 1:
                shown = cells.with_columns(pl.lit(0).alias("customers")) if curves else cells
                panel.set_title(label(groups[at].row(0, named=True), shown), fontsize=9)
        said = f"{WORDS[metric]} (± 2 standard errors)"
        if curves:
            figure.supxlabel("conversions a channel", fontsize=9)
            figure.supylabel(said, fontsize=9)
            figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
        else:
            figure.supxlabel(said, fontsize=9)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return b"\n".join(line.rstrip() for line in file.getvalue().splitlines()) + b"\n"


def _points(panel: Any, cell: pl.DataFrame, summary: pl.DataFrame, models: list[str], *, limited: bool) -> None:
    """Draw a point a model, from above in the order of the models."""
    from_below = models[::-1]
    for row in within(summary, cell.row(0, named=True)).rows(named=True):
        colour = "0.6" if row[MODEL] == RANDOM else "C0"
        far = limited and row["mean"] > _WHOLE
        spread = None if far else 2 * (row["se"] or 0.0)
        at = _WHOLE if far else row["mean"]
        panel.errorbar(at, from_below.index(row[MODEL]), xerr=spread, fmt=">" if far else "o", ms=4, c=colour)
    panel.set_yticks(range(len(models)), [_plain(name) for name in from_below])


def _curves(panel: Any, cells: pl.DataFrame, summary: pl.DataFrame, models: list[str], *, limited: bool) -> None:
    """Draw a line a model over the conversions a channel."""
    whole = cells.join(summary, on=CELL, how="inner", nulls_equal=True, maintain_order="left")
    for number, model in enumerate(models):
        rows = whole.filter(pl.col(MODEL) == model).sort(PER_CHANNEL)
        spread = rows["se"].fill_null(0.0) * 2
        colour = "0.6" if model == RANDOM else f"C{number % 10}"
        line = _LINES[number // 10 % len(_LINES)]
        panel.errorbar(rows[PER_CHANNEL], rows["mean"], spread, fmt=line, c=colour, lw=1, label=_plain(model))
    panel.set_xscale("log")
    if limited:
        panel.set_ylim(0, min(_WHOLE, 1.1 * float(summary["mean"].max())))  # type: ignore[arg-type]


def _plain(name: str) -> str:
    return name.replace("$", r"\$")
