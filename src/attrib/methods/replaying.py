"""Customers live again at rates that an estimator tells: in the worlds of a game, many at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from attrib.hazards.estimators import Hazards
from attrib.kernels import periods as kernel
from attrib.kernels import thinning
from attrib.kernels.periods import Design, Known
from attrib.methods.histories import Setting

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
BLOCK = 100  # customers whose stretches are looked at together


@dataclass(frozen=True, slots=True)
class Replay:
    """Some customers, who live again: who, whose touches the log has of them, what it counts; and how many draws."""

    seed: np.uint64
    setting: Setting
    design: Design
    known: Known
    model: Hazards
    customers: Ints
    fired: npt.NDArray[np.bool_]
    worth: Floats
    draws: int

    def points(self) -> thinning.Points:
        """Points that may be events, given the log: of all customers in the first draw, then in the next."""
        lives, stakes = self.setting.lives, self.setting.stakes
        cut, rates = [], []
        for at in range(0, len(self.customers), BLOCK):
            rows, x = kernel.cut(
                self.seed, lives, stakes, self.design, self.known, self.customers[at : at + BLOCK], 1.0
            )
            cut.append(rows)
            rates.append(self.model.rates(x, rows.stage))
        rows = kernel.Stretches(*(np.concatenate(column) for column in zip(*cut, strict=True)))
        drawn = [
            thinning.scatter(
                self.seed, lives, stakes, self.design, self.customers, rows, np.concatenate(rates),
                self.model.cap.max(axis=1), draw,
            )
            for draw in range(self.draws)
        ]  # fmt: skip
        before = np.cumsum([0, *(points.offsets[-1] for points in drawn)])
        offsets = [points.offsets[:-1] + low for points, low in zip(drawn, before[:-1], strict=True)]
        columns = zip(*(points[1:] for points in drawn), strict=True)
        return thinning.Points(np.concatenate([*offsets, before[-1:]]), *(np.concatenate(one) for one in columns))

    def worlds(self, place: Ints) -> thinning.Worlds:
        """Worlds of customers by their places, with everybody on."""
        R, n = len(place), self.setting.stakes.players
        P = len(self.model.cap)
        zeros, whole = np.zeros(R), np.zeros(R, np.int64)
        return thinning.Worlds(
            self.customers[place % len(self.customers)], place, np.ones((R, n), np.bool_), zeros, whole,
            np.zeros((R, P, len(self.design.decay))), np.zeros((R, P)), whole.copy(), whole.copy(),
            np.zeros((R, n), np.bool_), np.zeros((R, self.setting.stakes.games, 2)),
        )  # fmt: skip

    def live(self, points: thinning.Points, rows: Ints, worlds: thinning.Worlds) -> None:
        """Live some of the worlds to the end."""
        lives, stakes, cap = self.setting.lives, self.setting.stakes, self.model.cap
        thinning.begin(lives, stakes, self.design, points, rows, worlds)
        P, S = cap.shape
        x = np.empty((len(rows), kernel.features_of(self.design, S, P, self.known.values.shape[1])))
        wanted = np.empty((len(rows), P), np.bool_)
        rows = rows.copy()
        while True:
            n = thinning.ask(lives, stakes, self.design, self.known, points, cap, rows, worlds, x, wanted)
            if n == 0:
                return
            rows = rows[:n]
            rates = self.model.rates(x[:n], worlds.stage[rows], wanted[:n])
            thinning.settle(lives, stakes, self.design, points, rates, rows, worlds)

    def shared(self) -> Floats:
        """What players add to those before them in an order and its reverse, half each: [draws, customers, n, G, 2]."""
        C, n = self.fired.shape
        keys = self.setting.stakes.key[self.customers]
        order = np.concatenate([thinning.orders(self.seed, keys, n, draw) for draw in range(self.draws)])
        order = np.stack([order, order[:, ::-1]], axis=1).reshape(-1, n)  # players leave one after the other
        place = np.repeat(np.arange(self.draws * C), 2)
        points, worlds, every = self.points(), self.worlds(place), np.arange(len(place))
        worth, used = self.worth[place % C], self.fired[place % C]
        out = np.zeros((self.draws * C, n, *worth.shape[1:]))
        for step in range(n):
            player = order[:, step]
            worlds.on[every, player] = False
            rows = np.flatnonzero(used[every, player])
            self.live(points, rows, worlds)
            np.add.at(out, (place[rows], player[rows]), 0.5 * (worth[rows] - worlds.worth[rows]))
            worth[rows], used[rows] = worlds.worth[rows], worlds.fired[rows]
        return out.reshape(self.draws, C, n, *worth.shape[1:])

    def removed(self) -> Floats:
        """What is lost with one player gone and all others there: [draws, customers, n, G, 2]."""
        C, n = self.fired.shape
        place, player = np.nonzero(np.tile(self.fired, (self.draws, 1)))
        worlds, rows = self.worlds(place), np.arange(len(place))
        worlds.on[rows, player] = False
        self.live(self.points(), rows, worlds)
        out = np.zeros((self.draws * C, n, *self.worth.shape[1:]))
        out[place, player] = self.worth[place % C] - worlds.worth
        return out.reshape(self.draws, C, n, *self.worth.shape[1:])
