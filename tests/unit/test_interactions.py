"""What may go wrong with interactions: arguments, columns and rows, each with one clear error."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

import attrib
from attrib.errors import SpecError
from notation import outcomes, touches
from strategies import to_frames

TOUCHED, REACHED = to_frames(
    [*touches("ann", "1ad", interaction="click"), *touches("ann", "2mail", interaction="view")],
    outcomes("ann", "3purchase"),
)


def form(touched: Any = TOUCHED, reached: Any = REACHED, **recipe: Any) -> attrib.Journeys:
    return attrib.Journeys.from_events(touched, reached, **recipe)


def paths(journeys: attrib.Journeys) -> list[str]:
    return journeys.to_frame()["path"].to_list()


DURATION = 'write a whole number with s, m (minutes), h, d or w, such as "30d", or "unlimited"'
LOOKBACK = 'e.g. {"click": "30d", "impression": "1d"}, with "*" for all others'
SLIPS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no interaction": ({"lookback": {}}, "bad_value", f"lookback lists no interaction; {LOOKBACK}"),
    "a number for a name": (
        {"lookback": {1: "3d"}}, "bad_value", f"lookback: 1 is not the name of an interaction; {LOOKBACK}",
    ),
    "null for a name": (
        {"lookback": {None: "3d"}}, "bad_value", f"lookback: None is not the name of an interaction; {LOOKBACK}",
    ),
    "a blank name": (
        {"lookback": {" ": "3d"}}, "bad_value", f"lookback: ' ' is not the name of an interaction; {LOOKBACK}",
    ),
    "no duration": (
        {"lookback": {"click": "3 days"}}, "bad_duration",
        f"lookback of 'click' = '3 days' is not a duration; {DURATION}",
    ),
    "a number of days": (
        {"lookback": {"click": 3}}, "bad_duration", f"lookback of 'click' = 3 is not a duration; {DURATION}",
    ),
    "time that runs backwards": (
        {"lookback": {"click": timedelta(days=-1)}}, "bad_duration",
        "lookback of 'click' = datetime.timedelta(days=-1) is negative",
    ),
    "a list of lookbacks": (
        {"lookback": ["3d"]}, "bad_duration", f"lookback = ['3d'] is not a duration; {DURATION}",
    ),
    "one preference twice": (
        {"prefer": ("click", "click")}, "bad_value",
        "prefer = ('click', 'click') is not a list of distinct interactions",
    ),
    "a preference that is no text": (
        {"prefer": (None,)}, "bad_value", "prefer = (None,) is not a list of distinct interactions",
    ),
    "preferences in no order": (
        {"prefer": {"click"}}, "bad_value", "prefer = {'click'} is not a list of interactions",
    ),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_answered_with_one_sentence(slip):
    recipe, key, message = SLIPS[slip]
    with pytest.raises(SpecError) as caught:
        form(**recipe)
    assert (caught.value.key, str(caught.value)) == (key, message)


NEEDS = [{"lookback": {"*": "3d"}}, {"prefer": "click"}]


@pytest.mark.parametrize("recipe", NEEDS)
def test_the_column_must_be_there_where_it_is_needed(recipe):
    bare = TOUCHED.drop("interaction")
    assert paths(form(bare)) == ["ad > mail"]
    with pytest.raises(attrib.DataError) as caught:
        form(bare, **recipe)
    assert caught.value.key == "missing_columns"
    assert "missing from touchpoints: interaction; found: " in str(caught.value)


@pytest.mark.parametrize("recipe", NEEDS)
def test_the_column_must_hold_text_where_it_is_needed(recipe):
    numbers = TOUCHED.with_columns(interaction=pl.Series([1, 2]))
    assert paths(form(numbers, player=("channel", "interaction"))) == ["ad: 1 > mail: 2"]
    with pytest.raises(attrib.DataError) as caught:
        form(numbers, **recipe)
    assert caught.value.key == "wrong_type"
    assert str(caught.value) == (
        "touchpoints: column 'interaction' is Int64, not text; cast it: pl.col(\"interaction\").cast(pl.String)"
    )


def test_the_column_may_have_another_name():
    theirs = TOUCHED.rename({"interaction": "how"})
    assert paths(form(theirs, columns={"interaction": "how"}, prefer="click")) == ["ad"]
    with pytest.raises(SpecError, match="did you mean 'interaction'"):
        form(theirs, columns={"interactions": "how"}, prefer="click")


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["view", "click", "call"])])
def test_the_column_may_be_of_categories(dtype):
    categories = TOUCHED.with_columns(pl.col("interaction").cast(dtype))
    assert paths(form(categories, prefer="click")) == ["ad"]
    assert paths(form(categories, lookback={"view": "1s", "*": "0s"})) == ["mail"]
    journeys = form(categories, lookback={"click": "9s", "order": "1s"}, max_rejects=0.5)
    with pytest.warns(attrib.AttribWarning, match="'order' never occurs"):
        assert journeys.rejected()["rule"].to_list() == ["interaction_without_lookback"]
    assert journeys.warnings[0].startswith("1 touchpoints were rejected: lookback does not list their interaction")


def test_a_column_without_any_interaction():
    nothing = TOUCHED.with_columns(interaction=None)
    with pytest.warns(attrib.AttribWarning, match="'click' never occurs in touchpoints"):
        assert form(nothing, prefer="click").reconcile().filter(entry="used")["rows"].item() == 2
    assert paths(form(nothing, lookback={"*": "1s"})) == ["mail"]


def test_too_many_touches_without_a_lookback_stop_the_run():
    with pytest.raises(attrib.RejectedError) as caught:
        form(lookback={"click": "3d"}).reconcile()
    assert str(caught.value) == (
        "1 of 2 rows of touchpoints are rejected (50.0%; allowed 5.0%): interaction_without_lookback 1; "
        "e.g. row 1 has interaction 'view'; list these interactions in lookback, or give it \"*\" for all others"
    )
    assert caught.value.facts["rules"] == {"interaction_without_lookback": 1}


@pytest.mark.parametrize(
    ("interaction", "rejected"), [("click", 0), (None, 1), ("", 1), (" click", 1), ("Click", 1), ("*", 1)]
)
def test_interactions_are_compared_as_they_stand(interaction, rejected):
    touched = TOUCHED.with_columns(interaction=pl.Series(["click", interaction], dtype=pl.String))
    journeys = form(touched, lookback={"click": "3d"}, max_rejects=0.5)
    assert journeys.rejected().height == rejected
    assert journeys.rejected().columns[-5:] == ["customer_id", "timestamp", "channel", "outcome", "value"]


def test_an_earlier_rule_is_named_first():
    touched = TOUCHED.with_columns(channel=pl.Series(["ad", None]))
    journeys = form(touched, lookback={"click": "3d"}, max_rejects=0.5)
    assert journeys.rejected()["rule"].to_list() == ["channel_missing"]


def test_a_flagged_row_without_a_lookback_is_an_outcome_still():
    frame = TOUCHED.with_columns(bought=pl.Series([False, True]))
    journeys = form(frame, attrib.InlineOutcome(flag="bought"), lookback={"click": "3d"}, max_rejects=0.5)
    assert journeys.to_frame().select("path", "status").rows() == [("ad", "converting")]


def test_a_column_that_outcomes_have_as_well_may_differ_in_type():
    numbered = REACHED.with_columns(interaction=pl.lit(7))
    journeys = form(TOUCHED, numbered, by="interaction", prefer="click", lookback={"view": "1s", "click": "2s"})
    assert journeys.to_frame().select("interaction", "path").rows() == [("7", "ad")]


def test_a_job_takes_both_and_its_record_can_be_read_again(tmp_path):
    from attrib.loading import load
    from attrib.spec import JobSpec, parse

    TOUCHED.write_parquet(tmp_path / "t.parquet")
    REACHED.write_parquet(tmp_path / "o.parquet")
    text = '[input]\ntouchpoints = "t.parquet"\noutcomes = "o.parquet"\n[[models]]\nmethod = "linear"\n[journeys]\n'
    (tmp_path / "job.toml").write_text(text + 'prefer = ["view"]\n[journeys.lookback]\nclick = "9s"\n"*" = "1s"\n')
    job = load(tmp_path / "job.toml")
    assert paths(job.journeys()) == ["mail"]
    spec = json.loads(json.dumps(job.full_spec()))
    assert spec["journeys"]["lookback"] == {"click": "9s", "*": "1s"}
    assert spec["journeys"]["prefer"] == ["view"]
    del spec["stages"]
    spec["models"] = [{"method": "linear"}]
    assert parse(JobSpec, spec | {"input": {"touchpoints": "t", "outcomes": "o"}}, "run.json").journeys.prefer == (
        "view",
    )
