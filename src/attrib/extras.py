"""Libraries that come with an extra: imported where they are needed, or a word on how to install them."""

from __future__ import annotations

import importlib
from types import ModuleType

from attrib.errors import SpecError


def needs(module: str) -> ModuleType:
    """Import a library of the extra ``lifecycle``, or say how to install it.

    Raises
    ------
    SpecError
        ``missing_extra``.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise SpecError(
            "missing_extra", f"{module.split('.', 1)[0]} is not installed", hint="pip install 'attrib[lifecycle]'"
        ) from error
