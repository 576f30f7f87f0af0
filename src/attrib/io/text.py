"""Names from data, made safe to look at: in a terminal and in a spreadsheet."""

from __future__ import annotations

import re

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
