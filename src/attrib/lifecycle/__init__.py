"""Models of the later stages: who is about to leave, who will recommend us, and what that is worth.

Names load on first use: they need the extra ``lifecycle`` (in a clone: ``pip install ".[lifecycle]"``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attrib.lifecycle.acting.actions import NextActions, next_action
    from attrib.lifecycle.acting.deciding import decisions
    from attrib.lifecycle.acting.policy import policy_value
    from attrib.lifecycle.buying.choosing import PurchaseChoice, choose_purchase_model
    from attrib.lifecycle.buying.classes import purchases_by_frequency
    from attrib.lifecycle.buying.geometric import BetaGeoNBD, ModifiedBetaGeoNBD
    from attrib.lifecycle.buying.lifetime import LifetimeValue, lifetime_value
    from attrib.lifecycle.buying.order_values import GammaGamma
    from attrib.lifecycle.buying.pareto import ParetoNBD
    from attrib.lifecycle.buying.purchases import purchase_summary, silence
    from attrib.lifecycle.classifying.classifier import ChurnClassifier
    from attrib.lifecycle.classifying.referral import ReferralLikelihood
    from attrib.lifecycle.classifying.targets import referral_targets
    from attrib.lifecycle.contractual.episodes import time_varying_rows
    from attrib.lifecycle.contractual.incidence import cumulative_incidence
    from attrib.lifecycle.contractual.lifetime import contract_value
    from attrib.lifecycle.contractual.riskset import calibration_at
    from attrib.lifecycle.contractual.survival import SurvivalChurn
    from attrib.lifecycle.grouping.personas import Personas
    from attrib.lifecycle.judging.drifting import drift
    from attrib.lifecycle.judging.evaluation import evaluate_classifier, evaluate_survival, reliability
    from attrib.lifecycle.judging.leaks import leak_report
    from attrib.lifecycle.judging.metrics import Profit
    from attrib.lifecycle.saving.storage import SavedModel, load, open_model, save

_HOMES = {
    "BetaGeoNBD": "buying.geometric",
    "ChurnClassifier": "classifying.classifier",
    "GammaGamma": "buying.order_values",
    "LifetimeValue": "buying.lifetime",
    "ModifiedBetaGeoNBD": "buying.geometric",
    "NextActions": "acting.actions",
    "ParetoNBD": "buying.pareto",
    "Personas": "grouping.personas",
    "Profit": "judging.metrics",
    "PurchaseChoice": "buying.choosing",
    "ReferralLikelihood": "classifying.referral",
    "SavedModel": "saving.storage",
    "SurvivalChurn": "contractual.survival",
    "calibration_at": "contractual.riskset",
    "choose_purchase_model": "buying.choosing",
    "contract_value": "contractual.lifetime",
    "cumulative_incidence": "contractual.incidence",
    "decisions": "acting.deciding",
    "drift": "judging.drifting",
    "evaluate_classifier": "judging.evaluation",
    "evaluate_survival": "judging.evaluation",
    "leak_report": "judging.leaks",
    "lifetime_value": "buying.lifetime",
    "load": "saving.storage",
    "next_action": "acting.actions",
    "open_model": "saving.storage",
    "policy_value": "acting.policy",
    "purchase_summary": "buying.purchases",
    "purchases_by_frequency": "buying.classes",
    "referral_targets": "classifying.targets",
    "reliability": "judging.evaluation",
    "save": "saving.storage",
    "silence": "buying.purchases",
    "time_varying_rows": "contractual.episodes",
}

__all__ = [
    "BetaGeoNBD",
    "ChurnClassifier",
    "GammaGamma",
    "LifetimeValue",
    "ModifiedBetaGeoNBD",
    "NextActions",
    "ParetoNBD",
    "Personas",
    "Profit",
    "PurchaseChoice",
    "ReferralLikelihood",
    "SavedModel",
    "SurvivalChurn",
    "calibration_at",
    "choose_purchase_model",
    "contract_value",
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
    "purchases_by_frequency",
    "referral_targets",
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
