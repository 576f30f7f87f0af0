"""The README of an experiment: question, findings, answer. Only the part between two marks is generated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from attrib.experiments.metrics import BETTER, fewest_buckets
from attrib.experiments.plan import PER_CHANNEL, RANDOM, Experiment
from attrib.experiments.results import CELL, MODEL, Tables, cells_of, shown, within
from attrib.io.text import clean
from attrib.schemas import CHANNEL, CONVERSIONS, SHARE, STAGE

NAME, FIGURE = "README.md", "results.svg"
BEGIN = "<!-- written by `attrib experiment`: from here -->"
END = "<!-- to here; what stands outside is kept -->"
ANSWER = "**Answer.**"
TRUTH = "truth"
UNANSWERED = f"{ANSWER} (not yet written)"
_PART = re.compile(re.escape(BEGIN) + r"\n.*?" + re.escape(END), re.DOTALL)
WORDS = {
    "share_error": "share error",
    "spearman": "rank correlation (Spearman)", "kendall": "rank correlation (Kendall)",
    "increment_error": "error of increments", "budget_regret": "budget regret",
    "truth_coverage": "intervals that hold the truth",
    "coverage": "coverage of intervals", "width": "width of intervals", "stability": "stability",
    "log_likelihood": "hold-out log-likelihood", "auc": "hold-out AUC",
}  # fmt: skip
_LARGEST = 15  # models of a matrix of agreement: more is for the file


def written(experiment: Experiment, tables: Tables, record: dict[str, Any], before: str | None, *, figure: bool) -> str:
    """Write the page: a new one, or the old with its generated part and its first line anew.

    Parameters
    ----------
    experiment : Experiment
    tables : Tables
    record : dict
        The content of run.json.
    before : str or None
        The page as it is.
    figure : bool
        Whether ``results.svg`` stands beside it.
    """
    title = f"# {clean(experiment.spec.question)}"
    part = "\n".join([BEGIN, "", *_part(experiment, tables, record, figure=figure), "", END])
    if before is None:
        return f"{title}\n\n{part}\n\n{UNANSWERED}\n"
    kept = re.sub(r"\A#[^\n]*\n", "", before)
    marked = _PART.search(kept) is not None
    kept = _PART.sub(lambda _: part, kept, count=1) if marked else f"\n{part}\n\n{kept.lstrip()}"
    return f"{title}\n{kept}"


def faults(experiment: Experiment, page: str, expected: str) -> Iterator[str]:
    """Tell what is wrong with a page: its question, its tables, its answer."""
    lines = [line for line in page.splitlines() if line.strip()]
    if not lines or lines[0] != f"# {clean(experiment.spec.question)}":
        yield f"the first line of {NAME} is not the question"
    if page != expected:
        yield f"the generated part of {NAME} is not that of the results"
    if not lines or not lines[-1].startswith(ANSWER) or lines[-1] == UNANSWERED:
        yield f"the last line of {NAME} is not an answer; write it: {ANSWER} …"


def _part(experiment: Experiment, tables: Tables, record: dict[str, Any], *, figure: bool) -> Iterator[str]:
    seeds = len(experiment.spec.seeds)
    plural = "s" if seeds > 1 else ""
    yield (
        f"Means over {seeds} seed{plural}{', ± standard errors' if plural else ''}; the best of a column in bold. "
        "What the numbers mean: docs/experiments.md of attrib."
    )
    cells = cells_of(tables)
    if cells.height == 1:
        yield from _one_cell(experiment, tables.summary)
    else:
        for metric in experiment.spec.metrics:
            yield from _one_metric(experiment, tables.summary.filter(metric=metric), cells, metric)
    if figure:
        yield from ("", f"![{WORDS[experiment.spec.metrics[0]]} of each model]({FIGURE})")
    if experiment.spec.shares and tables.players is not None:
        yield from _shares(experiment, tables.players, cells)
    for name in experiment.spec.tables:
        yield from _from_file(experiment.folder / name)
    if tables.players is not None and "counted" in tables.players.columns:
        yield from _coverage(experiment, tables.players)
    yield from _times(experiment, record)
    if tables.agreement is not None and tables.agreement.height:
        yield from _matrices(experiment, tables.agreement, cells.height)
    failed = tables.results.filter(pl.col("error").is_not_null())
    if failed.height:
        yield from ("", f"{failed.height} runs failed; `results.csv` has them with the reason.")
    yield from ("", f"attrib {record['attrib']}, spec {record['spec_sha256'][:12]}, {record['finished'][:10]}.")


def _one_cell(experiment: Experiment, summary: pl.DataFrame) -> Iterator[str]:
    """Models by metrics, and differences of the first metric."""
    spec = experiment.spec
    first = spec.metrics[0]
    columns = [(WORDS[metric], _texts(summary.filter(metric=metric), metric)) for metric in spec.metrics]
    if len(spec.seeds) > 1:
        rows = summary.filter(metric=first).rows(named=True)
        apart = {r[MODEL]: shown(r["difference"], r["difference_se"]) for r in rows if r[MODEL] != spec.against}
        columns.append((f"{WORDS[first]} less that of {clean(spec.against)}", apart))
    yield from _table(experiment.models, columns)


def _one_metric(experiment: Experiment, summary: pl.DataFrame, cells: pl.DataFrame, metric: str) -> Iterator[str]:
    """Models by cells; a table a world where a world has several cells."""
    yield from ("", f"### {WORDS[metric][:1].upper()}{WORDS[metric][1:]}")
    parts = [cells]
    if 1 < cells["world"].n_unique() < cells.height:
        parts = cells.partition_by("world", maintain_order=True)
    for part in parts:
        if len(parts) > 1:
            yield from ("", f"{clean(part['world'][0])}:")
        columns = [(label(cell, part), _texts(within(summary, cell), metric)) for cell in part.rows(named=True)]
        yield from _table(experiment.models, columns)


def label(cell: dict[str, Any], cells: pl.DataFrame) -> str:
    """Name a cell by what tells it from the others.

    Examples
    --------
    >>> cells = pl.DataFrame({"world": ["rare", "rare"], "customers": [1000, 20000], "setting": "", "stage": None})
    >>> label(cells.row(1, named=True), cells)
    '20,000 customers'
    """
    parts = [
        _size(cell) if name == "customers" else clean(str(cell[name]))
        for name in CELL
        if cells[name].n_unique() > 1 and cell[name] is not None
    ]
    return ", ".join(parts) or clean(str(cell["world"]))


def _size(cell: dict[str, Any]) -> str:
    """Customers, and what counts for the error of a method: conversions per channel."""
    conversions = cell.get(PER_CHANNEL)
    size = "" if conversions is None else f" ({conversions:,.0f} conversions a channel)"
    return f"{cell['customers']:,} customers{size}"


def _texts(rows: pl.DataFrame, metric: str) -> dict[str, str]:
    """What stands in a column, by model."""
    means = {r[MODEL]: r["mean"] for r in rows.rows(named=True) if r["mean"] is not None and r[MODEL] != RANDOM}
    best = None
    if BETTER[metric] and len(means) > 1:
        best = max(means.values()) if BETTER[metric] > 0 else min(means.values())
    texts = {r[MODEL]: shown(r["mean"], r["se"]) for r in rows.rows(named=True)}
    return {model: f"**{text}**" if model in means and means[model] == best else text for model, text in texts.items()}


def _table(models: Sequence[str], columns: Sequence[tuple[str, dict[str, str]]]) -> Iterator[str]:
    used = [(heading, texts) for heading, texts in columns if any(text != "–" for text in texts.values())]
    yield ""
    yield f"| model | {' | '.join(_cell(heading) for heading, _ in used)} |"
    yield f"|---|{'---|' * len(used)}"
    for model in models:
        if any(texts.get(model, "–") != "–" for _, texts in used):
            name = f"*{model}*" if model == RANDOM else _cell(model)
            yield f"| {name} | {' | '.join(texts.get(model, '–') for _, texts in used)} |"


def _shares(experiment: Experiment, players: pl.DataFrame, cells: pl.DataFrame) -> Iterator[str]:
    """Shares of the channels by model, a table a cell."""
    ranged = {"share_low", "share_high"} <= set(players.columns)
    yield from ("", "### Who gets what", "")
    yield (
        f"Shares of the credit that channels got{', with intervals' if ranged else ''}; "
        "last column: the part of the conversions that is credited to no channel."
    )
    for cell in cells.rows(named=True):
        part = within(players, cell)
        if cells.height > 1:
            yield from ("", f"{label(cell, cells)}:")
        columns = []
        for key, rows in (
            part.filter(pl.col(CHANNEL).is_not_null())
            .partition_by([c for c in (STAGE, CHANNEL) if c in part.columns], as_dict=True, maintain_order=True)
            .items()
        ):
            texts = {r[MODEL]: _share(r) for r in rows.rows(named=True)}
            if "true_share" in rows.columns and rows["true_share"].null_count() < rows.height:
                texts[TRUTH] = f"**{shown(rows['true_share'].drop_nulls()[0])}**"
            columns.append((", ".join(str(name) for name in key if name is not None and name != cell[STAGE]), texts))
        whole = part.group_by(MODEL).agg(
            pl.col(CONVERSIONS).sum(), rest=pl.col(CONVERSIONS).filter(pl.col(CHANNEL).is_null()).sum()
        )
        columns.append(
            (
                "(no channel)",
                {r[MODEL]: shown(r["rest"] / r[CONVERSIONS]) for r in whole.rows(named=True) if r[CONVERSIONS]},
            )
        )
        yield from _table([*(m for m in experiment.models if m != RANDOM), TRUTH], columns)


def _share(row: dict[str, Any]) -> str:
    """A share with its interval, where it has one."""
    low, high = row.get("share_low"), row.get("share_high")
    interval = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
    return f"{shown(row[SHARE])}{interval}"


def _from_file(file: Path) -> Iterator[str]:
    """A table that something else wrote."""
    found = pl.read_csv(file, infer_schema=False).fill_null("")
    yield from ("", f"### {clean(file.stem.replace('_', ' ').capitalize())}", "")
    yield f"| {' | '.join(map(_cell, found.columns))} |"
    yield f"|{'---|' * found.width}"
    for row in found.rows():
        yield f"| {' | '.join(map(_cell, row))} |"


def _coverage(experiment: Experiment, players: pl.DataFrame) -> Iterator[str]:
    """How often intervals held the limit of each player: those that carry the question, and beside them the others."""
    fewest = experiment.spec.intervals.fewest
    buckets = fewest_buckets(fewest)
    yield from ("", "### Coverage, player by player", "")
    yield (
        "Each player of each game is a cell: the share of the data sets whose interval held the limit. Cells with "
        f"fewer than {fewest:g} expected conversions, or with conversions from fewer than {buckets:g} buckets of "
        "customers, are too thin to count (°). `players.csv` has them all."
    )
    games = [name for name in CELL if players[name].n_unique() > 1]
    yield from (
        "",
        f"| {' | '.join([*games, 'model', 'cells', 'lowest', 'mean', 'highest', '° cells', '° lowest', '° mean'])} |",
    )
    yield f"|{'---|' * (len(games) + 8)}"
    known = players.filter(pl.col("coverage").is_not_null())
    for key, part in known.partition_by([*games, MODEL], as_dict=True, maintain_order=True).items():
        names = [_cell("" if x is None else f"{x:,}" if isinstance(x, int) else x) for x in key]
        yield f"| {' | '.join([*names, *_spread(part)])} |"
    yield f"| {'**all** | ' + '| ' * len(games)}{' | '.join(_spread(known))} |"


def _spread(cells: pl.DataFrame) -> list[str]:
    """Number, lowest, mean and highest coverage of the cells that count; the same but for the highest of the others."""
    out = []
    for counted, taken in ((True, ("min", "mean", "max")), (False, ("min", "mean"))):
        part = cells.filter(pl.col("counted") == counted)["coverage"]
        out += [str(len(part)), *(f"{100 * getattr(part, name)():.1f} %" if len(part) else "–" for name in taken)]
    return out


def _times(experiment: Experiment, record: dict[str, Any]) -> Iterator[str]:
    """What an answer costs, with its intervals if a metric asks for them."""
    seconds: dict[str, float] = record["seconds_each"]
    known = [model for model in experiment.models if model in seconds]
    if not known:
        return
    yield from ("", "### Seconds", "")
    clock, journeys = record.get("clock", "wall"), seconds.get("journeys", 0.0)
    listed = ", ".join(f"{_cell(model)} {seconds[model]:.2g}" for model in known)
    yield f"Mean seconds of a run ({clock} time), beside {journeys:.2g} to form the journeys: {listed}."


def _matrices(experiment: Experiment, agreement: pl.DataFrame, cells: int) -> Iterator[str]:
    """Distances between models, a matrix a cell."""
    yield from ("", "### How far apart the models are", "", "Half the sum of absolute differences of shares.")
    for cell, part in agreement.partition_by(CELL, as_dict=True, maintain_order=True).items():
        apart = {(r["first"], r["second"]): r["distance"] for r in part.rows(named=True)}
        models = [m for m in experiment.models if any(m in pair for pair in apart)]
        if len(models) > _LARGEST:
            yield from ("", "Of so many models the distances stand in `agreement.csv`.")
            return
        if cells > 1:
            yield from ("", f"{clean(', '.join(str(x) for x in cell if x not in (None, '')))}:")
        columns = [
            (other, {model: shown(apart.get((model, other), apart.get((other, model)))) for model in models})
            for other in models
        ]
        yield from _table(models, columns)


def _cell(text: str) -> str:
    return clean(text).replace("|", "\\|")


def read(folder: Path) -> str | None:
    """Return the page as it is, if there is one."""
    try:
        return (folder / NAME).read_text("utf-8")
    except FileNotFoundError:
        return None
