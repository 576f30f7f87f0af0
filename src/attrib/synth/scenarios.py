"""Scenarios: markets with one question each, as TOML files."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from attrib.errors import SpecError, brief
from attrib.synth.config import Population

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
    ['brand_search', 'retargeting', 'coupon_site', 'direct']
    """
    from attrib.synth.scenario_files import read

    text = os.fspath(name_or_path)
    if text.endswith(".toml") or isinstance(name_or_path, os.PathLike):
        return Scenario(*read(Path(text)))
    if text not in SCENARIOS:
        near = difflib.get_close_matches(text.lower().replace("-", "_"), SCENARIOS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"presets: {', '.join(SCENARIOS)}; or the path of a .toml file"
        raise SpecError("unknown_scenario", f"unknown scenario {brief(text)}", hint=hint, found=text)
    return _preset(text)


def resolve(wanted: Scenario | str | os.PathLike[str]) -> Scenario:
    """The scenario that a user names, points at or has made."""
    return wanted if isinstance(wanted, Scenario) else scenario(wanted)


@cache
def _preset(name: str) -> Scenario:
    from attrib.synth.scenario_files import read

    return Scenario(*read(_FOLDER / f"{name}.toml"))
