"""What other packages and tools call the methods: for those who ask for one by that name."""

from __future__ import annotations

import re
from difflib import get_close_matches

CALLED = {
    "first_touch": ("first", "first_click", "first_interaction", "first_visit", "initial_touch", "acquisition"),
    "last_touch": ("last", "last_click", "last_interaction", "last_visit", "final_touch", "final_click"),
    "last_non_direct": (
        "last_non_direct_click", "last_non_direct_touch", "last_indirect", "last_indirect_click", "non_direct",
        "last_paid_click", "lndc", "last_nondirect",
    ),
    "linear": ("uniform", "even", "equal", "equal_weight", "equal_weights", "evenly", "average", "constant", "flat"),
    "position_based": (
        "u_shaped", "u_shape", "ushaped", "position", "bathtub", "bath_tub", "40_20_40", "first_last", "endpoints",
        "reverse_j_shaped", "j_shaped",
    ),
    "time_decay": ("exponential", "exponential_decay", "decay", "decaying", "half_life", "time_weighted", "recency"),
    "custom_weights": (
        "w_shaped", "w_shape", "wshaped", "z_shaped", "z_shape", "full_path", "custom", "own_weights", "weighted",
        "30_30_30_10",
    ),
    "markov": ("markov_chain", "markov_chains", "markov_model", "removal_effect", "removal_effects", "graph"),
    "shapley": (
        "data_driven", "dda", "algorithmic", "shapley_value", "shapley_values", "shap", "game_theory",
        "cooperative_game",
    ),
    "shao_li": ("probabilistic", "simple_probabilistic", "shao_and_li", "probability"),
    "bagged_logistic": ("logistic", "logistic_regression", "regression", "bagging", "bagged_logistic_regression"),
    "additive_hazard": ("hazard", "survival", "additive_hazards", "survival_analysis"),
    "incremental": ("incrementality", "causal", "uplift", "lift", "counterfactual"),
}  # fmt: skip
_FILLING = ("attribution", "model", "rule", "method", "mta")
_TOUCHES = ("touch", "touches", "click", "clicks", "touchpoint", "multi", "multitouch", "weighted", "chain", "chains")
_OURS = {theirs: ours for ours, names in CALLED.items() for theirs in names}


def named_here(name: object) -> str | None:
    """What we call a method that other tools give a name, or that is nearly spelled as ours; None if there is none.

    Examples
    --------
    >>> named_here("U-shaped"), named_here("LastClick"), named_here("markov"), named_here("shaply"), named_here("zzz")
    ('position_based', 'last_touch', 'markov', 'shapley', None)
    """
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).lower()
    words = [word for word in re.sub(r"[-_\s]+", " ", text).split() if word not in _FILLING]
    for some in (words, [word for word in words if word not in _TOUCHES]):  # linear_touch is linear, last_touch is not
        plain = "_".join(some)
        ours = _OURS.get(plain, plain)
        if ours in CALLED:
            return ours
    near = get_close_matches("_".join(words), [*CALLED, *_OURS], n=1, cutoff=0.8)
    return _OURS.get(near[0], near[0]) if near else None


def called_elsewhere(name: object) -> str:
    """Return ``"; did you mean x?"`` for a name that other tools give a method, or nothing.

    Examples
    --------
    >>> called_elsewhere("U-shaped"), called_elsewhere("last-click attribution"), called_elsewhere("linear_touch")
    ('; did you mean position_based?', '; did you mean last_touch?', '; did you mean linear?')
    >>> called_elsewhere("zzz")
    ''
    """
    ours = named_here(name)
    return "" if ours is None or ours == name else f"; did you mean {ours}?"
