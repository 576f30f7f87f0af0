"""Stage models: ordered stages, each but the last with the milestone that completes it (semantics §3)."""

from __future__ import annotations

import difflib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrib.errors import SpecError, brief
from attrib.toml_files import read_toml


@dataclass(frozen=True, slots=True)
class Milestone:
    """The outcome that completes a stage.

    Parameters
    ----------
    outcome : str
        Name in the ``outcome`` column.
    nth : int
        Which row of that outcome over the customer's history, from 1.

    Raises
    ------
    SpecError
        ``bad_stages`` if the name is empty or ``nth`` is below 1.

    Examples
    --------
    >>> Milestone("purchase", nth=2)
    Milestone(outcome='purchase', nth=2)
    """

    outcome: str
    nth: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.outcome, str) or not self.outcome.strip():
            raise SpecError("bad_stages", f"a milestone needs the name of an outcome, not {brief(self.outcome)}")
        if isinstance(self.nth, bool) or not isinstance(self.nth, int) or self.nth < 1:
            raise SpecError(
                "bad_stages", f"milestone {brief(self.outcome)}: nth = {brief(self.nth)} is no whole number from 1"
            )


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: a name, the milestone that completes it, and notes for people."""

    name: str
    milestone: Milestone | None = None
    label: str = ""
    objective: str = ""
    actions: tuple[str, ...] = ()
    expected_channels: tuple[str, ...] = ()


def _as_stage(item: Any) -> Stage:
    if isinstance(item, Stage):
        return item
    if isinstance(item, (tuple, list)) and len(item) == 2:
        name, milestone = item
        return Stage(name, Milestone(milestone) if isinstance(milestone, str) else milestone)
    raise SpecError("bad_stages", f"{brief(item)} is not a stage", hint='write ("awareness", "visit")')


def _plainly(name: str) -> str:
    """A name without signs that play tricks with a terminal."""
    return name if name.isprintable() else repr(name)


@dataclass(frozen=True, repr=False)
class StageModel:
    """An ordered list of stages.

    Parameters
    ----------
    stages : sequence of (name, milestone) or Stage
        The milestone is an outcome name, a :class:`Milestone`, or None (last stage only).

    Raises
    ------
    SpecError
        ``bad_stages`` for no stage, repeated or empty names, or a missing milestone.

    Examples
    --------
    >>> model = StageModel([("awareness", "visit"), ("decision", Milestone("purchase")), ("loyalty", None)])
    >>> model.names
    ('awareness', 'decision', 'loyalty')
    """

    stages: Sequence[Any] = field(default_factory=tuple)

    def __post_init__(self) -> None:  # noqa: C901 - one step a rule
        if isinstance(self.stages, (str, StageModel)) or not isinstance(self.stages, Sequence):
            raise SpecError(
                "bad_stages", f"{brief(self.stages)} is not a list of stages", hint='write [("awareness", "visit")]'
            )
        stages = tuple(_as_stage(item) for item in self.stages)
        object.__setattr__(self, "stages", stages)
        if not stages:
            raise SpecError("bad_stages", "a stage model needs at least one stage")
        names = [stage.name for stage in stages]
        for name in names:
            if not isinstance(name, str) or not name.strip():
                raise SpecError("bad_stages", f"a stage needs a name, not {brief(name)}")
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise SpecError("bad_stages", f"stage names occur twice: {', '.join(repeated)}", names=repeated)
        for stage in stages:
            if stage.milestone is not None and not isinstance(stage.milestone, Milestone):
                raise SpecError("bad_stages", f"stage {brief(stage.name)}: {brief(stage.milestone)} is not a milestone")
        for stage in stages[:-1]:
            if stage.milestone is None:
                raise SpecError(
                    "bad_stages",
                    f"stage {brief(stage.name)} has no milestone",
                    hint="only the last stage may go without",
                    stage=stage.name,
                )
        if len(stages) == 1 and stages[0].milestone is None:
            raise SpecError("bad_stages", f"the only stage {names[0]!r} has no milestone, so nothing can be credited")

    @property
    def names(self) -> tuple[str, ...]:
        """Stage names in order."""
        return tuple(stage.name for stage in self.stages)

    @property
    def milestones(self) -> tuple[Milestone | None, ...]:
        """Milestones in order of the stages."""
        return tuple(stage.milestone for stage in self.stages)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Distinct outcome names that complete some stage."""
        return tuple(dict.fromkeys(m.outcome for m in self.milestones if m is not None))

    def __repr__(self) -> str:
        """Show the stages and what completes them."""
        return f"<StageModel: {' → '.join(self._spelled())}>"

    def _repr_html_(self) -> str:
        """Show the same in a notebook."""
        return f"<p>StageModel</p><ol>{''.join(f'<li>{html.escape(line)}</li>' for line in self._spelled())}</ol>"

    def _spelled(self) -> list[str]:
        return [
            _plainly(stage.name) + (f" until {_plainly(stage.milestone.outcome)}" if stage.milestone else "")
            for stage in self.stages
        ]


@dataclass(frozen=True, slots=True)
class StageColumn:
    """Touchpoints carry their stage in a column (resolved view only).

    Parameters
    ----------
    column : str
        Column of the touchpoints.
    order : sequence of str
        All stages, first to last. A touch with another stage, or none, is rejected.

    Examples
    --------
    >>> StageColumn("stage", order=["see", "think", "do"]).names
    ('see', 'think', 'do')
    """

    column: str = "stage"
    order: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.order, str):
            raise SpecError("bad_stages", "StageColumn: order is a list of stage names, not one text")
        object.__setattr__(self, "order", tuple(self.order))
        if not self.order or len(set(self.order)) != len(self.order):
            raise SpecError("bad_stages", "StageColumn needs order = all stages, each once, first to last")

    @property
    def names(self) -> tuple[str, ...]:
        """Stage names in order."""
        return tuple(self.order)


def _model(*stages: tuple[str, str] | tuple[str, str, int]) -> StageModel:
    return StageModel([(name, Milestone(outcome, *nth)) for name, outcome, *nth in stages])


STAGES = MappingProxyType({
    "three": _model(("awareness", "visit"), ("consideration", "intent"), ("decision", "purchase")),
    "aida": _model(("attention", "visit"), ("interest", "engage"), ("desire", "intent"), ("action", "purchase")),
    "five": _model(
        ("awareness", "visit"),
        ("consideration", "intent"),
        ("decision", "purchase"),
        ("loyalty", "purchase", 2),
        ("advocacy", "referral"),
    ),
    "six": _model(
        ("discovery", "visit"),
        ("consideration", "engage"),
        ("decision", "intent"),
        ("purchase", "purchase"),
        ("after_sales", "resolved"),
        ("loyalty", "purchase", 2),
    ),
    "retail": _model(
        ("awareness", "visit"),
        ("acquisition", "purchase"),
        ("onboarding", "activation"),
        ("engagement", "purchase", 2),
        ("advocacy", "referral"),
    ),
})  # fmt: skip

_TEXT_KEYS = {"name", "milestone", "nth", "label", "objective", "actions", "expected_channels"}


def load_stages(path: str | Path) -> StageModel:
    """Read a stage model from a TOML file of ``[[stage]]`` tables.

    Parameters
    ----------
    path : str or Path
        Each ``[[stage]]`` has ``name``, ``milestone``, ``nth`` and, for people, ``label``,
        ``objective``, ``actions``, ``expected_channels``.

    Returns
    -------
    StageModel

    Raises
    ------
    SpecError
        ``no_file``, ``bad_toml``, ``unknown_key`` or ``bad_stages``.
    """
    path = Path(path)
    content = read_toml(path, "stage file")
    _reject_unknown(content, {"stage"}, path.name)
    tables = content.get("stage")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise SpecError("bad_stages", f"stage file {path.name!r} has no [[stage]] table")
    stages = []
    for table in tables:
        _reject_unknown(table, _TEXT_KEYS, f"{path.name} [[stage]]")
        milestone = table.get("milestone")
        if "nth" in table and milestone is None:
            raise SpecError("bad_stages", f"stage {table.get('name')!r} has nth but no milestone")
        stages.append(
            Stage(
                table.get("name", ""),
                None if milestone is None else Milestone(milestone, table.get("nth", 1)),
                str(table.get("label", "")),
                str(table.get("objective", "")),
                tuple(table.get("actions", ())),
                tuple(table.get("expected_channels", ())),
            )
        )
    return StageModel(stages)


def _reject_unknown(table: dict[str, Any], known: Iterable[str], where: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
            raise SpecError("unknown_key", f"{where}: unknown key {brief(key)}", hint=hint, found=key)


def resolve_stages(stages: str | Path | StageModel | StageColumn | None) -> StageModel | StageColumn | None:
    """Turn what a user may pass as ``stages`` into a model: a preset name, a path, or the model itself.

    Raises
    ------
    SpecError
        ``unknown_stages`` if a text is neither a preset nor a TOML file.
    """
    if stages is None or isinstance(stages, (StageModel, StageColumn)):
        return stages
    if isinstance(stages, (list, tuple)):
        return StageModel(stages)
    if isinstance(stages, Path) or (isinstance(stages, str) and stages.endswith(".toml")):
        return load_stages(stages)
    if isinstance(stages, str):
        if stages in STAGES:
            return STAGES[stages]
        near = difflib.get_close_matches(stages, list(STAGES), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"presets: {', '.join(STAGES)}; or the path of a .toml file"
        raise SpecError("unknown_stages", f"unknown stage preset {brief(stages)}", hint=hint, found=stages)
    raise SpecError("unknown_stages", f"stages = {brief(stages)} is not a preset, a stage model or a path")
