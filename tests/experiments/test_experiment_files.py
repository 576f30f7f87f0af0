"""Bad experiment files, one slip each, with the message that its author reads."""

import pytest

from attrib.errors import SpecError
from attrib.experiments import plan

WORLDS = "[worlds]\ncustomers = 300\ntruth_customers = 300\n"
SLIPS = {
    "a key of another spelling": (("seeds = 3", "seed = 3"), "unknown_key", "seed is not known; did you mean seeds?"),
    "no question": (('question = "Which of two is closer?"', ""), "missing_key", "question is missing"),
    "an unknown metric": (("share_error", "share_eror"), "bad_value", "must be one of share_error"),
    "a seed twice": (("seeds = 3", "seeds = [1, 1]"), "bad_value", "seeds: 1 stands twice"),
    "no seeds": (("seeds = 3", "seeds = 0"), "bad_value", "must be a number of seeds"),
    "no data": ((WORLDS, ""), "missing_key", "needs [worlds] or [[data]]; neither is given"),
    "a key of worlds": (("truth_customers", "truth_customer"), "unknown_key", "[worlds] truth_customer is not known"),
    "an unknown method": (('"linear"', '"liner"'), "unknown_method", "did you mean linear?"),
    "an unknown scenario": (
        ("[worlds]", '[worlds]\nscenarios = "nowhere"'), "unknown_scenario", "nowhere"
    ),
    "a comparison with nobody": (
        ("seeds = 3", 'seeds = 3\nagainst = "first_touch"'), "bad_value", "against is 'first_touch', which is no model"
    ),
    "the name of the reference": (
        ('method = "linear"', 'method = "linear"\nname = "random"'), "duplicate_model", "two models are called 'random'"
    ),
    "segments": (("[worlds]", '[journeys]\nby = ["country"]\n[worlds]'), "excluded_key", "by and player do not belong"),
    "a stage file": (
        ("[worlds]", '[journeys]\nstages = "mine.toml"\n[worlds]'), "bad_value", "an experiment takes presets"
    ),
    "a setting of another spelling": (
        ("[worlds]", '[[settings]]\nname = "a"\nlokback = "7d"\n[worlds]'), "unknown_key", "did you mean lookback?"
    ),
    "a rule that is told": (("seeds = 3", 'seeds = 3\ntold = "linear"'), "bad_value", "no model that can be told"),
    "something else that is seen": (("[worlds]", '[worlds]\nseen = "all"'), "bad_value", "must be one of log"),
    "shares of nobody": (("seeds = 3", "seeds = 3\nshares = true"), "missing_key", "players = true keeps: give both"),
    "a table elsewhere": (("seeds = 3", 'seeds = 3\ntables = "../a.csv"'), "bad_value", "not a CSV file of the folder"),
    "a table of our own": (("seeds = 3", 'seeds = 3\ntables = "results.csv"'), "bad_value", "written by this command"),
    "truth about files": (
        (WORLDS, '[[data]]\nname = "mine"\npaths = "p.csv"\n'), "excluded_key", '"share_error" needs [worlds]'
    ),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_told(slip, place):
    change, key, message = SLIPS[slip]
    with pytest.raises(SpecError) as caught:
        plan.load(place(change))
    assert caught.value.key == key
    assert message in str(caught.value)


def test_settings_change_some_keys_of_the_journeys(place):
    text = '[journeys]\nlookback = "7d"\nrepeats = "first"\n[[settings]]\nname = "a"\n'
    text += '[[settings]]\nname = "b"\nlookback = "60d"\n[worlds]'
    experiment = plan.load(place(("[worlds]", text)))
    found = [(one.name, one.journeys.lookback, one.journeys.repeats) for one in experiment.settings]
    assert found == [("a", "7d", "first"), ("b", "60d", "first")]


def test_the_hash_follows_what_computes_and_nothing_else(place):
    changes = {
        "question": ("Which of two", "Which of the two"),
        "figure": ("figure = false", "figure = true"),
        "seeds": ("seeds = 3", "seeds = 4"),
        "model": ("order = 1", "order = 2"),
    }
    before = plan.load(place()).spec_sha256
    after = {name: plan.load(place(change)).spec_sha256 for name, change in changes.items()}
    assert {name for name, hashed in after.items() if hashed != before} == {"seeds", "model"}
    assert len(set(after.values())) == 3


@pytest.mark.parametrize(
    ("files", "unused", "used"),
    [
        ("", '[journeys]\nday_of_outcome = "auto"', '[journeys]\nday_of_outcome = "start"'),
        ('outcome = { flag = "sold" }', 'outcome = { flag = "sold", flag_kind = "flag" }', None),
        ('outcome = { flag = "sold" }', None, 'outcome = { flag = "sold", flag_kind = "count" }'),
        ('outcomes = "o.csv"', None, 'outcomes = "o.csv"\nidentities = "i.csv"'),
    ],
)
def test_keys_younger_than_results_make_them_old_only_where_used(place, files, unused, used):
    def of(keys):
        data = f'[[data]]\nname = "mine"\ntouchpoints = "t.csv"\n{keys}\n' if files else f"{WORLDS}{keys}\n"
        metrics = ('metrics = ["share_error", "stability"]', 'metrics = ["stability"]')
        return plan.load(place(metrics, (WORLDS, data))).spec_sha256

    plain = of(files)
    assert unused is None or of(unused) == plain
    assert used is None or of(used) != plain
