"""The slow, obvious twin of the generator: one customer by thinning, every rate computed from the whole history.

Nothing is kept but the list of what has happened; `random.Random` draws. No `Later`, no recruits.
"""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta

from attrib.synth import OUTCOMES, STAGES, Population

MILESTONE = {"awareness": "visit", "consideration": "intent", "decision": "purchase", "loyalty": "purchase",
             "advocacy": "referral"}  # fmt: skip


class Customer:
    """One customer's latent traits and history."""

    def __init__(self, population: Population, rng: random.Random, start: datetime, days: float):
        self.p, self.rng, self.start, self.days = population, rng, start, days
        self.channels = {channel.name: channel for channel in population.channels}
        self.advocate = rng.random() < population.advocates
        self.shift = 0.8 if self.advocate else 0.0
        self.lasting = rng.gauss(0, 1)
        self.digital = rng.gauss(0, 1)
        self.arrival = days * rng.random()
        self.leaves = self.arrival + population.window * rng.expovariate(1)
        self.moods = [(self.arrival, rng.gauss(0, 1))]
        while self.moods[-1][0] < days:
            self.moods.append((self.moods[-1][0] + rng.expovariate(1 / population.wander_days), rng.gauss(0, 1)))
        self.history: list[tuple[float, str]] = []
        self.lifts: list[tuple[float, str, list[float]]] = []  # what each touch has added: time, channel, per stage
        self.stage = 0

    def month(self, t: float) -> int:
        return (self.start + timedelta(days=t)).month - 1

    def intent(self, t: float) -> float:
        mood = [mood for begins, mood in self.moods if begins <= t][-1]
        return self.shift + math.sqrt(1 - self.p.wander) * self.lasting + math.sqrt(self.p.wander) * mood

    def carryover(self, channel: str) -> float:
        return self.channels[channel].carryover or self.p.carryover

    def slow(self, t: float) -> float:
        return self.p.dormant if t >= self.leaves and STAGES[self.stage] not in ("loyalty", "advocacy") else 1.0

    def lift(self, stage: int, t: float) -> float:
        """Accumulated lift of a stage's milestone."""
        return sum(
            added[stage] * math.exp(-(t - then) / self.carryover(channel)) for then, channel, added in self.lifts
        )

    def rate(self, name: str, t: float) -> float:
        if name in self.channels:
            channel = self.channels[name]
            base = channel.exposure[self.stage] / 30 * self.slow(t)
            base *= math.exp(channel.intent * self.intent(t) + channel.digital * self.digital)
            base *= channel.months[self.month(t)] if channel.months else 1.0
            excess = 0.0
            for then, cause in self.history:
                effects = self.channels[cause].induces if cause in self.channels else channel.follows
                for effect in effects:
                    if name == getattr(effect, "channel", name) and cause == getattr(effect, "outcome", cause):
                        excess += effect.boost * math.exp(-(t - then) / effect.days)
            return base * (1 + excess)
        h = self.p.intent
        base = self.p.organic[self.stage][OUTCOMES.index(name)] * self.slow(t) * math.exp(h * (self.intent(t) - h / 2))
        base *= self.p.months[self.month(t)] if self.p.months else 1.0
        if name == "referral" and self.advocate:
            base *= self.p.enthusiasm
        return base * (1 + (self.lift(self.stage, t) if MILESTONE[STAGES[self.stage]] == name else 0.0))

    def touched(self, name: str, t: float) -> None:
        channel = self.channels[name]
        effect = channel.drift ** (t / 365)
        earlier = [then for then, what in self.history if what == name]
        effect /= 1 + channel.wearout * sum(math.exp(-(t - then) / self.carryover(name)) for then in earlier)
        for pair in self.p.pairs:
            for first, second in [(pair.first, pair.second)] + ([] if pair.ordered else [(pair.second, pair.first)]):
                before = [then for then, what in self.history if what == first]
                if name == second and before:
                    effect *= 1 + (pair.factor - 1) * math.exp(-(t - before[-1]) / self.carryover(first))
        room = [max(0.0, 1 - self.lift(stage, t) / self.p.saturation) for stage in range(len(STAGES))]
        self.lifts.append((t, name, [effect * lift * free for lift, free in zip(channel.lift, room, strict=True)]))

    def live(self) -> list[tuple[float, str]]:
        names = [*self.channels, *OUTCOMES]
        t = self.arrival
        while True:
            # All rates fall until something happens, or a mood, the window or a month ends.
            rates = [self.rate(name, t) for name in names]
            bound = sum(rates)
            changes = [begins for begins, _ in self.moods if begins > t] + ([self.leaves] if self.leaves > t else [])
            first = self.start + timedelta(days=t)
            after = datetime(first.year + first.month // 12, first.month % 12 + 1, 1)  # noqa: DTZ001
            until = min([*changes, (after - self.start) / timedelta(days=1), self.days])
            t += self.rng.expovariate(bound) if bound > 0 else math.inf
            if t >= until:
                t = until + 1e-6  # a moment later, when the change is there
                if t >= self.days:
                    return self.history
                continue
            rates = [self.rate(name, t) for name in names]
            if self.rng.random() * bound > sum(rates):
                continue
            name = self.rng.choices(names, rates)[0]
            if name in self.channels:
                self.touched(name, t)
            else:
                bought = name == "purchase" and any(what == "purchase" for _, what in self.history)
                reached = {"visit": 1, "intent": 2, "purchase": 4 if bought else 3, "referral": 4}[name]
                self.stage = max(self.stage, reached)
            self.history.append((t, name))


def histories(population: Population, customers: int, start: datetime, days: int, seed: int):
    rng = random.Random(seed)
    return [Customer(population, rng, start, days).live() for _ in range(customers)]
