"""Scenarios: markets with one question each, as TOML files."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import Field, create_model

from attrib.errors import SpecError
from attrib.spec import Text, _read_toml, _Strict, parse
from attrib.synth.config import Channel, Population

Record = TypeVar("Record")

_FOLDER = Path(__file__).with_name("scenarios")
SCENARIOS = (
    "clean",
    "retargeting",
    "synergy",
    "upper_funnel",
    "dark",
    "fragmented",
    "null_channels",
    "rare",
    "drift",
    "everything",
)
"""Names of the presets."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A market, and the question that it asks of methods.

    Parameters
    ----------
    name : str
        Name of the preset, or of the file without ``.toml``.
    question : str
        What this market shows.
    population : Population
        The market.
    days : int, default 365
        Length of the data.

    Examples
    --------
    >>> scenario("clean").population.recruits
    0.0
    """

    name: str
    question: str
    population: Population = field(default_factory=Population)
    days: int = 365


def scenario(name_or_path: str | os.PathLike[str]) -> Scenario:
    """Read a scenario: a preset, or a TOML file of one's own.

    A file has ``question`` and ``days``, a table ``[population]`` and tables ``[[channels]]``. The keys of the tables
    are the parameters of `Population` and `Channel`; records within, such as `Induces` or `Observation`, are tables in
    turn. What is not given is as there; without channels, the market has the twelve of ``attrib.synth.CHANNELS``.

    Parameters
    ----------
    name_or_path : str or path
        One of `SCENARIOS`, or a path that ends in ``.toml``.

    Returns
    -------
    Scenario

    Raises
    ------
    SpecError
        ``unknown_scenario``; ``no_file``, ``bad_toml``, ``unknown_key``, ``missing_key``, ``bad_type`` of a file;
        ``bad_channel``, ``bad_population`` for numbers out of range.

    Examples
    --------
    >>> market = scenario("retargeting")
    >>> [channel.name for channel in market.population.channels if channel.follows]
    ['brand_search', 'retargeting', 'coupon_site']
    """
    text = os.fspath(name_or_path)
    if text.endswith(".toml") or isinstance(name_or_path, os.PathLike):
        return _read(Path(text))
    if text not in SCENARIOS:
        near = difflib.get_close_matches(text.lower().replace("-", "_"), SCENARIOS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"presets: {', '.join(SCENARIOS)}; or the path of a .toml file"
        raise SpecError("unknown_scenario", f"unknown scenario {text!r}", hint=hint, found=text)
    return _preset(text)


def resolve(wanted: Scenario | str | os.PathLike[str]) -> Scenario:
    """The scenario that a user names, points at or has made."""
    return wanted if isinstance(wanted, Scenario) else scenario(wanted)


@cache
def _preset(name: str) -> Scenario:
    return _read(_FOLDER / f"{name}.toml")


def _read(path: Path) -> Scenario:
    model = create_model(
        "ScenarioFile",
        __base__=_Strict,
        question=(Text, ...),
        days=(Annotated[int, Field(ge=1, le=36_525)], 365),
        population=(_model(Population, without=("channels",)) | None, None),
        channels=(tuple[_model(Channel), ...], ()),  # type: ignore[misc]  # a type made at run time
    )
    found: Any = parse(model, _hard(_read_toml(path)), path.name)
    try:
        channels = tuple(_build(Channel, channel) for channel in found.channels)
        given = {} if found.population is None else found.population
        population = _build(Population, given, **({"channels": channels} if channels else {}))
        return Scenario(path.stem, found.question, population, found.days)
    except SpecError as error:
        raise SpecError(error.key, f"{path.name}: {error.message}", hint=error.hint, **error.facts) from None


def _hard(value: Any) -> Any:
    """Lists as tuples, which strict models want."""
    if isinstance(value, dict):
        return {key: _hard(entry) for key, entry in value.items()}
    return tuple(map(_hard, value)) if isinstance(value, list) else value


def _model(record: type, without: tuple[str, ...] = ()) -> type[_Strict]:
    """Strict model of a table with the fields of a record."""
    hints = get_type_hints(record)
    given: dict[str, Any] = {}
    for each in fields(record):
        if each.name not in without:
            needed = each.default is MISSING and each.default_factory is MISSING
            given[each.name] = (_table(hints[each.name]), ... if needed else None)
    return create_model(record.__name__, __base__=_Strict, **given)


def _table(kind: Any) -> Any:
    """The type of a field, with models of tables in place of records."""
    if is_dataclass(kind) and isinstance(kind, type):
        return _model(kind)
    arguments = tuple(_table(part) for part in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return Union[arguments]  # noqa: UP007 - of types that are made at run time
    return get_origin(kind)[arguments] if arguments else kind


def _build(record: type[Record], table: Any, **others: Any) -> Record:
    """The record of a table: what is not given, by its default."""
    given: Mapping[str, Any] = {} if isinstance(table, dict) else {n: getattr(table, n) for n in table.model_fields_set}
    hints = get_type_hints(record)
    return record(**{name: _made(hints[name], value) for name, value in given.items()}, **others)


def _made(kind: Any, value: Any) -> Any:
    """Replace models of tables by records."""
    if isinstance(value, _Strict):
        record = next(part for part in (kind, *get_args(kind)) if is_dataclass(part))
        return _build(record, value)  # type: ignore[arg-type]
    if isinstance(value, tuple) and any(isinstance(entry, _Strict) for entry in value):
        return tuple(_build(get_args(kind)[0], entry) for entry in value)
    return value
