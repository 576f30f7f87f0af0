"""Seeded, realistic customer journeys: for the demo, tests, benchmarks and experiments.

Importing this package loads no compiler; numba is imported when the first customer is generated.
"""

from __future__ import annotations

from attrib.synth.config import CHANNELS, OUTCOMES, STAGES, Channel, Population
from attrib.synth.counterfactual import Counterfactual, Increments, counterfactual
from attrib.synth.files import write
from attrib.synth.generator import Synthetic, batches, generate
from attrib.synth.later import Later
from attrib.synth.truths import Truth, truth

__all__ = [
    "CHANNELS",
    "OUTCOMES",
    "STAGES",
    "Channel",
    "Counterfactual",
    "Increments",
    "Later",
    "Population",
    "Synthetic",
    "Truth",
    "batches",
    "counterfactual",
    "generate",
    "truth",
    "write",
]
