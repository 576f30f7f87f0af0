"""Who plays in a counterfactual game: channels, pairs of stage and channel, or sets of these; what each switches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from attrib.errors import SpecError, brief
from attrib.schemas import CHANNEL, STAGE
from attrib.synth.config import STAGES, WORD_OF_MOUTH, Population
from attrib.synth.generator import Recipe
from attrib.synth.later import REFERRAL, REFERRAL_ASK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from attrib.synth.worlds import Switches

Cell = tuple[str, str]  # stage, channel
Players = Literal["channel", "stage_channel"] | Mapping[str, Iterable[str | Cell]]
Keys = list[dict[str, str]]
PLAYER = "player"


@dataclass(frozen=True, slots=True)
class Game:
    """Who plays: columns and keys of the players in their order, what each switches, sets of players."""

    columns: tuple[str, ...]
    keys: Keys
    cell: NDArray[np.int64]  # C + 2, S: the player of a channel (then the referral, being asked) in a stage; -1: none
    sets: dict[str, list[int]]
    advances: bool

    @classmethod
    def ask(cls, recipe: Recipe, players: Players, sets: dict[str, Iterable[str | Cell]]) -> Game:
        """Read what a caller asked for."""
        for argument, given in (("players", players), ("sets", sets)):
            odd = [name for name in given if not isinstance(name, str)] if isinstance(given, Mapping) else []
            if odd:
                raise bad_argument(argument, odd[0], "texts as names")
        on = [name for name in _channels(recipe.population) if name not in recipe.off]
        staged = players == "stage_channel"
        columns: tuple[str, ...]
        members: dict[str | Cell, list[Cell]]
        keys: Keys
        if isinstance(players, Mapping):
            members = {name: _members(recipe, "players", held) for name, held in sorted(players.items())}
            columns, keys = (PLAYER,), [{PLAYER: str(name)} for name in members]
        elif players == "channel":
            members = {name: _members(recipe, "players", [name]) for name in sorted(on)}
            columns, keys = (CHANNEL,), [{CHANNEL: str(name)} for name in members]
        elif staged:
            members = {cell: [cell] for cell in _cells(recipe)}
            columns, keys = (STAGE, CHANNEL), [{STAGE: stage, CHANNEL: name} for stage, name in _cells(recipe)]
        else:
            raise bad_argument("players", players, "'channel', 'stage_channel', or names, each with its channels")
        names = _channels(recipe.population, all_codes=True)
        cell = np.full((len(names), len(STAGES)), -1, np.int64)
        for i, held in enumerate(members.values()):
            for stage, name in held:
                place = names.index(name), STAGES.index(stage)
                if cell[place] not in (-1, i):
                    raise bad_argument("players", (stage, name), "players without a channel and stage in common")
                cell[place] = i
        choices = {one: [i] for i, one in enumerate(members)}
        if staged:
            choices |= {name: [i for i, pair in enumerate(members) if pair[1] == name] for name in on}
        return cls(columns, keys, cell, _chosen(choices, sets), advances=not staged)

    def switches(self, recipe: Recipe, target: int) -> Switches:
        """The game for the kernels: arrays of its own, since they are written to."""
        from attrib.synth.worlds import Switches

        channels = _channels(recipe.population)
        plain = recipe.params()
        names = _channels(recipe.population, all_codes=True)
        lasting = recipe.population.later is not None
        no_recruits = next((name for name in (WORD_OF_MOUTH, REFERRAL) if name in channels), None)
        no_asks = REFERRAL_ASK if lasting else None
        exposure, reaches = plain.exposure.copy(), plain.reaches.copy()
        worlds = []
        for without in ({no_recruits, no_asks}, {no_recruits}, {no_asks}, set[str | None]()):
            other = replace(recipe, off=recipe.off | {name for name in without if name is not None})
            worlds.append(other.params()._replace(exposure=exposure, reaches=reaches))
        C = len(names) - 2
        brings = {self.cell[i, 0] for i, name in enumerate(names[: C + 1]) if name in (WORD_OF_MOUTH, REFERRAL)}
        sets = np.zeros((len(self.sets), len(self.keys)), np.bool_)
        for i, held in enumerate(self.sets.values()):
            sets[i, held] = True
        return Switches(
            params=(worlds[0], worlds[1], worlds[2], worlds[3]),
            exposure=plain.exposure,
            cell=self.cell[:C].copy(),
            brings=np.array(sorted(brings - {-1}), np.int64),
            asks=int(self.cell[C + 1, STAGES.index("loyalty")]),
            sets=sets,
            target=target,
        )


def _channels(population: Population, *, all_codes: bool = False) -> list[str]:
    """Names of the channels; the two of `Later` last (with `all_codes` even where they do not occur)."""
    lasting = all_codes or population.later is not None
    return [channel.name for channel in population.channels] + ([REFERRAL, REFERRAL_ASK] if lasting else [])


def _cells(recipe: Recipe) -> list[Cell]:
    """All pairs of stage and channel in which there are touches, in order."""
    return sorted(
        (pair for name in _channels(recipe.population) if name not in recipe.off for pair in _stages_of(recipe, name)),
        key=lambda pair: (STAGES.index(pair[0]), pair[1]),
    )


def _stages_of(recipe: Recipe, name: str) -> list[Cell]:
    lasting = recipe.population.later is not None
    if lasting and name in (REFERRAL, REFERRAL_ASK):
        return [("awareness" if name == REFERRAL else "loyalty", name)]
    return [(stage, name) for stage in (STAGES[:-1] if lasting else STAGES)]


def _members(recipe: Recipe, argument: str, held: Iterable[str | Cell]) -> list[Cell]:
    """Channels as all their pairs of stage and channel, pairs as they are."""
    channels = [name for name in _channels(recipe.population) if name not in recipe.off]
    known: dict[object, list[Cell]] = {pair: [pair] for name in channels for pair in _stages_of(recipe, name)}
    known |= {name: _stages_of(recipe, name) for name in channels}
    found = []
    for one in [held] if isinstance(held, str) else held:
        member = tuple(one) if isinstance(one, list) else one
        if member not in known:
            raise bad_argument(argument, one, f"channels among {', '.join(channels)}, or pairs of stage and channel")
        found += known[member]
    return found


def _chosen(choices: dict[str | Cell, list[int]], sets: dict[str, Iterable[str | Cell]]) -> dict[str, list[int]]:
    """Players of each named set."""
    chosen = {}
    for label, held in sorted(sets.items()):
        found: list[int] = []
        for one in [held] if isinstance(held, str) else held:
            if one not in choices:
                raise bad_argument(f"sets[{label!r}]", one, f"players among {', '.join(map(str, list(choices)[:20]))}")
            found += choices[one]
        chosen[label] = found
    return chosen


def bad_argument(argument: str, found: object, wanted: str) -> SpecError:
    """What is wrong with an argument, and what it should be."""
    return SpecError("bad_argument", f"{argument}: {brief(found)}", hint=f"give {wanted}", argument=argument)
