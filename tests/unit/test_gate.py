"""The gate of all tables: whatever stands in an argument, what leaves the package is an error of ours.

Every public function stands in `CALLS` with arguments that work. Each of its arguments is replaced by wrong objects,
and each column of each of its tables by wrong types, one at a time.
"""

from __future__ import annotations

import datetime as dt
import inspect
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

import attrib
import attrib.lifecycle as later
from attrib import synth

DAY = dt.datetime(2024, 1, 1)  # noqa: DTZ001 - naive, as most logs are
N = 60
WHO = [i % 20 for i in range(N)]
TOUCHES = pl.DataFrame(
    {
        "customer_id": WHO,
        "timestamp": [DAY + dt.timedelta(hours=7 * i) for i in range(N)],
        "channel": ["ad", "mail", "shop"] * (N // 3),
    }
)
OUTCOMES = pl.DataFrame(
    {
        "customer_id": list(range(12)) * 2,
        "timestamp": [DAY + dt.timedelta(days=12 + i) for i in range(24)],
        "outcome": ["purchase"] * 24,
        "value": [5.0 + i for i in range(24)],
        "referrer_id": [None, *range(11), *[None] * 12],
    }
)
PATHS = pl.DataFrame(
    {
        "path": ["ad > mail", "ad"],
        "total_conversions": [3, 1],
        "total_conversion_value": [3.0, 1.0],
        "total_null": [1, 9],
    }
)
COSTS = pl.DataFrame({"channel": ["ad", "mail"], "cost": [10.0, 5.0], "date": [dt.date(2024, 1, 2)] * 2})
TESTS = pl.DataFrame({"channel": ["ad"], "increment": [2.0], "standard_error": [1.0]})
VALUES = pl.DataFrame({"customer_id": list(range(20)), "value": [1.0] * 20})


@cache
def journeys() -> attrib.Journeys:
    return attrib.Journeys.from_events(TOUCHES, OUTCOMES)


@cache
def credit() -> pl.DataFrame:
    return attrib.credit(journeys(), attrib.Linear(), replicates=20)


SNAPSHOT = pl.DataFrame(
    {
        "customer_id": list(range(N)),
        "date": [dt.date(2024, 3, 1)] * N,
        "stage": ["a", "b"] * (N // 2),
        "frequency": [i % 5 for i in range(N)],
        "tenure": [float(i % 13) for i in range(N)],
    }
)
DECISIONS = SNAPSHOT.with_columns(
    action=pl.Series([None, "mail"] * (N // 2)), advanced=pl.Series([i % 3 == 0 for i in range(N)])
)
FEATURES = SNAPSHOT.select("frequency", "tenure")
Y, P = [i % 2 for i in range(N)], [0.3 + 0.4 * (i % 2) for i in range(N)]
LENGTH, LEFT = [1.0 + i % 17 for i in range(N)], [i % 3 == 0 for i in range(N)]
HISTORY = pl.DataFrame(
    {
        "frequency": [2, 1, 0, 0, 7, 1, 0, 3, 12, 0] * 4,
        "recency": [30.4, 1.7, 0, 0, 36.4, 5.0, 0, 14.1, 31.0, 0] * 4,
        "T": [38.9, 38.9, 38.9, 30.1, 38.9, 38.9, 21.6, 38.9, 35.2, 31.3] * 4,
        "cancelled": [False] * 39 + [True],
    }
)
CAME = [1, 0, 0, 0, 4, 0, 0, 0, 6, 0] * 4
LIVES = pl.DataFrame(
    {
        "customer_id": list(range(20)),
        "begin": [DAY] * 20,
        "end": [DAY + dt.timedelta(days=30)] * 20,
        "left": [i % 2 == 0 for i in range(20)],
    }
)


@cache
def buying() -> later.ModifiedBetaGeoNBD:
    return later.ModifiedBetaGeoNBD().fit(HISTORY)


# name: (function, arguments that work); the columns of frames among them are made wrong one by one
CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "Journeys.from_events": (
        lambda **a: attrib.Linear().credit(attrib.Journeys.from_events(**a)),
        lambda: {"touchpoints": TOUCHES, "outcomes": OUTCOMES},
    ),
    "Journeys.from_paths": (
        lambda **a: attrib.Linear().credit(attrib.Journeys.from_paths(**a)),
        lambda: {
            "table": PATHS,
            "path": "path",
            "conversions": "total_conversions",
            "value": "total_conversion_value",
            "nulls": "total_null",
            "sep": " > ",
        },
    ),
    "calibrate": (attrib.calibrate, lambda: {"credit": credit(), "lift_tests": TESTS}),
    "spend": (attrib.spend, lambda: {"credit": credit(), "costs": COSTS}),
    "choose_order": (attrib.choose_order, lambda: {"journeys": journeys(), "max_order": 2}),
    "compare": (attrib.compare, lambda: {"journeys": journeys(), "methods": attrib.Linear(), "replicates": 20}),
    "credit": (attrib.credit, lambda: {"journeys": journeys(), "methods": attrib.Linear(), "replicates": 20}),
    "interactions": (attrib.interactions, lambda: {"journeys": journeys(), "replicates": 20}),
    "journey_credit": (attrib.journey_credit, lambda: {"journeys": journeys(), "method": attrib.Linear()}),
    "positions": (attrib.positions, lambda: {"journeys": journeys(), "method": attrib.Linear()}),
    "removal": (attrib.removal, lambda: {"journeys": journeys(), "removed": ["ad"], "replicates": 20}),
    "referral_adjusted": (
        attrib.referral_adjusted,
        lambda: {
            "journeys": journeys(),
            "method": attrib.Linear(),
            "values": VALUES,
            "channel": "ad",
            "replicates": 20,
        },
    ),
    "retention_adjusted": (
        attrib.retention_adjusted,
        lambda: {"journeys": journeys(), "method": attrib.Linear(), "values": VALUES, "replicates": 20},
    ),
    "snapshot": (
        attrib.snapshot,
        lambda: {"touchpoints": TOUCHES, "outcomes": OUTCOMES, "at": "2024-01-10", "purpose": "score"},
    ),
    "decisions": (
        attrib.decisions,
        lambda: {
            "touchpoints": TOUCHES,
            "outcomes": OUTCOMES,
            "at": "2024-01-10",
            "target": "purchase",
            "horizon": "5d",
            "gap": "2d",
        },
    ),
    "next_action": (
        attrib.next_action,
        lambda: {"snapshot": SNAPSHOT, "decisions": DECISIONS, "replicates": 20, "min_support": 5},
    ),
    "personas": (attrib.personas, lambda: {"snapshot": SNAPSHOT, "k": 2, "refits": 2}),
    "policy_value": (
        attrib.policy_value,
        lambda: {
            "actions": ["a", "b"] * (N // 2),
            "outcome": [float(i % 3) for i in range(N)],
            "propensity": [0.5] * N,
            "policy": ["a"] * N,
            "features": FEATURES,
            "replicates": 20,
        },
    ),
    "lifecycle.calibration_at": (
        later.calibration_at,
        lambda: {"predicted": P, "duration": LENGTH, "event": LEFT, "horizon": 5.0},
    ),
    "lifecycle.cumulative_incidence": (
        later.cumulative_incidence,
        lambda: {"duration": LENGTH, "cause": ["price" if x else None for x in LEFT]},
    ),
    "lifecycle.drift": (later.drift, lambda: {"training": FEATURES, "scoring": FEATURES}),
    "lifecycle.evaluate_classifier": (later.evaluate_classifier, lambda: {"y": Y, "p": P, "replicates": 20}),
    "lifecycle.evaluate_survival": (
        later.evaluate_survival,
        lambda: {"duration": LENGTH, "event": LEFT, "risk": P, "replicates": 20},
    ),
    "lifecycle.leak_report": (later.leak_report, lambda: {"X": FEATURES, "y": Y}),
    "lifecycle.ModifiedBetaGeoNBD": (later.ModifiedBetaGeoNBD().fit, lambda: {"frequency": HISTORY}),
    "lifecycle.ParetoNBD": (later.ParetoNBD().fit, lambda: {"frequency": HISTORY}),
    "lifecycle.PurchaseChoice": (
        later.PurchaseChoice(["beta_geo_nbd", "modified_beta_geo_nbd"], folds=2).fit,
        lambda: {name: HISTORY[name].to_list() for name in HISTORY.columns},
    ),
    "lifecycle.choose_purchase_model": (
        later.choose_purchase_model,
        lambda: {"frequency": HISTORY, "models": ["beta_geo_nbd", "modified_beta_geo_nbd"], "folds": 2},
    ),
    "lifecycle.purchases_by_frequency": (
        later.purchases_by_frequency,
        lambda: {"model": buying(), "t": 13.0, "frequency": HISTORY, "bought": CAME},
    ),
    "lifecycle.purchase_summary": (later.purchase_summary, lambda: {"outcomes": OUTCOMES, "at": "2024-03-01"}),
    "lifecycle.silence": (later.silence, lambda: {"data": OUTCOMES, "at": "2024-03-01"}),
    "lifecycle.referral_targets": (
        later.referral_targets,
        lambda: {
            "rows": SNAPSHOT.select("customer_id", date=pl.lit(dt.date(2024, 1, 5))),
            "touchpoints": TOUCHES,
            "outcomes": OUTCOMES,
            "gap": "1d",
            "horizon": "5d",
        },
    ),
    "lifecycle.reliability": (later.reliability, lambda: {"y": Y, "p": P}),
    "lifecycle.time_varying_rows": (later.time_varying_rows, lambda: {"touchpoints": TOUCHES, "customers": LIVES}),
}
# What takes no table of the caller's: methods, engines, errors, stages, results, generators, models fitted elsewhere.
NO_TABLE = {
    "METHODS",
    "STAGES",
    "AdditiveHazard",
    "AdjustedCredit",
    "AttribError",
    "AttribWarning",
    "BaggedLogistic",
    "Calibrated",
    "Comparison",
    "CustomWeights",
    "DataError",
    "FirstTouch",
    "Incremental",
    "InlineOutcome",
    "Journeys",
    "LastNonDirect",
    "LastTouch",
    "Linear",
    "LocalEngine",
    "Markov",
    "Milestone",
    "PositionBased",
    "RejectedError",
    "ResourceError",
    "ShaoLi",
    "Shapley",
    "SnapshotSplit",
    "SolveError",
    "SparkEngine",
    "SpecError",
    "Stage",
    "StageColumn",
    "StageModel",
    "TimeDecay",
    "synth",
    "errors",
    "job",
    "lifecycle",
    "experiment",
    "methods",
    "modelling",
    "stages",
    "testing",
    "BetaGeoNBD",
    "ChurnClassifier",
    "GammaGamma",
    "LifetimeValue",
    "NextActions",
    "Personas",
    "Profit",
    "ReferralLikelihood",
    "SavedModel",
    "SurvivalChurn",
    "contract_value",
    "lifetime_value",
    "load",
    "open_model",
    "save",
}
OBJECTS = (
    None,
    3,
    2.5,
    True,
    "no such file.parquet",
    b"bytes",
    object(),
    [1, 2],
    {"a": 1},
    (),
    [],
    pl.Series([1, None]),
    np.zeros((2, 2)),
    dt.date(2024, 1, 1),
    float("nan"),
    pl.DataFrame(),
    pl.DataFrame({"x": [1]}),
    ["a", None],
)


# Fits of models to whatever still can be fitted take long: for these some kinds of values must do.
LONG = {
    "lifecycle.ParetoNBD",
    "lifecycle.PurchaseChoice",
    "lifecycle.choose_purchase_model",
    "next_action",
    "personas",
    "policy_value",
    "lifecycle.leak_report",
    "calibrate",
    "interactions",
    "positions",
    "removal",
}


def wrong_columns(column: pl.Series, *, few: bool = False) -> Iterator[pl.Series]:
    """The same number of values of every other kind."""
    n = len(column)
    yield pl.Series(column.name, [object()] * n, dtype=pl.Object)
    yield pl.Series(column.name, [[1]] * n)
    yield pl.Series(column.name, ["abc"] * n)
    if few:
        return
    for values in (
        ["7"] * n,
        [""] * n,
        [["a", "b"]] * n,
        [{"a": 1}] * n,
        [dt.date(2024, 1, 1)] * n,
        [DAY] * n,
        [dt.timedelta(1)] * n,
        [dt.time(1)] * n,
        [None] * n,
        [float("nan")] * n,
        [float("inf")] * n,
        [True] * n,
        [-1] * n,
        [2**62] * n,
        [b"x"] * n,
        [1.5] * n,
    ):
        yield pl.Series(column.name, values)
    yield pl.Series(column.name, ["a"] * n, dtype=pl.Categorical)
    yield pl.Series(column.name, [DAY] * n, dtype=pl.Datetime("us", "UTC"))
    yield pl.Series(column.name, [1] * n, dtype=pl.Decimal(10, 2))


def wrong_arguments(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    good, few = CALLS[name][1](), name in LONG
    for argument, value in good.items():
        for i, wrong in enumerate(OBJECTS[:: 4 if few else 1]):
            yield f"{argument} = object {i}", good | {argument: wrong}
        if isinstance(value, list):
            for i, wrong in enumerate(wrong_columns(pl.Series(argument, range(len(value))), few=few)):
                yield f"{argument} as column {i}", good | {argument: wrong}
        if isinstance(value, pl.DataFrame):
            yield f"{argument} without rows", good | {argument: value.clear()}
            yield f"{argument} of pandas objects", good | {argument: value.to_pandas().astype(object)}
            for column in value.columns:
                yield f"{argument} without {column}", good | {argument: value.drop(column)}
                for i, wrong in enumerate(wrong_columns(value[column], few=few)):
                    yield f"{argument}.{column} as {i}: {wrong.dtype}", good | {argument: value.with_columns(wrong)}


PRINTED = "shape: ("  # how polars begins to print a table


def leaks(name: str) -> list[str]:
    function, found = CALLS[name][0], []
    for what, arguments in wrong_arguments(name):
        try:
            function(**arguments)
        except attrib.AttribError as error:
            if not (error.key and error.message):
                found.append(f"{name}: {what}: an error without a key or a message")
            if PRINTED in str(error):
                found.append(f"{name}: {what}: a whole table in the message")
        except BaseException as error:  # noqa: BLE001 - this is what must not be, nor a panic of polars
            found.append(f"{name}: {what}: {type(error).__name__}: {str(error).splitlines()[:1]}")
    return found


def test_every_public_function_stands_in_the_table():
    names = {*attrib.__all__, *attrib._MODULES} | {*later.__all__}
    known = NO_TABLE | {name.removeprefix("lifecycle.") for name in CALLS}
    assert not names - known
    for name in synth.__all__:  # takes numbers and its own parameters, no table
        assert not {"touchpoints_table", "table", "frame"} & set(
            inspect.signature(getattr(synth, name)).parameters if callable(getattr(synth, name)) else ()
        )


@pytest.mark.parametrize("name", CALLS)
def test_the_arguments_of_the_table_work(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CALLS[name][0](**CALLS[name][1]())


@pytest.mark.parametrize("name", CALLS)
def test_only_errors_of_ours_leave_the_package(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = leaks(name)
    assert not found, "\n".join(found)


def whole_arguments() -> Iterator[tuple[str, str]]:
    for name, (function, _) in CALLS.items():
        signed = {
            "Journeys.from_events": attrib.Journeys.from_events,
            "Journeys.from_paths": attrib.Journeys.from_paths,
        }
        for argument, parameter in inspect.signature(signed.get(name, function)).parameters.items():
            default = parameter.default
            counted = isinstance(default, int) and not isinstance(default, bool)
            if counted or (default is None and argument.startswith(("max_", "n_")) and argument != "max_gap"):
                yield name, argument


@pytest.mark.parametrize(("name", "argument"), list(whole_arguments()))
def test_whole_numbers_of_any_size_are_refused_in_words_of_ours(name, argument):
    function, arguments = CALLS[name]
    for number in (10**30, 2**63, -(10**30), 10**5_000):
        given = arguments() | {argument: number}
        with pytest.raises(attrib.AttribError) as caught:
            function(**given)
        assert len(str(caught.value)) < 400


def options() -> Iterator[tuple[str, str]]:
    """Arguments that are words, yes or no, or lists of names, by their defaults."""
    for name, (function, arguments) in CALLS.items():
        for argument, parameter in inspect.signature(function).parameters.items():
            default = parameter.default
            if isinstance(default, (str, bool, tuple, type(None))) and argument not in {*arguments(), "progress"}:
                yield name, argument


@pytest.mark.parametrize(("name", "argument"), list(options()))
def test_words_and_lists_that_are_tables_are_refused_in_words_of_ours(name, argument):
    """What answers a comparison with a table, or has no hash, must not be compared or hashed."""
    function, arguments = CALLS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for wrong in (pl.Series([1, 2]), pl.DataFrame({"a": range(9)}), [[1]], {1: 2}):
            said = None
            try:
                function(**arguments() | {argument: wrong})
            except attrib.AttribError as error:  # any other error fails; some arguments may take a table
                said = str(error)
            assert said is None or ("\n" not in said and len(said) < 600)


def test_tables_where_columns_are_due_are_refused():
    table = pl.DataFrame({"a": [1, 2], "b": [1.5, 2.5]})
    with pytest.raises(attrib.DataError, match="pass the column that holds the actions"):
        attrib.policy_value(table, [0, 1], [0.5, 0.5], "a")
