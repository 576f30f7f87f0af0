"""What stands where a model is to be saved: nothing is replaced but saved models, and these on purpose only."""

from __future__ import annotations

import json
from pathlib import Path

from attrib.errors import SpecError, brief
from attrib.io.text import clean

ABOUT = "model.json"
_OURS = ("format", "class", "state", "sha256")


def saved_name(folder: Path, most: int) -> str | None:
    """Name of the model that a folder holds, if any; its file is read up to a size.

    Raises
    ------
    SpecError
        ``other_files`` for a ``model.json`` that is none of ours.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     print(saved_name(Path(place), 1000))
    None
    """
    file = folder / ABOUT
    if not file.exists():
        return None
    try:
        with file.open("rb") as opened:
            about = json.loads(opened.read(most).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or not all(key in about for key in _OURS):
        hint = "choose another folder, or remove it"
        raise SpecError("other_files", f"{file} is not of a saved model, and is not replaced", hint=hint)
    return clean(str(about.get("name", "")), 80)


def check_place(folder: Path, most: int, *, overwrite: bool) -> None:
    """Refuse to replace a model unless that is asked for, and anything else in any case.

    Raises
    ------
    SpecError
        ``model_exists``, ``other_files``.
    """
    name = saved_name(folder, most)
    if name is not None and not overwrite:
        hint = "choose another folder, or pass overwrite=True"
        raise SpecError("model_exists", f"{folder} holds the model {brief(name)}", hint=hint)
