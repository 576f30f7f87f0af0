"""Libraries that come with an extra: imported where they are needed, or a word on how to install them.

The package is on no index yet, so that nobody could install an extra by its name alone: the hints
name the libraries themselves, and are followed as they stand.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from attrib.errors import SpecError

EXTRAS = {  # as in pyproject.toml; a test compares
    "pandas": ("pandas>=2.3,<3", "pyarrow>=26"),
    "arrow": ("pyarrow>=26",),
    "duckdb": ("duckdb>=2.0",),
    "spark": ("pyspark>=4.1,<5", "pyarrow>=26"),
    "lifecycle": ("scikit-learn>=1.9", "lifelines>=0.30.3", "skops>=0.16", "pandas>=2.3,<3"),
    "mlflow": ("mlflow-skinny>=3.17",),
}


def install(extra: str) -> str:
    """Spell the command that installs the libraries of an extra.

    Examples
    --------
    >>> install("pandas")
    'pip install "pandas>=2.3,<3" "pyarrow>=26"'
    """
    return "pip install " + " ".join(f'"{library}"' for library in EXTRAS[extra])


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
        name = module.split(".", 1)[0]
        raise SpecError("missing_extra", f"{name} is not installed", hint=install("lifecycle")) from error
