"""Players and games: from codes met while reading to names in the order of the credit table."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from threading import Lock

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.engines.base import OTHERS, Recipe, Tallies, Units
from attrib.engines.coding import Kinds
from attrib.errors import DataError, ResourceError
from attrib.kernels.codes import FIRST_PLAYER, NOT_PREFERRED, REPEATS
from attrib.needs import Need, Patterns, Totals
from attrib.ragged import NEVER, CutPlan, Milestones
from attrib.schemas import INTERACTION, STAGE
from attrib.stages import Milestone, StageColumn, StageModel
from attrib.tally import Tally, bits_for, check_key_width

Ints = npt.NDArray[np.int64]
GAME_KEY_BITS = 62


class Names:
    """Codes of players and games of one recipe, growing while events are read.

    A player code counts from 0: base · stages + stage in the resolved view, else base, where a base is a distinct
    combination of the player columns. A game key packs one field a by-column, then the stage.
    """

    def __init__(
        self, recipe: Recipe, touches: Kinds, outcomes: Kinds, in_touches: tuple[str, ...], in_outcomes: tuple[str, ...]
    ) -> None:
        self.recipe, self.touches, self.outcomes = recipe, touches, outcomes
        self.in_touches, self.in_outcomes = in_touches, in_outcomes
        self._bases: dict[tuple[int, ...], int] = {}
        self._base_of_kind: list[int] = []
        self._games: dict[int, int] = {}
        self._lock = Lock()
        self.absent: list[str] = []
        self.games_in_order = pl.DataFrame()
        model = recipe.stages
        self.resolved = model is not None and (isinstance(model, StageColumn) or recipe.view == "resolved")
        self.n_stages = len(model.names) if model is not None else 1
        self.stage_bits = bits_for(self.n_stages) if model is not None and not self.resolved else 0
        self.field_bits = (GAME_KEY_BITS - self.stage_bits) // max(1, len(recipe.by))
        if not recipe.by:
            # without by-columns all games are known beforehand: a stage that nobody reached is a game too
            self._games = {stage: stage for stage in range(self.n_stages if self.stage_bits else 1)}

    @property
    def n_players(self) -> int:
        """Number of player codes given so far."""
        return len(self._bases) * (self.n_stages if self.resolved else 1)

    @property
    def n_games(self) -> int:
        """Number of games met so far."""
        return len(self._games)

    def intern_games(self, keys: Ints) -> npt.NDArray[np.int32]:
        """Number packed games in order of appearance."""
        if not self.recipe.by:
            return keys.astype(np.int32)
        distinct, inverse = np.unique(keys, return_inverse=True)
        with self._lock:
            codes = [self._games.setdefault(int(key), len(self._games)) for key in distinct]
        return np.array(codes, np.int32)[inverse]

    def _fields(self, kinds: Kinds, columns: tuple[str, ...]) -> Ints:
        """By-values of each kind, packed; columns that the table lacks are 0 (null)."""
        packed = np.zeros(len(kinds.codes), np.int64)
        names = [d.name for d in kinds.dictionaries]
        for place, column in enumerate(self.recipe.by):
            if column in columns:
                at = next(i for i, name in enumerate(names) if name == column and i > 0) if column in names[1:] else 0
                codes = kinds.codes[:, at].astype(np.int64)
                if len(codes) and int(codes.max()) >= 1 << self.field_bits:
                    raise ResourceError("too_many_games", f"column {column!r} has too many values to partition by")
                packed |= codes << (place * self.field_bits)
        return packed

    def _milestones(self, milestones: list[Milestone | None]) -> Milestones:
        types = list(dict.fromkeys(m.outcome for m in milestones if m is not None))
        values = self.outcomes.dictionaries[0].values
        assert values is not None
        of_code = np.array([types.index(v) if v in types else -1 for v in values], np.int64)
        return Milestones(
            of_code[self.outcomes.codes[:, 0]],
            np.array([-1 if m is None else types.index(m.outcome) for m in milestones], np.int64),
            np.array([1 if m is None else m.nth for m in milestones], np.int64),
            max(1, len(types)),
        )

    def _by_interaction(self, numbers: Mapping[str, int], other: int) -> Ints:
        """Number of each kind of touch, by its interaction; ``other`` for those not listed and for null."""
        at = [d.name for d in self.touches.dictionaries].index(INTERACTION)
        values = self.touches.dictionaries[at].values
        assert values is not None
        of_code = np.array([numbers.get(value, other) for value in values], np.int64)
        return of_code[self.touches.codes[:, at]]

    def absent_interactions(self) -> Iterator[tuple[str, str, list[str]]]:
        """Interactions that the recipe names and no touch has: the argument, the name, and the closest one met."""
        listed = self.recipe.lookback if isinstance(self.recipe.lookback, Mapping) else ()
        values = next((d.values for d in self.touches.dictionaries if d.name == INTERACTION), None)
        met = [] if values is None else values.drop_nulls().to_list()
        for argument, names in (("lookback", listed), ("prefer", self.recipe.prefer)):
            for name in names:
                if name != OTHERS and name not in met:
                    yield argument, name, difflib.get_close_matches(name, met, n=1)

    def plan(self, *, lookback: int | Mapping[str, int], max_gap: int, exponent: int, ticks: int) -> CutPlan:
        """How journeys are cut, with the names met so far (durations in ticks)."""
        recipe, model = self.recipe, self.recipe.stages
        codes = self.touches.codes
        names = [d.name for d in self.touches.dictionaries]
        at = [names.index(column) for column in recipe.player]
        for row in codes[len(self._base_of_kind) :, at]:
            self._base_of_kind.append(self._bases.setdefault(tuple(row.tolist()), len(self._bases)))
        self._check_players()
        target = [Milestone(recipe.target)] if recipe.target else []
        stages = stage_of_kind = None
        if isinstance(model, StageModel):
            walked = self._milestones(list(model.milestones))
            goal, stages = (self._milestones([*target]), walked) if self.resolved else (walked, None)
        else:
            goal = self._milestones([*target])
            if isinstance(model, StageColumn):
                stage = self.touches.dictionaries[names.index(STAGE)].values
                assert stage is not None
                place = np.array([model.names.index(v) if v in model.names else 0 for v in stage], np.int64)
                stage_of_kind = place[codes[:, names.index(STAGE)]]
        if isinstance(lookback, Mapping):
            lookback_of_kind = self._by_interaction(lookback, lookback.get(OTHERS, 0))
        else:
            lookback_of_kind = np.full(len(codes), lookback, np.int64)
        preference_of_kind = np.zeros(0, np.int64)
        if recipe.prefer:
            preference_of_kind = self._by_interaction({n: i for i, n in enumerate(recipe.prefer)}, NOT_PREFERRED)
        touch_only = [place for place, c in enumerate(recipe.by) if c not in self.in_outcomes]
        channels = self.touches.dictionaries[0].values
        assert channels is not None
        return CutPlan(
            goal=goal, stages=stages, stage_of_kind=stage_of_kind, n_stages=self.n_stages, stage_bits=self.stage_bits,
            player_of_kind=np.array(self._base_of_kind, np.int32),
            touch_game=self._fields(self.touches, self.in_touches),
            outcome_game=self._fields(self.outcomes, self.in_outcomes),
            touch_mask=sum(((1 << self.field_bits) - 1) << (p * self.field_bits) for p in touch_only),
            lookback_of_kind=lookback_of_kind, max_gap=max_gap, open_from=NEVER,
            preference_of_kind=preference_of_kind, max_touches=recipe.max_touches or 0,
            keep=recipe.after_conversion == "keep", repeats=REPEATS.index(recipe.repeats),
            exponent=exponent, ticks_per_second=ticks,
            channel_of_kind=channels.to_numpy(allow_copy=True)[codes[:, 0]] if len(codes) else np.zeros(0, object),
            intern_games=self.intern_games,
        )  # fmt: skip

    def _check_players(self) -> None:
        """Stop at more players than allowed; while reading, only the values of each column were counted."""
        limit, columns = self.recipe.max_players, self.recipe.player
        if len(self._bases) > limit:
            sizes = {d.name: len(d) - 1 for d in self.touches.dictionaries if d.name in columns}
            raise DataError(
                "too_many_players",
                f"more than {limit:,} distinct players: combinations of "
                f"{' and '.join(f'{column} ({sizes[column]:,} values)' for column in columns)}",
                hint=f"group their values, or raise max_players above {limit:,}",
                column=max(columns, key=sizes.__getitem__),
                limit=limit,
                found=len(self._bases),
            )

    def check_outcomes(self) -> None:
        """Check that what ends journeys occurs.

        Raises
        ------
        DataError
            ``no_target`` with the outcomes that do occur.
        """
        values = self.outcomes.dictionaries[0].values
        found = [] if values is None else [str(v) for v in values[1:]]
        model = self.recipe.stages
        if isinstance(model, StageModel):
            self.absent = [outcome for outcome in model.outcomes if outcome not in found]
        if isinstance(model, StageModel) and not self.resolved:
            if not set(model.outcomes) & set(found):
                raise _no_target(f"no milestone ({', '.join(model.outcomes)}) occurs in outcomes", found)
        elif self.recipe.target not in found:
            raise _no_target(f"the target {self.recipe.target!r} never occurs in outcomes", found)

    # names in order -----------------------------------------------------------------------------------------------
    def player_frame(self) -> pl.DataFrame:
        """Columns of every player, in the order of their codes."""
        dictionaries = {d.name: d for d in self.touches.dictionaries}
        bases = self.bases()
        columns: dict[str, pl.Series] = {}
        stages = self.n_stages if self.resolved else 1
        if self.resolved:
            assert self.recipe.stages is not None
            names = self.recipe.stages.names
            columns[STAGE] = pl.Series(STAGE, list(names) * len(bases), dtype=pl.Enum(names))
        for i, column in enumerate(self.recipe.player):
            values = dictionaries[column].values
            assert values is not None
            columns[column] = values.gather(np.repeat(bases[:, i], stages)).alias(column)
        return pl.DataFrame(columns)

    def game_frame(self) -> pl.DataFrame:
        """By-values and stage of every game, in the order of their codes."""
        keys = self.game_keys()
        shared = {d.name: d for d in (*self.touches.dictionaries[1:], *self.outcomes.dictionaries[1:])}
        by_keys = keys >> self.stage_bits
        columns = {}
        for place, column in enumerate(self.recipe.by):
            codes = (by_keys >> (place * self.field_bits)) & ((1 << self.field_bits) - 1)
            values = shared[column].values
            assert values is not None
            columns[column] = values.gather(codes).alias(column)
        if self.stage_bits:
            assert self.recipe.stages is not None
            names = self.recipe.stages.names
            stage = [names[key & ((1 << self.stage_bits) - 1)] for key in keys.tolist()]
            columns[STAGE] = pl.Series(STAGE, stage, dtype=pl.Enum(names))
        return pl.DataFrame(columns) if columns else pl.DataFrame({"__all": [0]}).select([])

    # names of a part, met elsewhere -------------------------------------------------------------------------------
    def bases(self) -> Ints:
        """Codes of the player columns' values by base, int64 [bases, columns]."""
        return np.array(list(self._bases), np.int64).reshape(-1, len(self.recipe.player))

    def game_keys(self) -> Ints:
        """Packed games in the order of their codes, int64 [games]."""
        return np.array(list(self._games), np.int64)

    def adopt(self, bases: Ints, game_keys: Ints, codes: Mapping[str, Ints]) -> tuple[Ints, Ints]:
        """Take over the players and games of a part of the data.

        Parameters
        ----------
        bases, game_keys : int64 arrays
            As the part has them.
        codes : mapping of str to int64 array
            By column, the part's codes of values to ours.

        Returns
        -------
        (players, games) : (int64 array, int64 array)
            Our codes of the part's players (from 0) and games.
        """
        ours = np.stack([codes[c][bases[:, i]] for i, c in enumerate(self.recipe.player)], axis=1)
        of_base = np.array([self._bases.setdefault(tuple(row), len(self._bases)) for row in ours.tolist()], np.int64)
        self._check_players()
        stages = self.n_stages if self.resolved else 1
        players = (of_base[:, None] * stages + np.arange(stages)).ravel()
        if not self.recipe.by:
            return players, np.arange(len(game_keys), dtype=np.int64)
        keys = game_keys & ((1 << self.stage_bits) - 1)
        for place, column in enumerate(self.recipe.by):
            shift = self.stage_bits + place * self.field_bits
            keys |= codes[column][(game_keys >> shift) & ((1 << self.field_bits) - 1)] << shift
        return players, self.intern_games(keys).astype(np.int64)

    def _seen_games(self, totals: Tally) -> Ints | None:
        """Games with a journey that counts: one met in open journeys only is no game."""
        return np.unique(totals.games) if self.recipe.by else None

    def tallies(self, sums: dict[Need, Tally], resampled: Units) -> Tallies:
        """Rename codes so that players and games count up in the order of the credit table."""
        players, player_codes = _in_order(self.player_frame())
        seen = self._seen_games(sums[Totals()])
        games, game_codes = _in_order(self.game_frame(), len(self._games), seen)
        self.games_in_order = games
        named = {}
        for need, tally in sums.items():
            if seen is not None and isinstance(need, Patterns):
                tally = tally.where(np.isin(tally.games, seen))  # noqa: PLW2901 - customers met in open journeys only
            named[need] = rename(tally, player_codes, game_codes)
        totals = named[Totals()]
        absent = tuple(c for c in self.recipe.by if c not in self.in_touches)
        has_nulls = bool(totals.counts("nulls").sum())
        return Tallies(players, games, resampled, named, with_units=False, no_nulls=absent if has_nulls else ())


def rename(tally: Tally, players: Ints, games: Ints) -> Tally:
    """Give the players (from 0) and games of a tally new codes, which may be more than there were."""
    player_map = np.concatenate([np.arange(FIRST_PLAYER), players + FIRST_PLAYER])
    bits = max(bits_for(max(len(player_map), int(player_map.max()) + 1)), tally.layout.bits)
    game_bits = max(bits_for(max(len(games), int(games.max(initial=0)) + 1)), tally.layout.game_bits)
    layout = replace(tally.layout, bits=bits, game_bits=game_bits)
    check_key_width(tally.need, layout, int(tally.units.max(initial=0)) + 1)
    return tally.recode(layout, _padded(player_map, bits), _padded(games, game_bits))


def _in_order(frame: pl.DataFrame, height: int = 1, seen: Ints | None = None) -> tuple[pl.DataFrame, Ints]:
    """Sort the rows seen (default: all) by the columns, nulls first; also the new row of every old one."""
    if not frame.width:
        return frame, np.arange(height, dtype=np.int64)
    rows = frame.with_row_index("__row") if seen is None else frame.with_row_index("__row")[seen]
    order = rows.sort(frame.columns, nulls_last=False, maintain_order=True)["__row"].to_numpy()
    place = np.zeros(frame.height, np.int64)
    place[order] = np.arange(len(order))
    return frame[order], place


def _padded(codes: Ints, bits: int) -> Ints:
    """Extend a code map to the full width of its field."""
    full = np.arange(1 << bits, dtype=np.int64)
    full[: len(codes)] = codes
    return full


def _no_target(what: str, found: list[str]) -> DataError:
    found = sorted(found)
    listed = ", ".join(repr(name) for name in found[:20]) or "none"
    return DataError("no_target", what, hint=f"outcomes that do: {listed}", found=found)
