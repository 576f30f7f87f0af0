"""Scenario files, read strictly: the tables are those of the records, and what is not known is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import Field, create_model

from attrib.errors import SpecError
from attrib.spec import Text, _Strict, parse
from attrib.synth.config import Channel, Population
from attrib.toml_files import read_toml

Record = TypeVar("Record")


def read(path: Path) -> tuple[str, str, Population, int]:
    """Read a file; the fields of a `Scenario`."""
    model = create_model(
        "ScenarioFile",
        __base__=_Strict,
        question=(Text, ...),
        days=(Annotated[int, Field(ge=1, le=36_525)], 365),
        population=(_table(Population, without=("channels",)), None),
        channels=(_table(tuple[Channel, ...]), ()),
    )
    found: Any = parse(model, _hard(read_toml(path)), path.name)
    try:
        channels = tuple(_build(Channel, channel) for channel in found.channels)
        given = {} if found.population is None else found.population
        population = _build(Population, given, **({"channels": channels} if channels else {}))
        return path.stem, found.question, population, found.days
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


def _table(kind: Any, without: tuple[str, ...] = ()) -> Any:
    """The type of a field, with models of tables in place of records."""
    if is_dataclass(kind) and isinstance(kind, type):
        return _model(kind, without)
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
