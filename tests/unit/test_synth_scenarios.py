"""The presets are what they say, and a file of one's own is read strictly."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from attrib import synth
from attrib.errors import SpecError
from attrib.synth import Channel, Follows, Induces, Later, Observation, Pair, Population
from attrib.synth.scenarios import _FOLDER

FILE = """\
question = "Is mine read?"
days = 90

[population]
organic = [[0.02, 0, 0, 0], [0, 0.02, 0, 0], [0, 0, 0.02, 0], [0, 0, 0.01, 0], [0, 0, 0.01, 0]]
carryover = 5
pairs = [{ first = "ad", second = "search", factor = 2 }]
week = [1, 1, 1, 1, 1, 0, 0]

[population.observation]
delay = 2

[population.later]
contract = false
repeat = [1.0, 40.0]

[[channels]]
name = "ad"
interaction = "impression"
exposure = [1, 1, 1, 1, 1]
lift = [2, 0, 0, 0, 0]
induces = [{ channel = "search", boost = 3.0 }]

[[channels]]
name = "search"
interaction = "click"
exposure = [1, 1, 1, 1, 1]
lift = [0, 0, 0, 0, 0]
follows = [{ outcome = "visit", boost = 3, days = 2 }]
"""


def test_the_folder_holds_the_presets_and_no_more():
    assert {path.stem for path in _FOLDER.iterdir()} == set(synth.SCENARIOS)
    for name in synth.SCENARIOS:
        first = (_FOLDER / f"{name}.toml").read_text("utf-8").splitlines()[0]
        assert first.startswith('question = "')
        assert first.endswith('?"')


@pytest.mark.parametrize("name", synth.SCENARIOS)
def test_a_preset_can_carry_its_question(name):
    found = synth.scenario(name)
    assert found.name == name
    channels = {channel.name: channel for channel in found.population.channels}
    assert 1 < len(channels) <= 10  # 1,024 coalitions
    true = synth.generate(8_000, seed=1, scenario=name, observed=False)
    buyers = true.outcomes.filter(outcome="purchase")["customer_id"].n_unique() / 8_000
    assert 0.05 < buyers < 0.20
    assert set(true.touchpoints["channel"]) == set(channels)
    unaided = synth.generate(8_000, seed=1, scenario=name, observed=False, off=frozenset(channels))
    assert unaided.touchpoints.height == 0
    organic = unaided.outcomes.filter(outcome="purchase").height / true.outcomes.filter(outcome="purchase").height
    assert 0.4 < organic < 0.7
    assert synth.generate(100, scenario=name).touchpoints.height > 0


def test_followers_reach_buyers_and_move_nobody():
    true = synth.generate(20_000, seed=1, scenario="retargeting", observed=False)
    buyers = true.outcomes.filter(outcome="purchase")["customer_id"].unique()
    among = true.touchpoints.group_by("channel").agg(
        pl.col("customer_id").is_in(buyers.implode()).mean().alias("share")
    )
    share = dict(among.iter_rows())
    assert min(share["brand_search"], share["coupon_site"]) > 1.5 * share["display"]
    nothing = frozenset({"brand_search", "retargeting", "coupon_site", "direct"})
    without = synth.generate(20_000, seed=1, scenario="retargeting", observed=False, off=nothing)
    assert without.outcomes.filter(outcome="purchase").height > 0.93 * true.outcomes.filter(outcome="purchase").height


def test_upper_funnel_ads_make_people_search():
    ads = frozenset({"display", "video", "social"})
    search = pl.col("channel").is_in(["paid_search", "brand_search", "organic_search"])
    true = synth.generate(20_000, seed=1, scenario="upper_funnel")
    without = synth.generate(20_000, seed=1, scenario="upper_funnel", off=ads)
    assert without.touchpoints.filter(search).height < 0.6 * true.touchpoints.filter(search).height


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    mine = synth.scenario(path)
    assert (mine.name, mine.question, mine.days) == ("mine", "Is mine read?", 90)
    population = mine.population
    assert population == Population(
        channels=(
            Channel("ad", "impression", (1,) * 5, (2, 0, 0, 0, 0), induces=(Induces("search", 3.0),)),
            Channel("search", "click", (1,) * 5, (0,) * 5, follows=(Follows("visit", 3, 2),)),
        ),
        organic=((0.02, 0, 0, 0), (0, 0.02, 0, 0), (0, 0, 0.02, 0), (0, 0, 0.01, 0), (0, 0, 0.01, 0)),
        carryover=5, pairs=(Pair("ad", "search", 2),), week=(1, 1, 1, 1, 1, 0, 0), observation=Observation(delay=2),
        later=Later(contract=False, repeat=(1.0, 40.0)),
    )  # fmt: skip
    by_path = synth.generate(300, seed=2, scenario=str(path))
    assert_frame_equal(by_path.outcomes, synth.generate(300, seed=2, population=population, days=90).outcomes)
    assert_frame_equal(by_path.outcomes, synth.generate(300, seed=2, scenario=mine).outcomes)
    touchpoints, _ = next(synth.batches(300, 2, scenario=mine))
    assert_frame_equal(touchpoints, by_path.touchpoints)


def test_without_channels_a_file_has_the_usual_ones(tmp_path):
    path = tmp_path / "usual.toml"
    path.write_text('question = "?"\n')
    assert synth.scenario(path).population == Population()


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ("carryover", "carry_over", "unknown_key", "did you mean carryover"),
        ("delay = 2", "dealy = 2", "unknown_key", "did you mean delay"),
        ("boost = 3.0", "bost = 3.0", "missing_key", "did you mean boost"),
        ("[population]", "[popultion]", "unknown_key", "did you mean population"),
        ('interaction = "click"\n', "", "missing_key", "interaction is missing"),
        ("question =", "days_ =", "missing_key", "question is missing"),
        ("factor = 2", 'factor = "2"', "bad_type", "must be a number"),
        ("days = 90", "days = 90.5", "bad_type", "whole number"),
        ("days = 90", "days = 0", "bad_value", "at least 1"),
        ("carryover = 5", "carryover = -5", "bad_population", "mine.toml: carryover is -5"),
        ('channel = "search"', 'channel = "serch"', "bad_population", "did you mean 'search'"),
        ('outcome = "visit"', 'outcome = "call"', "bad_population", "one of visit, intent"),
        ("lift = [2, 0, 0, 0, 0]", "lift = [2]", "missing_key", "no. 1 lift entry 2 is missing"),
        ("days = 90", "days = ", "bad_toml", "not valid TOML"),
    ],
)
def test_faults_of_a_file_are_told(tmp_path, old, new, key, message):
    path = tmp_path / "mine.toml"
    assert old in FILE
    path.write_text(FILE.replace(old, new))
    with pytest.raises(SpecError, match=message) as caught:
        synth.scenario(path)
    assert caught.value.key == key


def test_names_and_paths_that_are_not_there(tmp_path):
    with pytest.raises(SpecError, match="did you mean 'upper_funnel'"):
        synth.scenario("upper-funel")
    with pytest.raises(SpecError, match="presets: clean, retargeting"):
        synth.scenario("zzz")
    with pytest.raises(SpecError, match="cannot be read"):
        synth.scenario(tmp_path / "none.toml")
    with pytest.raises(SpecError, match="both scenario and population"):
        synth.generate(10, scenario="clean", population=Population())


def test_all_parameters_can_stand_in_a_file():
    from attrib.synth.scenario_files import _model

    for record in (Channel, Population, Observation, Induces, Follows, Pair, Later):
        assert set(_model(record).model_fields) == {field.name for field in fields(record)}


def attrib(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attrib", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_the_command_takes_a_scenario(tmp_path):
    done = attrib("synth", "--customers", 300, "--scenario", "fragmented", "--out", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["tables"]) == {"touchpoints", "outcomes", "identities"}
    wanted = synth.generate(300, scenario="fragmented")
    assert_frame_equal(pl.read_parquet(tmp_path / "touchpoints.parquet"), wanted.touchpoints)
    (tmp_path / "mine.toml").write_text(FILE)
    done = attrib(
        "synth", "--customers", 300, "--scenario", tmp_path / "mine.toml", "--true", "--out", tmp_path / "true"
    )
    assert done.returncode == 0, done.stderr
    wanted = synth.generate(300, scenario=tmp_path / "mine.toml", observed=False)
    assert_frame_equal(pl.read_parquet(tmp_path / "true" / "outcomes.parquet"), wanted.outcomes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenario", "everythin"], "did you mean 'everything'"),
        (["--scenario", "clean", "--later", "silent"], "--later"),
    ],
)
def test_the_command_refuses_in_words(tmp_path, arguments, message):
    done = attrib("synth", "--customers", 300, "--out", tmp_path / "x", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
