"""docs/choosing-a-method.md shows what experiments found; ``pytest tests/docs --overwrite-goldens`` writes it anew."""

from __future__ import annotations

import json
import re

import polars as pl
import pytest

from attrib.experiments.results import shown

BOARD = ("which-method-under-confounding", "which-method-in-other-markets")
COVERAGE = "do-intervals-cover"
INTENT = "what-a-log-can-tell"
PART = re.compile(r"(<!-- (\w+): from the results -->\n).*?(\n<!-- to here -->)", re.DOTALL)


@pytest.fixture(scope="module")
def read(root):
    def table(question: str, name: str) -> pl.DataFrame:
        texts = dict.fromkeys(("setting", "stage", "channel"), pl.String)
        return pl.read_csv(root / "experiments" / question / name, schema_overrides=texts, infer_schema_length=None)

    return table


def lines(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def leaderboard(root, read) -> str:
    """Share errors, method by market; the methods in the order of their mean rank."""
    found = pl.concat([read(question, "summary.csv").filter(metric="share_error") for question in BOARD])
    worlds = found["world"].unique(maintain_order=True).to_list()
    ranked = found.with_columns(rank=pl.col("mean").rank().over("world"))
    order = ranked.group_by("model").agg(pl.col("rank").sum() + 100 * (10 - pl.len())).sort("rank", "model")
    cells = {(r["world"], r["model"]): r for r in found.iter_rows(named=True)}
    best = found.filter(pl.col("model") != "random").group_by("world").agg(pl.col("mean").min())
    least = dict(best.iter_rows())
    rows = []
    for model in order["model"]:
        texts = []
        for world in worlds:
            row = cells.get((world, model))
            text = "–" if row is None or row["mean"] > 1.5 else shown(row["mean"], row["se"]).replace(" ± ", " ±")
            texts.append(f"**{text}**" if row is not None and row["mean"] == least[world] else text)
        rows.append([f"*{model}*" if model == "random" else f"`{model}`", *texts])
    return lines(["method", *(f"`{world}`" for world in worlds)], rows)


def coverage(root, read) -> str:
    """Coverage over the cells that count, and over the thin ones."""
    cells = read(COVERAGE, "players.csv").filter(pl.col("coverage").is_not_null())
    rows = []
    for name, part in [
        *((f"`{m}`", cells.filter(model=m)) for m in cells["model"].unique(maintain_order=True)),
        ("**all**", cells),
    ]:
        counted, thin = (part.filter(counted=flag)["coverage"] for flag in (True, False))
        spread = [f"{100 * number:.1f} %" for number in (counted.min(), counted.mean(), counted.max())]
        rows.append(
            [name, str(len(counted)), *spread, str(len(thin)), f"{100 * thin.mean():.1f} %" if len(thin) else "–"]
        )
    return lines(["method", "cells", "lowest", "mean", "highest", "thin cells", "their mean"], rows)


def intent(root, read) -> str:
    """Share errors of what can be known from a log, and of what cannot."""
    found = read(INTENT, "summary.csv").filter(pl.col("metric") == "share_error", pl.col("model") != "last_touch")
    worlds = found["world"].unique(maintain_order=True).to_list()
    cells = {(r["world"], r["model"]): shown(r["mean"], r["se"]) for r in found.iter_rows(named=True)}
    models = found["model"].unique(maintain_order=True).to_list()
    return lines(["method", *worlds], [[m, *(cells.get((world, m), "–") for world in worlds)] for m in models])


def times(root, read) -> str:
    """Seconds of processor time for one data set of the last experiment."""
    record = json.loads((root / "experiments" / BOARD[0] / "run.json").read_text())
    seconds = record["seconds_each"]
    models = [model for model in seconds if model not in ("data", "journeys")]
    return lines(["method", "seconds"], [[f"`{model}`", f"{seconds[model]:.2g}"] for model in models])


PARTS = {"leaderboard": leaderboard, "intent": intent, "coverage": coverage, "times": times}


def test_the_page_shows_the_results(root, read, request):
    file = root / "docs" / "choosing-a-method.md"
    text = file.read_text("utf-8")
    assert [name for _, name, _ in PART.findall(text)] == list(PARTS)
    wanted = PART.sub(lambda found: found[1] + PARTS[found[2]](root, read) + found[3], text)
    if request.config.getoption("--overwrite-goldens"):
        file.write_text(wanted, "utf-8")
    assert file.read_text("utf-8") == wanted, "write it anew: pytest tests/docs --overwrite-goldens"


def test_every_experiment_is_on_the_page(root):
    text = (root / "docs" / "choosing-a-method.md").read_text("utf-8")
    missing = [f.name for f in (root / "experiments").iterdir() if f.is_dir() and f"experiments/{f.name}/" not in text]
    assert missing == []
