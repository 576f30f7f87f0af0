"""Models of the later stages: who is about to leave, who will recommend us, and what that is worth.

Names load on first use: they need the extra ``attrib[lifecycle]``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attrib.lifecycle.buying import BetaGeoNBD, GammaGamma
    from attrib.lifecycle.classifier import ChurnClassifier
    from attrib.lifecycle.drifting import drift
    from attrib.lifecycle.episodes import time_varying_rows
    from attrib.lifecycle.evaluation import evaluate_classifier, evaluate_survival, reliability
    from attrib.lifecycle.leaks import leak_report
    from attrib.lifecycle.lifetime import LifetimeValue, lifetime_value
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
    "ReferralLikelihood": "referral",
    "SavedModel": "storage",
    "SurvivalChurn": "survival",
    "calibration_at": "riskset",
    "cumulative_incidence": "riskset",
    "drift": "drifting",
    "evaluate_classifier": "evaluation",
    "evaluate_survival": "evaluation",
    "leak_report": "leaks",
    "lifetime_value": "lifetime",
    "load": "storage",
    "open_model": "storage",
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
    "ReferralLikelihood",
    "SavedModel",
    "SurvivalChurn",
    "calibration_at",
    "cumulative_incidence",
    "drift",
    "evaluate_classifier",
    "evaluate_survival",
    "leak_report",
    "lifetime_value",
    "load",
    "open_model",
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
