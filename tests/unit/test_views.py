"""What views refuse, how they name their columns, and names that would tear a path apart."""

from __future__ import annotations

import polars as pl
import pytest

import attrib
from attrib.views import customers
from notation import outcomes, touches
from strategies import to_frames


@pytest.fixture
def table():
    return attrib.Journeys.from_paths(pl.DataFrame({"path": ["ad > mail", "store"], "total_conversions": [3, 1]}))


@pytest.fixture
def journeys():
    return attrib.Journeys.from_events(*to_frames(touches(1, "1ad 2mail 3store"), outcomes(1, "4purchase")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sort": "best"}, "sort = 'best' is not one of frequency, conversions, rate, value"),
        ({"sort": ["rate"]}, "is not one of frequency"),
        ({"n": 0}, "n = 0 is not a whole number from 1"),
        ({"n": True}, "n = True is not a whole number from 1"),
        ({"n": 2.0}, "n = 2.0 is not a whole number from 1"),
        ({"min_journeys": 0}, "min_journeys = 0 is not a whole number from 1"),
        ({"min_journeys": None}, "min_journeys = None is not a whole number from 1"),
    ],
)
def test_arguments_of_paths(table, arguments, message):
    with pytest.raises(attrib.SpecError, match=message) as caught:
        table.paths(**arguments)
    assert caught.value.key == "bad_value"


@pytest.mark.parametrize("quantiles", ["0.5", 0.5, [1.5], [-0.1], [float("nan")], ["0.5"], [True], [0.5, 0.5], [None]])
def test_quantiles(journeys, quantiles):
    with pytest.raises(attrib.SpecError, match="quantiles") as caught:
        journeys.time_to_conversion(quantiles)
    assert caught.value.key == "bad_value"


def test_no_quantiles_leave_the_mean(journeys):
    assert journeys.time_to_conversion([]).columns == ["conversions", "mean_time"]


@pytest.mark.parametrize("view", ["reach", "overlap", "mix"])
def test_a_path_table_has_no_customers(table, view):
    with pytest.raises(attrib.SpecError, match=f"{view} counts customers, and a path table has none") as caught:
        getattr(table, view)()
    assert caught.value.key == "no_customers"


def test_a_path_table_has_no_times(table):
    with pytest.raises(attrib.SolveError, match="a path table has none") as caught:
        table.time_to_conversion()
    assert caught.value.key == "no_times"


@pytest.mark.parametrize(
    ("groups", "rest", "key", "message"),
    [
        (["store"], "online", "bad_groups", "maps no groups"),
        ({"": ["store"]}, "online", "bad_groups", "are texts"),
        ({1: ["store"]}, "online", "bad_groups", "are texts"),
        ({"offline": ["store"]}, None, "bad_groups", "are texts"),
        ({"offline": 3}, "online", "bad_groups", "group 'offline': 3 is not a list of channels"),
        ({"offline": [3]}, "online", "bad_groups", "is not a list of channels"),
        ({"x": ["ad"], "y": ["ad"]}, "online", "bad_groups", "channel 'ad' is in the groups 'x' and 'y'"),
        ({"x": ["stores", "zzz"]}, "online", "unknown_channels", "'stores', 'zzz'.*did you mean 'store' for 'stores'"),
    ],
)
def test_groups(table, journeys, groups, rest, key, message):
    for ask in (table.switches, journeys.switches, journeys.mix):
        with pytest.raises(attrib.SpecError, match=message) as caught:
            ask(groups, rest=rest)
        assert caught.value.key == key


def test_too_many_pairs(journeys, monkeypatch):
    monkeypatch.setattr(customers, "MOST_PAIRS", 2)
    with pytest.raises(attrib.ResourceError, match="3 pairs of players; 2 are allowed") as caught:
        journeys.overlap()
    assert caught.value.key == "too_many_pairs"


@pytest.mark.parametrize("sep", ["", None, 3])
def test_separators(table, sep):
    with pytest.raises(attrib.SpecError) as caught:
        table.to_paths(sep)
    assert caught.value.key == "bad_separator"


@pytest.mark.parametrize(
    ("names", "sep", "faulty"),
    [
        (["a > b", "c"], " > ", ["a > b"]),
        (["a >", "c"], " > ", ["a >"]),  # "a > > c" would come apart behind the a
        (["xa", "b"], "aa", ["xa"]),
        (["a", "b"], "aa", ["a"]),
        (["a", " a"], " > ", ["a", " a"]),  # names are read without the white space around them
        (["é>", "b"], ">", ["é>"]),
    ],
)
def test_names_that_would_be_torn_apart(names, sep, faulty):
    touched = [{"customer_id": 1, "timestamp": i, "channel": name} for i, name in enumerate(names)]
    journeys = attrib.Journeys.from_events(*to_frames(touched, outcomes(1, "9purchase")))
    with pytest.raises(attrib.DataError) as caught:
        journeys.to_paths(sep)
    assert caught.value.key == "ambiguous_names"
    assert sorted(caught.value.facts["names"]) == sorted(faulty)
    assert caught.value.hint
    assert all(repr(name) in str(caught.value) for name in faulty)


@pytest.mark.parametrize(("names", "sep"), [(["> a", "b", "é"], " > "), (["ab", "cb"], "ba"), (["a > b", "c"], "|")])
def test_names_that_only_look_like_it(names, sep):
    touched = [{"customer_id": 1, "timestamp": i, "channel": name} for i, name in enumerate(names)]
    found = attrib.Journeys.from_events(*to_frames(touched, outcomes(1, "9purchase"))).to_paths(sep)
    again = attrib.Journeys.from_paths(found, sep=sep)
    assert again.paths()["players"].to_list() == [names]


def test_joined_players_that_read_alike():
    touched = [
        {"customer_id": 1, "timestamp": 1, "channel": "a: b", "interaction": "c"},
        {"customer_id": 1, "timestamp": 2, "channel": "a", "interaction": "b: c"},
    ]
    frames = to_frames(touched, outcomes(1, "9purchase"))
    journeys = attrib.Journeys.from_events(*frames, player=["channel", "interaction"])
    with pytest.raises(attrib.DataError, match="cannot be told apart") as caught:
        journeys.to_paths()
    assert caught.value.key == "ambiguous_names"
    assert journeys.paths()["path"].to_list() == ["a: b: c > a: b: c"]


def test_a_blank_player_would_be_no_player():
    touched = [{"customer_id": 1, "timestamp": 1, "channel": "a", "interaction": " "}]
    frames = to_frames(touched, outcomes(1, "9purchase"))
    journeys = attrib.Journeys.from_events(*frames, player="interaction")
    names = journeys.reach()["interaction"].to_list()
    if names == [" "]:
        with pytest.raises(attrib.DataError, match="are blank"):
            journeys.to_paths()
    else:  # blank is read as null
        assert journeys.to_paths()["path"].to_list() == ["(none)"]


def test_columns_of_the_data_never_hide_those_of_a_view():
    touched = [
        {"customer_id": 1, "timestamp": 1, "channel": "a", "path": "x", "length": "long", "by_path": "y", "only": "z"}
    ]
    frames = to_frames(touched, outcomes(1, "9purchase"))
    arguments = {"by": ["path", "by_path"], "player": ["channel", "length", "only", "channel_a"]}
    frames = (frames[0].with_columns(channel_a=pl.lit("q")), frames[1])
    journeys = attrib.Journeys.from_events(*frames, **arguments)
    assert journeys.paths().columns[:3] == ["by_path", "by_by_path", "path"]
    assert journeys.paths().select("by_path", "by_by_path", "path").rows() == [("x", "y", "a: long: z: q")]
    assert journeys.reach().columns[:6] == ["path", "by_path", "channel", "length", "player_only", "channel_a"]
    assert journeys.overlap().columns[2:6] == ["channel_a", "length_a", "only_a", "channel_a_a"]


def test_rates_across_games_that_only_outcomes_name():
    touched, reached = touches(1, "1ad 3mail"), outcomes(1, "2purchase", country="de")
    journeys = attrib.Journeys.from_events(*to_frames(touched, reached), by="country")
    for ask in (journeys.paths, journeys.ends, journeys.touches_to_conversion, journeys.reach, journeys.mix):
        with pytest.warns(attrib.AttribWarning, match=f"{ask.__name__} compares conversions with nulls"):
            ask()
    journeys.to_paths()
    journeys.overlap()
    journeys.time_to_conversion()


def test_no_game_at_all():
    # the only journey is open, so there is no game with a country
    touched, reached = touches(1, "8ad", country="de"), outcomes(2, "9purchase", country="de")
    frames = to_frames(touched, reached)
    journeys = attrib.Journeys.from_events(*frames, by="country", target="purchase", maturity="5s")
    assert journeys.paths().height == 0
    assert journeys.ends().height == 0
    assert journeys.touches_to_conversion().height == 0
    assert journeys.switches({"x": ["ad"]}).height == 0
    assert journeys.to_paths().rows() == [("de", "", 1, 1.0, 0)]
    assert journeys.overlap().height == 0
    assert journeys.reach().rows() == [("de", "ad", 1, 1.0, 1, 0, 0.0)]


def test_nothing_but_unattributed_conversions():
    journeys = attrib.Journeys.from_paths(pl.DataFrame({"path": [""], "total_conversions": [2]}))
    assert journeys.paths().schema == attrib.Journeys.from_paths(
        pl.DataFrame({"path": ["a"], "total_conversions": [2]})
    ).paths().schema  # fmt: skip
    assert journeys.paths().height == journeys.ends().height == journeys.touches_to_conversion().height == 0
    assert journeys.to_paths().rows() == [("", 2, 2.0, 0)]
    assert journeys.switches({}).height == 0


def test_what_was_summed_is_not_summed_again(journeys, monkeypatch):
    journeys.paths()
    monkeypatch.setattr("attrib.engines.local.RunningSums", lambda *_, **__: pytest.fail("summed again"))
    journeys.paths(sort="rate", worst=True)
    journeys.to_paths()
