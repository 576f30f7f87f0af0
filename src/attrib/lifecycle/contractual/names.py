"""Models of survival by name, however callers write it."""

from __future__ import annotations

import difflib
from typing import Any

from attrib.errors import SpecError, brief
from attrib.io.text import clean

MODELS = ("cox", "time_varying_cox", "weibull", "lognormal", "kaplan_meier", "aalen_johansen")
CURVES = ("kaplan_meier", "aalen_johansen")  # one for all customers, without features
_ALSO = {
    "coxph": "cox",
    "coxproportionalhazards": "cox",
    "proportionalhazards": "cox",
    "coxtimevarying": "time_varying_cox",
    "timevarying": "time_varying_cox",
    "weibullaft": "weibull",
    "lognormalaft": "lognormal",
    "lognorm": "lognormal",
    "km": "kaplan_meier",
    "aj": "aalen_johansen",
    "competingrisks": "aalen_johansen",
    "competingrisk": "aalen_johansen",
}


def model_name(name: Any) -> str:
    """Return the name of a model in `MODELS`: case, hyphens and blanks do not matter, and names of lifelines will do.

    Raises
    ------
    SpecError
        ``bad_parameter``.

    Examples
    --------
    >>> [model_name(name) for name in ("Log-Normal", "CoxPHFitter", "competing risks")]
    ['lognormal', 'cox', 'aalen_johansen']
    """
    known = {model.replace("_", ""): model for model in MODELS} | _ALSO
    plain = "".join(c for c in name.lower() if c.isalnum()).removesuffix("fitter") if isinstance(name, str) else ""
    if plain in known:
        return known[plain]
    near = [known[close] for close in difflib.get_close_matches(plain, known, n=1)]
    raise SpecError(
        "bad_parameter",
        f"model = {clean(brief(name), 80)} is not one of {', '.join(MODELS)}",
        hint=f"did you mean {near[0]!r}?" if near else "",
    )
