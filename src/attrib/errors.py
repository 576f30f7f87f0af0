"""One error tree and the exit codes of the command.

Every error that a user can cause carries a stable ``key`` (for programs and tests), a message that
names the numbers involved, and a ``hint``: the next step.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any, ClassVar

SHOWN = 80  # characters of a value that an error shows


class AttribError(Exception):
    """Base of all errors that attrib raises on purpose.

    Parameters
    ----------
    key : str
        Stable identifier of the fault, such as ``"missing_columns"``.
    message : str
        What is wrong, with the numbers and names involved.
    hint : str, optional
        The next step for the user.
    **facts
        The same numbers and names for programs, kept in ``facts``.

    Examples
    --------
    >>> error = DataError("no_rows", "touchpoints has 0 rows", hint="check the path")
    >>> error.key, str(error)
    ('no_rows', 'touchpoints has 0 rows; check the path')
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, key: str, message: str, *, hint: str = "", **facts: Any) -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.key = key
        self.message = message
        self.hint = hint
        self.facts = facts


class SpecError(AttribError):
    """A job, model, stage or argument is not what it must be (exit code 2)."""

    exit_code = 2


class DataError(AttribError):
    """The input data cannot be used (exit code 3)."""

    exit_code = 3


class RejectedError(DataError):
    """More rows were rejected than allowed (exit code 4)."""

    exit_code = 4


class SolveError(AttribError):
    """A method has no answer for these journeys (exit code 5)."""

    exit_code = 5


class ResourceError(AttribError):
    """Memory, disk or a folder is not sufficient (exit code 6)."""

    exit_code = 6


class AttribWarning(UserWarning):
    """The result stands, but the reader should know something about it."""


def warn(message: str | AttribWarning) -> None:
    """Warn at the line of whoever called the package, however deep inside it the reason was found."""
    level, frame = 1, sys._getframe()  # noqa: SLF001 - the one way to one's callers
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, AttribWarning, stacklevel=level)  # a warning of ours keeps its own class


EXIT_CODES = {
    0: "success",
    1: "an unforeseen error (with traceback: please report it)",
    2: "the job, a model, a stage file or an argument is wrong",
    3: "the input data cannot be used",
    4: "more rows were rejected than allowed; nothing was written",
    5: "a method has no answer for these journeys",
    6: "memory, disk or a folder is not sufficient",
    130: "interrupted",
}


def short(value: Any) -> str:
    """Show an argument in an error: in one line, and only of what kind it is where it is a table or long.

    Examples
    --------
    >>> short("7 days"), short([1, 2])
    ("'7 days'", '[1, 2]')
    >>> import polars as pl
    >>> short(pl.DataFrame({"channel": ["seo"], "cost": [2.5]}))
    'a DataFrame of shape (1, 2)'
    >>> short(list(range(1000)))
    '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,…'
    """
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"a {kind} of shape {shape}"
    if hasattr(value, "collect_schema"):  # a lazy frame would tell its whole plan
        return f"a {kind}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - anybody's code
        return f"a {kind}"
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
