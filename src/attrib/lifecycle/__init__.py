"""Models of the later stages: who is about to leave, who will recommend us, and what that is worth.

Names load on first use: they need the extra ``attrib[lifecycle]``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attrib.lifecycle.actions import NextActions, next_action
    from attrib.lifecycle.buying import BetaGeoNBD, GammaGamma
    from attrib.lifecycle.classifier import ChurnClassifier
    from attrib.lifecycle.deciding import decisions
    from attrib.lifecycle.drifting import drift
    from attrib.lifecycle.episodes import time_varying_rows
    from attrib.lifecycle.evaluation import evaluate_classifier, evaluate_survival, reliability
    from attrib.lifecycle.leaks import leak_report
    from attrib.lifecycle.lifetime import LifetimeValue, lifetime_value
    from attrib.lifecycle.personas import Personas
    from attrib.lifecycle.policy import policy_value
    from attrib.lifecycle.purchases import purchase_summary, silence
    from attrib.lifecycle.referral import ReferralLikelihood
    from attrib.lifecycle.riskset import calibration_at, cumulative_incidence
    from attrib.lifecycle.storage import SavedModel, load, open_model, save
    from attrib.lifecycle.survival import SurvivalChurn

_HOMES = {
    "BetaGeoNBD": "buying",
    "ChurnClassifier": "classifier",
    "GammaGamma": "buying",
    "LifetimeValue": "lifetime",
    "NextActions": "actions",
    "Personas": "personas",
    "ReferralLikelihood": "referral",
    "SavedModel": "storage",
    "SurvivalChurn": "survival",
    "calibration_at": "riskset",
    "cumulative_incidence": "riskset",
    "decisions": "deciding",
    "drift": "drifting",
    "evaluate_classifier": "evaluation",
    "evaluate_survival": "evaluation",
    "leak_report": "leaks",
    "lifetime_value": "lifetime",
    "load": "storage",
    "next_action": "actions",
    "open_model": "storage",
    "policy_value": "policy",
    "purchase_summary": "purchases",
    "reliability": "evaluation",
    "save": "storage",
    "silence": "purchases",
    "time_varying_rows": "episodes",
}

__all__ = [
    "BetaGeoNBD",
    "ChurnClassifier",
    "GammaGamma",
    "LifetimeValue",
    "NextActions",
    "Personas",
    "ReferralLikelihood",
    "SavedModel",
    "SurvivalChurn",
    "calibration_at",
    "cumulative_incidence",
    "decisions",
    "drift",
    "evaluate_classifier",
    "evaluate_survival",
    "leak_report",
    "lifetime_value",
    "load",
    "next_action",
    "open_model",
    "policy_value",
    "purchase_summary",
    "reliability",
    "save",
    "silence",
    "time_varying_rows",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'attrib.lifecycle' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"attrib.lifecycle.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
