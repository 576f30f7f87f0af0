"""Faults of TOML files in plain words: the place, what was found, and the right name."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from attrib.errors import SpecError


def describe(model: type[BaseModel], error: ValidationError, where: str) -> SpecError:
    """Build the error that lists what pydantic found, one sentence a fault.

    Parameters
    ----------
    model : type of BaseModel
        What the file should be.
    error : ValidationError
        What pydantic found.
    where : str
        Name of the file.

    Returns
    -------
    SpecError
        With the key of the first fault.
    """
    # Where text or a table may stand, pydantic reports the text as well when the table is faulty.
    details = [detail for detail in error.errors(include_url=False) if detail["loc"][-1:] != ("str",)]
    faults = [_fault(model, detail) for detail in details]
    lines = [fault.text for fault in faults]
    many = f"{where} has {len(faults)} faults:" + "".join(f"\n  - {line}" for line in lines)
    message = f"{where}: {lines[0]}" if len(lines) == 1 else many
    hint = next((fault.hint for fault in faults if fault.hint), "")
    if len(lines) > 1 and hint:
        message, hint = f"{message}\n{hint}", ""
    return SpecError(faults[0].key, message, hint=hint, faults=lines)


def nearest(found: str, allowed: Collection[str]) -> str:
    """Return ``"; did you mean x?"`` for the closest allowed name, or nothing.

    Examples
    --------
    >>> nearest("lokback", ["lookback", "target"]), nearest("zzz", ["lookback"])
    ('; did you mean lookback?', '')
    """
    close = difflib.get_close_matches(found.lower().replace("-", "_"), list(allowed), n=1)
    return f"; did you mean {close[0]}?" if close else ""


@dataclass(frozen=True, slots=True)
class _Fault:
    key: str
    text: str
    hint: str = ""


_OUR_KEYS = {"bad_type", "bad_value", "missing_key", "excluded_key"}
_TYPES = {
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}
_LIMITS: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": lambda limits: f"must be greater than {limits['gt']:g}",
    "greater_than_equal": lambda limits: f"must be at least {limits['ge']:g}",
    "less_than": lambda limits: f"must be less than {limits['lt']:g}",
    "less_than_equal": lambda limits: f"must be at most {limits['le']:g}",
    "finite_number": lambda _: "must be a finite number",
}

_EMPTY = {"string_too_short": "must not be empty", "too_short": "needs at least one entry"}


def _fault(model: type[BaseModel], detail: ErrorDetails) -> _Fault:  # noqa: PLR0911 - a list of cases
    """One sentence for one fault that pydantic found."""
    kind, limits, found = detail["type"], detail.get("ctx", {}), detail["input"]
    tables = {table.__name__ for table in _tables(model)}
    steps = [step for step in detail["loc"] if step not in tables]  # where text or a table may stand, it is named
    place = _place(model, steps)
    if kind == "extra_forbidden":
        allowed = _allowed(model, steps[:-1])
        text = f"{place} is not known{nearest(str(steps[-1]), allowed)}"
        return _Fault(key="unknown_key", text=text, hint=f"allowed here: {', '.join(allowed)}")
    if kind == "missing":
        return _Fault(key="missing_key", text=f"{place} is missing")
    if kind in _OUR_KEYS:
        return _Fault(key=kind, text=f"{place} {detail['msg']}".strip())
    if kind in _TYPES:
        return _Fault(key="bad_type", text=f"{place} {_TYPES[kind]}, not {_show(found)}")
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", limits["expected"])
        choice = f"must be one of {', '.join(names)}, not {_show(found)}"
        return _Fault(key="bad_value", text=f"{place} {choice}{nearest(str(found), names)}")
    if kind in _EMPTY:
        return _Fault(key="bad_value", text=f"{place} {_EMPTY[kind]}")
    if kind in _LIMITS:
        return _Fault(key="bad_value", text=f"{place} {_LIMITS[kind](dict(limits))}, not {_show(found)}")
    return _Fault(key="bad_value", text=f"{place}: {detail['msg']}")  # pragma: no cover - none is left by the tests


def _place(model: type[BaseModel], steps: list[str | int]) -> str:
    """Name a place in the file as its author would: ``[input.outcome] flag``, ``[[models]] no. 2 name``."""
    if steps == ["models"]:
        return "[[models]]"
    if len(steps) == 1:
        return f"[{steps[0]}]" if _table(model, steps[0]) else str(steps[0])
    if len(steps) > 1 and isinstance(steps[1], int):
        return " ".join([f"[[{steps[0]}]] no. {steps[1] + 1}", *map(_entry, steps[2:])])
    last = next((at for at, step in enumerate(steps) if isinstance(step, int)), len(steps)) - 1
    head = ".".join(map(str, steps[:last]))
    return " ".join([f"[{head}]" if head else "", *map(_entry, steps[last:])]).strip()


def _entry(step: str | int) -> str:
    return f"entry {step + 1}" if isinstance(step, int) else step


def _allowed(model: type[BaseModel], steps: list[str | int]) -> list[str]:
    """List the keys of the table that the steps lead to."""
    for step in steps:
        model = _table(model, step) or model
    return list(model.model_fields)


def _table(model: type[BaseModel], step: str | int) -> type[BaseModel] | None:
    """Model of the table that may stand under a key."""
    found = model.model_fields.get(str(step))
    return None if found is None else next(_models(found.annotation), None)


def _tables(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """All tables within a table."""
    for found in model.model_fields.values():
        for table in _models(found.annotation):
            yield table
            yield from _tables(table)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models that a type names, alone or among others."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _show(value: object) -> str:
    """Spell a TOML value shortly, as it stands in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 40 else f'"{value[:39]}…"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dt.date | dt.time):
        return f"the date {value}"
    return str(value)
