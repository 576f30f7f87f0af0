"""Names from data, made safe to look at: in a terminal and in a spreadsheet."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence

# Control characters (C0, DEL, C1), line and paragraph separators, the marks that turn the reading
# direction, and lone surrogates: none of them is visible, each of them can rewrite what is.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

# The same rules in the regex dialect of polars, for whole columns at once. A spreadsheet skips leading
# blanks before it looks for a formula, and some also take the full-width forms of the four signs.
CSV_FORMULA = r"^(?:[\t\r]|[\s\p{Cc}\p{Cf}]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20\t\r])"
CSV_CONTROL = r"[\x00-\x09\x0b-\x1f\x7f-\x9f]"
REPLACEMENT = "\ufffd"


def clean(text: object, width: int | None = None) -> str:
    r"""Make any text one harmless line for a terminal.

    Parameters
    ----------
    text : object
        What to show, usually a name out of the data.
    width : int, optional
        Longer text is cut to this many characters, the last one being an ellipsis.

    Returns
    -------
    str
        The text with each control character replaced by U+FFFD.

    Examples
    --------
    >>> clean("paid\x1b[2Jsearch")
    'paid�[2Jsearch'
    >>> clean("a very long channel name", width=8)
    'a very …'
    """
    line = _INVISIBLE.sub(REPLACEMENT, str(text))
    return line if width is None or len(line) <= width else line[: max(width - 1, 0)] + "…"


def clean_lines(text: object, width: int | None = None) -> str:
    r"""Like :func:`clean`, but line feeds stay: for messages of several lines, each cut to ``width``.

    Examples
    --------
    >>> clean_lines("two\nlines\x07")
    'two\nlines�'
    """
    return "\n".join(clean(line, width) for line in str(text).split("\n"))


def width_of(text: str) -> int:
    """Places that a line takes in a terminal: a Chinese sign two, an accent of its own none.

    Examples
    --------
    >>> width_of("mail"), width_of("\u793e\u4ea4"), width_of("e\u0301")
    (4, 4, 1)
    """
    return len(text) if text.isascii() else sum(map(_places, text))


def _places(sign: str) -> int:
    if unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def shorten(text: str, width: int) -> str:
    """Cut a line to so many places, in the middle: names of one kind begin alike and differ at their ends.

    Examples
    --------
    >>> shorten("paid_search_brand_germany", 15), shorten("mail", 15)
    ('paid_se…germany', 'mail')
    """
    if width_of(text) <= width:
        return text
    room = max(width - 1, 0)
    head = _beginning(text, room - room // 2)
    tail = _beginning(text[::-1], room // 2)[::-1]
    while tail and not _places(tail[0]):  # an accent whose letter was cut away
        tail = tail[1:]
    return f"{head}…{tail}" if width > 0 else ""


def _beginning(text: str, room: int) -> str:
    for at, sign in enumerate(text):
        room -= _places(sign)
        if room < 0:
            return text[:at]
    return text


def spell(names: Sequence[object], width: int | None = None, beside: Sequence[str] = ()) -> list[str]:
    r"""Make names harmless, and short, so that no two of them look alike.

    Parameters
    ----------
    names : sequence of object
        Names out of the data; a tuple is one of several parts, None is no name.
    width : int, optional
        Places that each may take, see :func:`shorten`.
    beside : sequence of str
        Lines of ours that stand beside them, which no name may look like.

    Returns
    -------
    list of str
        One a name. Where two would look alike, both stand in quotes, with what is unusual in them escaped; where
        they do so still, for they are long and differ in the middle, that place is shown; at last they are numbered.

    Examples
    --------
    >>> spell(["seo", ("ad", None), "seo "])
    ['"seo"', 'ad · –', '"seo "']
    >>> spell(["campaign spring 2025 shoes in blue", "campaign autumn 2025 shoes in blue"], 18)
    ['c… spring …in blue', 'c… autumn …in blue']
    """
    every = [name if isinstance(name, tuple) else (name,) for name in names]
    whole = [" · ".join("–" if part is None else clean(part) for part in parts) for parts in every]
    for at in _alike([*whole, *beside], [*every, *range(len(beside))], len(every)):
        whole[at] = " · ".join("–" if part is None else json.dumps(str(part)) for part in every[at])
    if width is None:
        return whole
    short = [shorten(name, width) for name in whole]
    for group in _groups(short, every):
        for at, name in zip(group, _apart([whole[at] for at in group], width), strict=True):
            short[at] = name
    left = [at for group in _groups(short, every) for at in group]
    for number, at in enumerate(left, start=1):
        mark = f"#{number} "
        short[at] = mark + shorten(whole[at], max(width - len(mark), 0))
    return short


def _look(text: str) -> str:
    """What the eye sees of a line: without signs that take no place, and with blanks as one."""
    visible = "".join(sign for sign in unicodedata.normalize("NFC", text) if unicodedata.category(sign) != "Cf")
    return " ".join(visible.split())


def _groups(shown: Sequence[str], names: Sequence[object]) -> list[list[int]]:
    """Places of different names that look alike."""
    found: dict[str, list[int]] = {}
    for at, text in enumerate(shown):
        found.setdefault(_look(text), []).append(at)
    return [group for group in found.values() if len({names[at] for at in group}) > 1]


def _alike(shown: Sequence[str], names: Sequence[object], most: int) -> list[int]:
    blank = [at for at, text in enumerate(shown) if not _look(text)]  # what is not seen at all
    return [at for at in {*blank, *(at for group in _groups(shown, names) for at in group)} if at < most]


def _apart(names: Sequence[str], width: int) -> list[str]:
    """Show of long names what stands where they begin to differ."""
    least = min(map(len, names))
    first = next((at for at in range(least) if len({name[at] for name in names}) > 1), least)
    begin = max(first - 1, 1)
    return [f"{name[:1]}…{shorten(name[begin:], max(width - width_of(name[:1]) - 1, 0))}" for name in names]
