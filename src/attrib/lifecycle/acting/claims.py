"""What the changes that `next_action` names may be taken for: a ranking, or an effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from attrib.errors import SpecError, brief, warn
from attrib.lifecycle.acting.deciding import ACTION, ADVANCED, AFTER_GAP, SINCE
from attrib.lifecycle.acting.lot import chosen_by, told
from attrib.lifecycle.acting.policy import Log, read_actions, read_log
from attrib.lifecycle.base.beside import read_flags
from attrib.schemas import CUSTOMER, DATE, STAGE, require_columns

RANKING = "ranking, not causal"
RANDOMISED = "causal: actions were randomised"
LOGGED = "causal: propensities were logged"


def read_decisions(past: pl.DataFrame, propensity: Any, randomised: Any) -> tuple[Log, str]:
    """Read what was done, with its chances where they are known, and what may be claimed of it.

    Raises
    ------
    SpecError
        ``bad_parameter``.
    DataError
        Those of `read_log`.

    Warns
    -----
    AttribWarning
        Where the rows do not bear the causal claim asked for.
    """
    if not isinstance(randomised, bool):
        raise SpecError("bad_parameter", f"randomised = {brief(randomised)} is not True or False")
    if isinstance(propensity, str):
        require_columns("decisions", past.columns, [propensity], hint="propensity must name a column of decisions")
        propensity = past[propensity]
    names, taken = read_actions(past[ACTION])
    advanced = read_flags(ADVANCED, past[ADVANCED], past.height)
    claim = LOGGED if propensity is not None else RANDOMISED if randomised else RANKING
    if claim != RANKING and SINCE in past.columns:
        cut = past.select((pl.col(SINCE) == AFTER_GAP).sum()).item()
        if cut:
            claim = RANKING
            warn(
                f"no causal claim is made: {cut:,} of {past.height:,} decisions leave out who advanced within the "
                "decision window, which the action may have brought about; make them with "
                "attrib.decisions(…, randomised=[…]) and the names of the channels that were sent by lot"
            )
    if propensity is None:  # by lot: each action's share; not known otherwise, and then not used
        propensity = (np.bincount(taken, minlength=len(names)) / len(taken))[taken]
    return read_log(past[ACTION], advanced, propensity, past[CUSTOMER]), claim


def claim_unless_chosen(claim: str, past: pl.DataFrame, log: Log, named: list[str]) -> str:
    """The causal claim, unless actions depend on what was known, or on the date, beyond their chances."""
    known = list(dict.fromkeys([*named, *(name for name in (STAGE, DATE) if name in past.columns)]))
    found = chosen_by(past.select(known), log.taken, log.chance, log.codes)
    if not found:
        return claim
    hint = (
        "where each date, or each group, had chances of its own, give them as propensity="
        if claim == RANDOMISED
        else "look at how the chances were logged"
    )
    warn(f"no causal claim is made: which customers got which action depends on {told(found)}; {hint}")
    return RANKING
