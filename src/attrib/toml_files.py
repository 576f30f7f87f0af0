"""TOML files: read, with what to do where one cannot be read, or is another kind of file than was asked for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrib.errors import SpecError

TABLES = (".parquet", ".pq", ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".txt.gz", ".xlsx", ".feather", ".arrow")
JOB, ESTIMATOR, METHOD = "a job", "a model of the later stages", "a model of credit"
_ASK = {  # what to do with a file of one kind
    JOB: "a job goes to attrib run, or after --data: attrib fit model.toml --data {name}",
    ESTIMATOR: "such a model goes first, and the job after --data: attrib fit {name} --data job.toml",
    METHOD: "methods of credit are run by a job, in [[models]]: attrib run job.toml",
}


def read_toml(path: Path, kind: str = "") -> dict[str, Any]:
    """Read a TOML file; ``kind`` is what to call it before its name.

    Raises
    ------
    SpecError
        ``no_file``, ``bad_toml``.
    """
    called = f"{kind} {path.name!r}" if kind else path.name
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows put a mark first
    except OSError as error:
        raise SpecError(
            "no_file",
            f"{called if kind else path} cannot be read: {error.strerror}",
            hint="check the path",
            path=str(path),
        ) from error
    except UnicodeDecodeError as error:
        if path.name.lower().endswith(TABLES):
            raise _a_table(path) from error
        raise SpecError("bad_toml", f"{called} is not text in UTF-8", hint="save it as UTF-8") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if path.name.lower().endswith(TABLES):
            raise _a_table(path) from error
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else None
        hint = _hint(str(error), text.split("\n")[line - 1] if line else "")
        raise SpecError("bad_toml", f"{called} is not valid TOML: {error}", hint=hint, line=line) from error


def _a_table(path: Path) -> SpecError:
    return SpecError(
        "bad_toml",
        f"{path.name} looks like a table of data, and what is asked for is a TOML file",
        hint=f'write a job, such as job.toml, that names it under [input]: touchpoints = "{path.name}"',
    )


def _hint(error: str, line: str) -> str:
    if "\\" in line and '"' in line:
        return (
            "a backslash in double quotes begins an escape: write the text in single quotes, "
            r"such as 'C:\data\touchpoints.parquet', or with / in its place"
        )
    if "overwrite" in error or "twice" in error or "mutate" in error:
        return "a key stands once in its table, and so does a [table]; several models are several [[models]]"
    if "after a key" in error or "after key" in error:
        return "each line is a key = value, a [table], or a # comment"
    return "text stands in double quotes, tables in [brackets]"


def with_backslashes(path: str) -> str:
    r"""Say why a path cannot be found that holds what an escape in double quotes became; nothing for others.

    Examples
    --------
    >>> with_backslashes("C:\temp.parquet")[:34]
    'a backslash in double quotes began'
    """
    if not re.search(r"[\x07-\x0d\x1b]", path):
        return ""
    return (
        r"a backslash in double quotes began an escape (\t is a tab): in TOML write the path in single quotes, in "
        r'Python as r"…", or with / in its place'
    )


def check_kind(content: Mapping[str, Any], wanted: str, name: str) -> None:
    """Check that a file is not of another kind than was asked for, which would make a list of faults.

    Raises
    ------
    SpecError
        ``wrong_file``.
    """
    found = (
        ESTIMATOR if "estimator" in content
        else JOB if "input" in content
        else METHOD if "method" in content or "models" in content
        else wanted
    )  # fmt: skip
    if found == METHOD and wanted == JOB and "models" in content:
        return  # a job that lacks its input
    if found != wanted:
        hint = _ASK[found].replace("{name}", name)
        raise SpecError("wrong_file", f"{name} is {found}, and {wanted} is asked for", hint=hint)
