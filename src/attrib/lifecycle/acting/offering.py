"""Which channels there are to choose from: what can be sent is an action, what customers do by themselves is none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from attrib.arguments import distinct_names
from attrib.errors import DataError, warn
from attrib.io.text import clean
from attrib.lifecycle.acting.policy import NOTHING

# names under which analytics tools and CRMs file visits that nobody caused by an action
_UNSENDABLE = frozenset({
    "direct", "none", "not_set", "organic", "referral", "seo", "type_in", "unassigned", "unknown", "word_of_mouth",
})  # fmt: skip


def candidates(actions: Sequence[str], channels: Sequence[str] | None) -> list[str]:
    """Find the channels that are ranked: those named, or all that were ever an action.

    Raises
    ------
    DataError
        ``no_actions``.

    Warns
    -----
    AttribWarning
        Where channels that nobody can send are among them, or one looks like a misspelt one.
    """
    known = [name for name in actions if name != NOTHING]
    chosen = known
    if channels is not None:
        chosen = [name for name in distinct_names("channels", channels, "channels") if name != NOTHING]
    if not chosen:
        raise DataError("no_actions", "there is no channel to choose from", hint="decisions with touches, or channels")
    if channels is None:
        odd = [name for name in known if is_unsendable(name)]
        if odd:
            rest = _listed(set(known) - set(odd))
            warn(
                f"all {len(known)} channels of the decisions are ranked, {_listed(odd)} among them, over which "
                f"customers come by themselves: name those that you can act with, channels=[{rest}]"
            )
    for name in sorted(set(chosen) - set(known)):
        near = get_close_matches(name, known, n=1, cutoff=0.7)
        meant = f"did you mean {clean(near[0], 80)!r}?" if near else f"their actions are {_listed(known) or 'none'}"
        warn(f"channels: {clean(name, 80)!r} is in no decision, so nothing can be said of it; {meant}")
    return chosen


def is_unsendable(channel: str) -> bool:
    """Whether customers come over a channel of this name by themselves, so that it cannot be an action.

    Examples
    --------
    >>> [name for name in ("Organic Search", "(direct)", "Mail", "word-of-mouth") if is_unsendable(name)]
    ['Organic Search', '(direct)', 'word-of-mouth']
    """
    words = re.sub(r"[^a-z]+", "_", channel.lower()).strip("_")
    return words in _UNSENDABLE or words.startswith("organic_")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(clean(name, 80)) for name in sorted(names)[:10])
