"""One error tree and the exit codes of the command.

Every error that a user can cause carries a stable ``key`` (for programs and tests), a message that
names the numbers involved, and a ``hint``: the next step.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any, ClassVar

LONGEST = 200  # characters that a message shows of a value


def brief(value: Any) -> str:
    """A value as a message shows it: on one line, tables and arrays by their size, what is long cut.

    Examples
    --------
    >>> brief("30d"), brief({"a": 1}), brief(range(3))
    ("'30d'", "{'a': 1}", 'range(0, 3)')
    >>> import numpy as np
    >>> brief(np.zeros((3, 4))), brief([np.zeros(2)])
    ('an ndarray of 3 × 4', '[an ndarray of 2]')
    """
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and (shape or hasattr(value, "columns")):
        kind = type(value).__name__
        article = "an" if kind[0] in "aeiouAEIOU" or kind == "ndarray" else "a"
        return f"{article} {kind} of {' × '.join(map(str, shape))}"
    if type(value) in (list, tuple) and any(getattr(item, "shape", None) for item in value[:LONGEST]):
        inside = ", ".join(brief(item) for item in value[:LONGEST])
        text = f"[{inside}]" if isinstance(value, list) else f"({inside})"
    elif type(value) is dict and any(getattr(item, "shape", None) for item in value.values()):
        text = "{" + ", ".join(f"{brief(name)}: {brief(item)}" for name, item in value.items()) + "}"
    elif hasattr(value, "collect_schema") or (hasattr(value, "columns") and not isinstance(value, type)):
        return f"a {type(value).__name__}"  # the plan of a table, or one that another library holds
    else:
        text = " ".join(repr(value).split()) if "\n" in repr(value) else repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


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
