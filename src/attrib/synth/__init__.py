"""Seeded, realistic customer journeys: for the demo, tests, benchmarks and experiments.

Importing this package loads no compiler; numba is imported when the first customer is generated.
"""

from __future__ import annotations

from attrib.synth.config import CHANNELS, OUTCOMES, STAGES, Channel, Population
from attrib.synth.counterfactuals import Counterfactual, Increments, counterfactual
from attrib.synth.files import write
from attrib.synth.generator import Synthetic, batches, generate
from attrib.synth.intents import intents
from attrib.synth.later import Later
from attrib.synth.mechanisms import Follows, Induces, Observation, Pair
from attrib.synth.scenarios import SCENARIOS, Scenario, scenario
from attrib.synth.truths import Truth, truth

__all__ = [
    "CHANNELS",
    "OUTCOMES",
    "SCENARIOS",
    "STAGES",
    "Channel",
    "Counterfactual",
    "Follows",
    "Increments",
    "Induces",
    "Later",
    "Observation",
    "Pair",
    "Population",
    "Scenario",
    "Synthetic",
    "Truth",
    "batches",
    "counterfactual",
    "generate",
    "intents",
    "scenario",
    "truth",
    "write",
]
