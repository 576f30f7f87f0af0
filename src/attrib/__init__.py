"""attrib: channel credit per stage of the customer journey, and with what certainty.

Names load on first use, so that ``import attrib`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attrib import lifecycle, synth
    from attrib.analyses.adjusted import AdjustedCredit, referral_adjusted, retention_adjusted
    from attrib.analyses.calibrate import Calibrated, calibrate
    from attrib.analyses.compare import Comparison, compare
    from attrib.analyses.interactions import interactions
    from attrib.analyses.order import choose_order
    from attrib.analyses.positions import positions
    from attrib.analyses.removal import removal
    from attrib.analyses.spend import spend
    from attrib.analyses.touches import journey_credit
    from attrib.crediting import credit
    from attrib.engines.local import LocalEngine
    from attrib.engines.spark import SparkEngine
    from attrib.errors import AttribError, AttribWarning, DataError, RejectedError, ResourceError, SolveError, SpecError
    from attrib.io.sources import InlineOutcome
    from attrib.journeys import Journeys
    from attrib.lifecycle.acting.actions import next_action
    from attrib.lifecycle.acting.deciding import decisions
    from attrib.lifecycle.acting.policy import policy_value
    from attrib.lifecycle.grouping.personas import personas
    from attrib.methods import (
        METHODS,
        AdditiveHazard,
        BaggedLogistic,
        CustomWeights,
        FirstTouch,
        Incremental,
        LastNonDirect,
        LastTouch,
        Linear,
        Markov,
        PositionBased,
        ShaoLi,
        Shapley,
        TimeDecay,
    )
    from attrib.snapshots.snapshot import snapshot
    from attrib.snapshots.split import SnapshotSplit
    from attrib.stages import STAGES, Milestone, Stage, StageColumn, StageModel

_HOMES = {
    "attrib.analyses.adjusted": ("AdjustedCredit", "referral_adjusted", "retention_adjusted"),
    "attrib.analyses.calibrate": ("Calibrated", "calibrate"),
    "attrib.analyses.compare": ("Comparison", "compare"),
    "attrib.analyses.interactions": ("interactions",),
    "attrib.analyses.positions": ("positions",),
    "attrib.analyses.touches": ("journey_credit",),
    "attrib.analyses.spend": ("spend",),
    "attrib.analyses.order": ("choose_order",),
    "attrib.analyses.removal": ("removal",),
    "attrib.crediting": ("credit",),
    "attrib.engines.local": ("LocalEngine",),
    "attrib.engines.spark": ("SparkEngine",),
    "attrib.errors": (
        "AttribError", "AttribWarning", "DataError", "RejectedError", "ResourceError", "SolveError", "SpecError",
    ),
    "attrib.io.sources": ("InlineOutcome",),
    "attrib.journeys": ("Journeys",),
    "attrib.lifecycle.acting.actions": ("next_action",),
    "attrib.lifecycle.acting.deciding": ("decisions",),
    "attrib.lifecycle.grouping.personas": ("personas",),
    "attrib.lifecycle.acting.policy": ("policy_value",),
    "attrib.methods": (
        "METHODS", "AdditiveHazard", "BaggedLogistic", "CustomWeights", "FirstTouch", "Incremental", "LastNonDirect",
        "LastTouch", "Linear", "Markov", "PositionBased", "ShaoLi", "Shapley", "TimeDecay",
    ),
    "attrib.snapshots.snapshot": ("snapshot",),
    "attrib.snapshots.split": ("SnapshotSplit",),
    "attrib.stages": ("STAGES", "Milestone", "Stage", "StageColumn", "StageModel"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("errors", "experiment", "job", "lifecycle", "methods", "modelling", "stages", "synth", "testing")

__all__ = [
    "METHODS",
    "STAGES",
    "AdditiveHazard",
    "AdjustedCredit",
    "AttribError",
    "AttribWarning",
    "BaggedLogistic",
    "Calibrated",
    "Comparison",
    "CustomWeights",
    "DataError",
    "FirstTouch",
    "Incremental",
    "InlineOutcome",
    "Journeys",
    "LastNonDirect",
    "LastTouch",
    "Linear",
    "LocalEngine",
    "Markov",
    "Milestone",
    "PositionBased",
    "RejectedError",
    "ResourceError",
    "ShaoLi",
    "Shapley",
    "SnapshotSplit",
    "SolveError",
    "SparkEngine",
    "SpecError",
    "Stage",
    "StageColumn",
    "StageModel",
    "TimeDecay",
    "calibrate",
    "choose_order",
    "compare",
    "credit",
    "decisions",
    "interactions",
    "journey_credit",
    "lifecycle",
    "next_action",
    "personas",
    "policy_value",
    "positions",
    "referral_adjusted",
    "removal",
    "retention_adjusted",
    "snapshot",
    "spend",
    "synth",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"attrib.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        value = version("attrib")
    else:
        raise AttributeError(f"module 'attrib' has no attribute {name!r}{_instead_of(name)}")
    globals()[name] = value
    return value


def _instead_of(name: str) -> str:
    """A method that others call so, or the name of ours that is spelled nearly alike."""
    from difflib import get_close_matches

    if name[:1].isupper():  # a class: modules are asked for here, too, when they are imported, and shall load nothing
        from attrib.methods import METHODS
        from attrib.methods.elsewhere import named_here

        if ours := named_here(name):
            return f"; did you mean {METHODS[ours].__name__}?"
    near = get_close_matches(name, __all__, n=1, cutoff=0.8)
    return f"; did you mean {near[0]}?" if near else ""


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES, "__version__"})
