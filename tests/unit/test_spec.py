"""Bad job files, one slip each, with the whole message that its author reads."""

import re

import pytest

from attrib.errors import SpecError
from attrib.spec import JobSpec, read_job, read_model

INPUT = '[input]\ntouchpoints = "t.parquet"\noutcomes = "o.parquet"\n'
PATHS = '[input]\npaths = "p.csv"\n'
MODEL = '[[models]]\nmethod = "linear"\n'
GOOD = INPUT + MODEL

JOURNEYS_KEYS = (
    "allowed here: target, lookback, max_gap, maturity, prefer, repeats, max_component, max_touches, "
    "after_conversion, duplicates, day_of_outcome, stages, view, by, "
    "player, max_players, max_rejects, refunds, count_refunded"
)

TABLES = (
    "allowed here: input, journeys, models, intervals, referral_adjusted, retention_adjusted, checks, output, engine"
)

SLIPS = {
    "a key of another spelling": (
        GOOD + '[journeys]\nlokback = "30d"',
        "unknown_key",
        f"[journeys] lokback is not known; did you mean lookback?; {JOURNEYS_KEYS}",
    ),
    "a key with a hyphen": (
        GOOD + '[journeys]\nmax-gap = "1d"',
        "unknown_key",
        f"[journeys] max-gap is not known; did you mean max_gap?; {JOURNEYS_KEYS}",
    ),
    "a key of nowhere": (
        GOOD + "[journeys]\nzzz = 1",
        "unknown_key",
        f"[journeys] zzz is not known; {JOURNEYS_KEYS}",
    ),
    "a table of another spelling": (
        GOOD + "[journey]\ntarget = 'x'",
        "unknown_key",
        f"journey is not known; did you mean journeys?; {TABLES}",
    ),
    "a key of a nested table": (
        INPUT.replace('outcomes = "o.parquet"', "") + '[input.outcome]\nflags = "c"\n' + MODEL,
        "unknown_key",
        "[input.outcome] flags is not known; did you mean flag?; allowed here: flag, value, outcome, flag_kind",
    ),
    "a key of an inline table": (
        GOOD + '[journeys]\nstages = { colum = "s", order = ["a"] }',
        "unknown_key",
        "[journeys.stages] colum is not known; did you mean column?; allowed here: column, order",
    ),
    "a key in another case": (
        GOOD + "[Output]\nfolder = 'x'",
        "unknown_key",
        f"Output is not known; did you mean output?; {TABLES}",
    ),
    "a number for a text": (
        GOOD + "[journeys]\nlookback = 30",
        "bad_type",
        '[journeys] lookback must be text such as "30d" or "unlimited"',
    ),
    "a number for one of the lookbacks": (
        GOOD + '[journeys]\nlookback = { click = "30d", impression = 1 }',
        "bad_type",
        '[journeys] lookback of "impression" must be text such as "30d" or "unlimited"',
    ),
    "a table of no lookbacks": (
        GOOD + "[journeys.lookback]",
        "bad_value",
        "[journeys] lookback needs at least one interaction",
    ),
    "a text for the preferred interactions": (
        GOOD + '[journeys]\nprefer = "click"',
        "bad_type",
        '[journeys] prefer must be a list, not "click"',
    ),
    "a text for a list": (
        GOOD + '[journeys]\nby = "region"',
        "bad_type",
        '[journeys] by must be a list, not "region"',
    ),
    "a number in a list of texts": (
        GOOD + '[journeys]\nby = ["region", 3]',
        "bad_type",
        "[journeys] by entry 2 must be text in quotes, not 3",
    ),
    "a text for a number": (
        GOOD + '[intervals]\nreplicates = "many"',
        "bad_type",
        '[intervals] replicates must be a whole number, not "many"',
    ),
    "a fraction for a whole number": (
        GOOD + "[journeys]\nmax_players = 1.5",
        "bad_type",
        "[journeys] max_players must be a whole number, not 1.5",
    ),
    "true for a number": (
        GOOD + "[intervals]\nseed = true",
        "bad_type",
        "[intervals] seed must be a whole number, not true",
    ),
    "a date for a text": (
        GOOD + "[output]\nfolder = 2026-01-01",
        "bad_type",
        "[output] folder must be text in quotes, not the date 2026-01-01",
    ),
    "a value for a table": (
        "journeys = 3\n" + GOOD,
        "bad_type",
        "[journeys] must be a table, not 3",
    ),
    "a text for the models": (
        'models = "linear"\n' + INPUT,
        "bad_type",
        '[[models]] must be a list, not "linear"',
    ),
    "a fraction of bytes": (
        GOOD + "[engine]\nmemory_limit = 0.5",
        "bad_type",
        '[engine] memory_limit must be a number of bytes or text such as "4GB"',
    ),
    "a number for the stages": (
        GOOD + "[journeys]\nstages = 5",
        "bad_type",
        "[journeys] stages must be the name of a preset, the path of a stage file, or a table",
    ),
    "a choice of another spelling": (
        GOOD + '[journeys]\nrepeats = "colapse"',
        "bad_value",
        '[journeys] repeats must be one of keep, collapse, first, last, not "colapse"; did you mean collapse?',
    ),
    "per cent for a share": (
        GOOD + "[intervals]\nlevel = 95",
        "bad_value",
        "[intervals] level must be less than 1, not 95",
    ),
    "not a number": (
        GOOD + "[intervals]\nlevel = nan",
        "bad_value",
        "[intervals] level must be a finite number, not nan",
    ),
    "too many rejects": (
        GOOD + "[journeys]\nmax_rejects = 5",
        "bad_value",
        "[journeys] max_rejects must be at most 1, not 5",
    ),
    "no threads": (
        GOOD + "[engine]\nthreads = 0",
        "bad_value",
        "[engine] threads must be at least 1, not 0",
    ),
    "a master without Spark": (
        GOOD + '[engine]\nmaster = "yarn"',
        "excluded_key",
        '[engine] master does not belong here: it is for kind = "spark"',
    ),
    "a spill folder with Spark": (
        GOOD + '[engine]\nkind = "spark"\nspill = "there"',
        "excluded_key",
        "[engine] spill does not belong here: executors do not spill",
    ),
    "an option that is a list": (
        GOOD + '[engine]\nkind = "spark"\n[engine.options]\nspark.jars = ["a"]',
        "bad_type",
        '[engine] options of "spark.jars" must be text, a number, true or false',
    ),
    "no player": (
        GOOD + "[journeys]\nplayer = []",
        "bad_value",
        "[journeys] player needs at least one entry",
    ),
    "an empty text": (
        GOOD + '[output]\nfolder = ""',
        "bad_value",
        "[output] folder must not be empty",
    ),
    "no input": (MODEL, "missing_key", "[input] is missing"),
    "an empty input": (
        "[input]\n" + MODEL,
        "missing_key",
        "[input] needs touchpoints (with outcomes), or paths",
    ),
    "no outcomes": (
        '[input]\ntouchpoints = "t"\n' + MODEL,
        "missing_key",
        "[input] needs either outcomes (a file) or the table [input.outcome] (flagged rows)",
    ),
    "outcomes twice": (
        INPUT + '[input.outcome]\nflag = "c"\n' + MODEL,
        "missing_key",
        "[input] needs either outcomes (a file) or the table [input.outcome] (flagged rows)",
    ),
    "no models": (INPUT, "missing_key", "[[models]] is missing"),
    "an empty list of models": ("models = []\n" + INPUT, "bad_value", "[[models]] needs at least one entry"),
    "a model without method": (
        GOOD + '[[models]]\nname = "mine"',
        "missing_key",
        "[[models]] no. 2 needs file (a model file) or method (and its parameters)",
    ),
    "a parameter beside a model file": (
        GOOD + '[[models]]\nfile = "model.toml"\norder = 2',
        "excluded_key",
        "[[models]] no. 2 order cannot stand beside file: a model file fixes its parameters, only name may be added",
    ),
    "events beside a path table": (
        PATHS + 'outcomes = "o.parquet"\n' + MODEL,
        "excluded_key",
        "[input] outcomes does not belong here: paths is the whole input",
    ),
    "keys of a path table beside events": (
        INPUT + 'sep = ">"\n' + MODEL,
        "excluded_key",
        "[input] sep does not belong here: that key describes a path table",
    ),
    "lookbacks by interaction for a path table": (
        PATHS + MODEL + '[journeys.lookback]\nclick = "30d"',
        "excluded_key",
        "[journeys] lookback needs events: a path table takes only max_players and max_rejects",
    ),
    "a preference for a path table": (
        PATHS + MODEL + '[journeys]\nprefer = ["click"]',
        "excluded_key",
        "[journeys] prefer needs events: a path table takes only max_players and max_rejects",
    ),
    "columns of costs that are not there": (
        INPUT + '[input.columns.costs]\nchannel = "c"\n' + MODEL,
        "excluded_key",
        "[input] columns.costs does not belong here: there are no costs",
    ),
    "columns of events beside a path table": (
        PATHS + 'costs = "c.csv"\n[input.columns]\ncustomer_id = "u"\ncosts = { cost = "c" }\n' + MODEL,
        "excluded_key",
        "[input] columns does not belong here: paths is the whole input",
    ),
    "a list of costs": (
        INPUT + 'costs = ["a.csv"]\n' + MODEL,
        "bad_type",
        "[input] costs must be text in quotes, not a list",
    ),
    "times for a path table": (
        PATHS + MODEL + '[journeys]\nlookback = "30d"',
        "excluded_key",
        "[journeys] lookback needs events: a path table takes only max_players and max_rejects",
    ),
}


def fault(tmp_path, text):
    file = tmp_path / "job.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        read_job(file)
    return caught.value


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_answered_with_one_sentence(tmp_path, slip):
    text, key, message = SLIPS[slip]
    error = fault(tmp_path, text)
    assert (error.key, str(error)) == (key, f"job.toml: {message}")


def test_several_slips_are_listed_together(tmp_path):
    error = fault(tmp_path, GOOD + "[intervals]\nlevel = 2\nreplicats = 3\n[output]\nfolder = 1")
    assert error.key == "bad_value"
    assert str(error) == (
        "job.toml has 3 faults:\n"
        "  - [intervals] level must be less than 1, not 2\n"
        "  - [intervals] replicats is not known; did you mean replicates?\n"
        "  - [output] folder must be text in quotes, not 1\n"
        "allowed here: level, replicates, seed, flag"
    )


def test_no_word_of_the_library_leaks(tmp_path):
    for text, _, _ in SLIPS.values():
        assert not re.search(r"pydantic|Input should|type=|Spec\b|validation", str(fault(tmp_path, text)))


def test_toml_that_is_none(tmp_path):
    error = fault(tmp_path, GOOD + "[journeys\n")
    assert error.key == "bad_toml"
    assert error.facts["line"] == 6
    assert str(error).startswith("job.toml is not valid TOML: Expected ']'")
    assert "at line 6" in str(error)


def test_a_file_in_another_encoding(tmp_path):
    file = tmp_path / "job.toml"
    file.write_bytes("# é".encode("latin-1"))
    with pytest.raises(SpecError, match="is not text in UTF-8") as caught:
        read_job(file)
    assert caught.value.key == "bad_toml"


def test_a_file_that_is_not_there(tmp_path):
    for place in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(SpecError, match="cannot be read") as caught:
            read_job(place)
        assert caught.value.key == "no_file"


def test_a_byte_order_mark_is_no_fault(tmp_path):
    file = tmp_path / "job.toml"
    file.write_text(GOOD, encoding="utf-8-sig")
    assert read_job(file).input.touchpoints == "t.parquet"


def test_everything_but_input_and_models_has_a_default(tmp_path):
    file = tmp_path / "job.toml"
    file.write_text(GOOD)
    spec = read_job(file)
    assert spec.journeys.model_dump() == {
        "target": "purchase",
        "lookback": "30d",
        "max_gap": None,
        "maturity": None,
        "prefer": (),
        "repeats": "keep",
        "max_component": 50,
        "max_touches": None,
        "after_conversion": "reset",
        "duplicates": "drop",
        "day_of_outcome": "auto",
        "stages": None,
        "view": "advance",
        "by": (),
        "player": ("channel",),
        "max_players": 10_000,
        "max_rejects": 0.05,
        "refunds": "net",
        "count_refunded": False,
    }
    assert spec.intervals.model_dump() == {"level": 0.95, "replicates": 1000, "seed": 0, "flag": False}
    assert spec.output.folder == "out"


@pytest.mark.parametrize(
    "text", ['lookback = { click = "30d", "*" = "1d" }', '[journeys.lookback]\nclick = "30d"\n"*" = "1d"']
)
def test_a_lookback_by_interaction_is_a_table(tmp_path, text):
    file = tmp_path / "job.toml"
    file.write_text(GOOD + "[journeys]\n" + text)
    assert read_job(file).journeys.model_dump()["lookback"] == {"click": "30d", "*": "1d"}


def test_a_whole_job_is_read(tmp_path):
    file = tmp_path / "job.toml"
    file.write_text("""
        [input]
        touchpoints = "t/*.csv.gz"
        [input.outcome]
        value = "conversion_value"
        [input.columns]
        customer_id = "user"
        [journeys]
        lookback = "unlimited"
        by = ["region"]
        stages = { column = "stage", order = ["see", "do"] }
        view = "resolved"
        [[models]]
        file = "../models/markov-1/model.toml"
        name = "ours"
        [[models]]
        method = "position_based"
        first = 0.3
        [intervals]
        replicates = 0
        [engine]
        memory_limit = "4GB"
    """)
    spec = read_job(file)
    assert spec.input.outcome.model_dump() == {
        "flag": "conversion",
        "value": "conversion_value",
        "outcome": "purchase",
        "flag_kind": "flag",
    }
    assert spec.journeys.lookback == "unlimited"
    assert spec.journeys.stages.order == ("see", "do")
    assert [(model.file, model.name, model.method, model.parameters) for model in spec.models] == [
        ("../models/markov-1/model.toml", "ours", None, {}),
        (None, None, "position_based", {"first": 0.3}),
    ]
    # What run.json holds can be read again.
    assert JobSpec.model_fields.keys() == spec.model_dump().keys()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("[input.columns]\ntimestamp = 3", "job.toml: [input.columns] timestamp must be text in quotes, not 3"),
        (
            '[input.columns]\noutcomes = "o"',
            'job.toml: [input.columns] outcomes must be a table, not "o"',
        ),
        (
            '[input.columns]\ncosts = "c"',
            'job.toml: [input.columns] costs must be a table, not "c"',
        ),
        (
            '[input.columns.orders]\ntimestamp = "t"',
            "job.toml: [input.columns] orders must be text in quotes, not a table",
        ),
        (
            "[input.columns.outcomes]\ntimestamp = 3",
            "job.toml: [input.columns.outcomes] timestamp must be text in quotes, not 3",
        ),
        (
            '[input.outcome]\n[input.columns.outcomes]\ntimestamp = "t"',
            "job.toml: [input] columns.outcomes does not belong here: outcomes are rows of the touchpoints",
        ),
    ],
)
def test_a_slip_in_the_columns_is_named_where_it_stands(tmp_path, columns, message):
    file = tmp_path / "job.toml"
    outcomes = "" if "outcome]" in columns else 'outcomes = "o.csv"\n'
    file.write_text(f'[input]\ntouchpoints = "t.csv"\n{outcomes}{columns}\n[[models]]\nmethod = "linear"\n')
    with pytest.raises(SpecError) as caught:
        read_job(file)
    assert str(caught.value) == message


def test_a_spec_cannot_be_changed(tmp_path):
    file = tmp_path / "job.toml"
    file.write_text(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        read_job(file).output.folder = "elsewhere"


def test_a_model_file(tmp_path):
    file = tmp_path / "model.toml"
    file.write_text('name = "m"\nmethod = "markov"\n[parameter]\norder = 1\n')
    with pytest.raises(SpecError) as caught:
        read_model(file)
    assert str(caught.value) == (
        "model.toml: parameter is not known; did you mean parameters?; "
        "allowed here: name, method, description, parameters"
    )
