"""What a world lets be seen, markets of one's own, and what the page shows beside the metrics."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from attrib import Journeys, experiment, synth
from attrib.errors import SpecError
from attrib.experiments import page, plan, worlds
from attrib.experiments.results import DESIGN, Tables, cells_of, summarise
from attrib.experiments.scoring import Game

MARKET = """
question = "Does anything work?"
days = 200
[population]
recruits = 0
[[channels]]
name = "radio"
interaction = "impression"
exposure = [1, 0.5, 0.5, 0, 0]
lift = [4, 2, 2, 0, 0]
[[channels]]
name = "search"
interaction = "click"
exposure = [0.2, 0.5, 0.5, 0, 0]
lift = [1, 1, 1, 0, 0]
"""


def answered(folder):
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace(page.UNANSWERED, "**Answer.** Yes."))


def ids(table):
    return set(table["customer_id"])


def test_persons_joined_have_the_events_of_all_their_ids():
    logged, joined, true = (worlds.events("fragmented", 300, 7, seen=seen) for seen in ("log", "persons", "everything"))
    data = synth.generate(300, 7, scenario="fragmented")
    assert logged.touchpoints.equals(data.touchpoints)
    whose = dict(data.identities.select("customer_id", "person_id").iter_rows())
    assert joined.touchpoints["customer_id"].to_list() == [whose[one] for one in logged.touchpoints["customer_id"]]
    assert joined.outcomes["customer_id"].to_list() == [whose[one] for one in logged.outcomes["customer_id"]]
    assert joined.touchpoints.drop("customer_id").equals(logged.touchpoints.drop("customer_id"))
    assert len(ids(logged.touchpoints)) > len(ids(joined.touchpoints))
    assert true.touchpoints.height > logged.touchpoints.height
    assert ids(joined.touchpoints) <= ids(true.touchpoints)


def test_of_one_id_each_there_is_nothing_to_join():
    one, other = (worlds.events("clean", 100, 7, seen=seen) for seen in ("log", "persons"))
    assert one.touchpoints.equals(other.touchpoints)


def test_intents_are_told_by_the_ids_of_the_log():
    logged = worlds.events("fragmented", 200, 7, told=True)
    data = synth.generate(200, 7, scenario="fragmented")
    true = synth.intents(200, 7, scenario="fragmented")
    assert ids(logged.touchpoints) <= ids(logged.intents)
    whose = dict(data.identities.select("customer_id", "person_id").iter_rows())
    for row in logged.intents.rows()[:40]:
        assert (whose[row[0]], *row[1:]) in true.rows()
    assert worlds.events("clean", 50, 7, told=True).intents.equals(synth.intents(50, 7, scenario="clean"))
    assert worlds.events("clean", 50, 7).intents is None


def test_only_the_models_that_are_named_are_told(place):
    glm = 'method = "incremental"\nhazards = "glm"\nsample = 80\npermutations = 2\ndecays = "7d"'
    models = (
        f'\n[[models]]\nname = "knows"\n{glm}\n\n[[models]]\nname = "guesses"\n{glm}\n\n[[models]]\nmethod = "linear"'
    )
    folder = place(("seeds = 3", 'seeds = 1\ntold = "knows"'), ('\n[[models]]\nmethod = "linear"', models))
    done = experiment.run(folder, workers=1)
    assert done.failures == ()
    errors = dict(done.tables.results.select("model", "share_error").iter_rows())
    assert errors["knows"] != errors["guesses"]


def test_what_is_seen_is_beside_the_same_market(place):
    folder = place(
        ("[worlds]", '[worlds]\nscenarios = "dark"\nseen = ["log", "everything"]'), ("seeds = 3", "seeds = 2")
    )
    done = experiment.run(folder, workers=1)
    assert done.failures == ()
    results = done.tables.results.filter(model="linear")
    assert results.select("world", "seed").rows() == [
        ("dark", 0), ("dark", 1), ("dark, all seen", 0), ("dark, all seen", 1)
    ]  # fmt: skip
    sizes = results["conversions_per_channel"].to_list()
    assert sizes[2] > sizes[0]
    assert json.loads((folder / "run.json").read_text())["runs"] == 4
    assert len(list((folder / ".cells").iterdir())) == 5  # what is true is known once
    answered(folder)
    assert experiment.check(folder) == ()


def test_limits_are_those_of_what_is_seen(place):
    folder = place(
        ("[worlds]", '[worlds]\nscenarios = "dark"\nseen = ["log", "everything"]\nlimit_customers = 400'),
        ('["share_error", "stability"]', '["coverage"]'),
    )
    loaded = plan.load(folder)
    tasks = experiment._tasks(loaded)
    assert [(task.unit.kind, task.unit.label) for task in tasks[0]] == [
        ("limit", "dark"), ("limit", "dark, all seen")
    ]  # fmt: skip
    needed = {task.unit.label: dict(task.needed)["limit"] for task in tasks[1]}
    assert needed["dark"] != needed["dark, all seen"]


def test_the_hash_of_an_experiment_that_sees_the_log_is_what_it_was(place):
    plain = plan.load(place()).full_spec()
    assert "seen" not in plain["worlds"]
    assert not {"shares", "tables", "scenario_files"} & set(plain)


def test_a_market_of_ones_own(place):
    folder = place(("[worlds]", '[worlds]\nscenarios = ["radio.toml", "clean"]'), ("seeds = 3", "seeds = 1"))
    with pytest.raises(SpecError, match=r"radio\.toml"):
        plan.load(folder)
    (folder / "radio.toml").write_text(MARKET)
    done = experiment.run(folder, workers=1)
    assert done.failures == ()
    assert done.tables.results["world"].unique(maintain_order=True).to_list() == ["radio", "clean"]
    answered(folder)
    assert experiment.check(folder) == ()
    assert str(folder) not in (folder / "run.json").read_text()
    (folder / "radio.toml").write_text(MARKET.replace("200", "201"))
    (fault,) = experiment.check(folder)
    assert "was changed after the results" in fault


def test_sizes_stand_beside_the_customers(place):
    folder = place(("\ncustomers = 300", "\ncustomers = [300, 600]"), ("seeds = 3", "seeds = 2"))
    done = experiment.run(folder, workers=1)
    by_hand = []
    for customers in (300, 600):
        sizes = []
        for seed in (0, 1):
            table = experiment.load(folder).methods["linear"]
            made = worlds.events("default", customers, seed)
            credit = table.credit(Journeys.from_events(made.touchpoints, made.outcomes)).filter(kind="player")
            sizes.append(credit["conversions"].sum() / credit.height)
        by_hand.append(sum(sizes) / 2)
    cells = cells_of(done.tables)
    assert cells["conversions_per_channel"].to_list() == pytest.approx(by_hand, rel=1e-4)
    assert f"600 customers ({by_hand[1]:.0f} conversions a channel)" in (folder / "README.md").read_text()


def test_results_from_before_there_were_sizes_are_read(place):
    folder = place(("\ncustomers = 300", "\ncustomers = [300, 600]"), ("seeds = 3", "seeds = 1"))
    done = experiment.run(folder, workers=1)
    old = type(done.tables)(done.tables.results.drop("conversions_per_channel"), done.tables.summary, None, None)
    assert page.label(cells_of(old).row(1, named=True), cells_of(old)) == "600 customers"


def test_of_several_sizes_there_are_a_table_a_world_and_lines(place):
    pytest.importorskip("matplotlib")
    folder = place(
        ("\ncustomers = 300", '\nscenarios = ["clean", "default"]\ncustomers = [100, 200, 300]'),
        ("seeds = 3", "seeds = 2"), ("figure = false", "figure = true"),
    )  # fmt: skip
    experiment.run(folder, workers=1)
    text = (folder / "README.md").read_text()
    assert text.count("\nclean:\n") == text.count("\ndefault:\n") == 2
    assert "| model | 100 customers (" in text
    picture = (folder / "results.svg").read_text()
    assert "conversions a channel" in picture
    experiment.run(folder, workers=1)
    assert (folder / "results.svg").read_text() == picture


def test_a_share_error_beyond_the_whole_does_not_stretch_the_picture(place):
    pytest.importorskip("matplotlib")
    from attrib.experiments import figure

    loaded = plan.load(place(("figure = false", "figure = true")))
    rows = [("w", 10, "", 0, None, model, error) for model, error in (("linear", 0.2), ("markov(order=1)", 40.0))]
    results = pl.DataFrame(rows, schema=[*DESIGN, "stage", "model", "share_error"], orient="row")
    near = figure.drawn(loaded, Tables(results, summarise(results, ["share_error"], "linear"), None, None))
    capped = results.with_columns(pl.col("share_error").clip(upper_bound=3.0))
    far = figure.drawn(loaded, Tables(capped, summarise(capped, ["share_error"], "linear"), None, None))
    assert near == far


def test_shares_of_the_channels_on_the_page(place):
    folder = place(
        ("figure = false", "figure = false\nplayers = true\nshares = true"),
        ('["share_error", "stability"]', '["share_error", "truth_coverage"]'),
        ("truth_customers = 300", "truth_customers = 300\n[intervals]\nreplicates = 20"),
    )
    done = experiment.run(folder, workers=1)
    players = done.tables.players.filter(model="linear")
    email = players.filter(channel="email").row(0, named=True)
    assert email["share_low"] < email["share"] < email["share_high"]
    text = (folder / "README.md").read_text()
    shown = f"{email['share']:.3f} ({email['share_low']:.3f} to {email['share_high']:.3f})"
    assert shown in text
    assert f"**{email['true_share']:.3f}**" in text
    nobody = players.filter(pl.col("channel").is_null())["conversions"].item()
    assert f" {nobody / players['conversions'].sum():.3f} |" in text
    answered(folder)
    assert experiment.check(folder) == ()
    (folder / "players.csv").unlink()
    assert experiment.check(folder) == ("players.csv is missing",)


def test_where_channels_get_less_than_nothing_there_are_no_shares():
    numbers = {name: np.array([-3.0, 1.0]) for name in ("credit", "low", "high", "share_low", "share_high", "buckets")}
    names = ("truth", "increments", "limit")
    game = Game(
        model="m", stage=None, who=[(None, "a"), (None, "b")], rest=12.0, baseline=0.0, cost=np.zeros(2), fewest=0.0,
        **numbers, **dict.fromkeys(names),
    )  # fmt: skip
    *players, rest = game.players()
    assert [(one["share"], one["share_low"], one["share_high"]) for one in players] == [(None, None, None)] * 2
    assert (rest["channel"], rest["conversions"]) == (None, 12.0)


def test_tables_of_others_stand_on_the_page(place):
    folder = place(("figure = false", 'figure = false\ntables = "by_hand.csv"'), ("seeds = 3", "seeds = 1"))
    with pytest.raises(SpecError, match=r"by_hand\.csv is not in the folder"):
        experiment.run(folder, workers=1)
    (folder / "by_hand.csv").write_text("what,much\na|b,1.50\n<script>,\n")
    experiment.run(folder, workers=1)
    text = (folder / "README.md").read_text()
    assert "### By hand\n\n| what | much |\n|---|---|\n| a\\|b | 1.50 |" in text
    answered(folder)
    assert experiment.check(folder) == ()
    (folder / "by_hand.csv").write_text("what,much\na|b,1.51\n")
    assert experiment.check(folder) == ("the generated part of README.md is not that of the results",)
    (folder / "by_hand.csv").unlink()
    assert experiment.check(folder) == ("by_hand.csv is missing",)


def test_data_of_the_folder_are_checked_and_those_elsewhere_are_not(place, tmp_path):
    table = pl.DataFrame({"path": ["a > b", "b"], "total_conversions": [40, 30], "total_null": [9, 50]})
    entries = ""
    for name, where in (("own", tmp_path / "question"), ("other", tmp_path)):
        where.mkdir(exist_ok=True)
        table.write_csv(where / f"{name}.csv")
        entries += f'[[data]]\nname = "{name}"\npaths = "{"" if name == "own" else "../"}{name}.csv"\n'
    folder = place(
        ("[worlds]\ncustomers = 300\ntruth_customers = 300\n", entries),
        ('["share_error", "stability"]', '["stability"]'), ("seeds = 3", "seeds = 2"),
    )  # fmt: skip
    experiment.run(folder, workers=1)
    answered(folder)
    (tmp_path / "other.csv").unlink()
    assert experiment.check(folder) == ()
    table.head(1).write_csv(folder / "own.csv")
    assert experiment.check(folder) == ("own.csv is not what the run read: run it again",)
    (folder / "own.csv").unlink()
    (fault,) = experiment.check(folder)
    assert "own.csv" in fault


def test_experiments_of_this_repository_can_be_read():
    for file in sorted((Path(__file__).parents[2] / "experiments").glob("*/experiment.toml")):
        assert plan.load(file.parent).models
