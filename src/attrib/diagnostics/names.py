"""Names that a person would take for one, and a program for several."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from attrib.diagnostics.finding import Finding

MOST_NAMES = 20_000  # of a column: more of them are ids or addresses, which nobody spells by hand
MOST_SHOWN = 4
WORD = 4  # letters: shorter names are codes, whose signs and digits matter

# Letters of other scripts that look like Latin ones, case folded; out of the confusables of Unicode (UTS #39).
_CYRILLIC = dict(zip("авекмнорстухіѕјһԁԛԝ", "abekmhopctyxisjhdqw", strict=True))
_GREEK = dict(zip("αβεζηικμνορτυχω", "abezhikmvoptyxw", strict=True))
_OTHERS = {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ɑ": "a", "ɡ": "g", "օ": "o", "ս": "u", "ß": "ss"}
_LOOK_ALIKE = str.maketrans({**_CYRILLIC, **_GREEK, **_OTHERS})
_SIGNS = re.compile(r"[\s_()\[\]\-\u2010-\u2015\u2212\u00b7\"'`´‘’“”«»]+")
_MINUS = re.compile(r"(?:(?<=\s)|^)-(?=\d)")  # a number below 0
_BLANKS = re.compile(r"(?<!\d) | (?!\d)")  # those that do not part numbers
_ACCENTED = ("LATIN", "GREEK", "ARABIC", "HEBREW")
_VIETNAMESE = ("\u031b", "\u0309", "\u0323")  # the horn, the hook and the dot below
_CAPITAL_I = re.compile(r"(?<=[a-z])I(?=[a-z]|$)")
_DIGIT = re.compile(r"(?<=[a-z])[01]+(?=[a-z])|(?<=[a-z]{3})[01]$|^[01](?=[a-z]{3})")
_LETTERS = tuple(str.maketrans("01", "o" + one) for one in "li")
_L_FOR_I = re.compile(r"(?:(?<=[b-df-hj-np-tv-xz])|^)l(?=[b-df-hj-km-np-tv-xz])")  # no word has such an l


def skeletons(name: str) -> tuple[str, ...]:
    r"""Texts of which the first is equal for names that differ only by how they are written.

    Left out are case, the form of Unicode, accents, invisible characters, signs and blanks around and between the
    words (but between numbers), and what encodings made of a name; letters of other scripts that look like Latin ones
    become these. Further texts are what a name would be, were a digit in it the letter that it looks like, rn an m, or
    vv a w, and an l that no word has there an i.

    Examples
    --------
    >>> {skeletons(n)[0] for n in ("Email", "email ", "E-Mail", "em\u0430il", "e\u200bmail", "%45mail")}
    {'email'}
    >>> skeletons("ema1l"), skeletons("10") == skeletons("1 0")
    (('ema1l', 'emall', 'email'), False)
    """
    text = html.unescape(_unquoted(name)) if "%" in name or "&" in name else name
    text = _CAPITAL_I.sub("l", text)
    other = None
    if not text.isascii():
        text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", _mended(text)).casefold()).casefold()
        text = _bare(text)
        other = text.replace("ν", "n") if "ν" in text else None  # a capital nu looks like N, a small one like v
        text = text.translate(_LOOK_ALIKE)
    text = _without_signs(text) or name
    further = [] if other is None else [_without_signs(other.translate(_LOOK_ALIKE))]
    if sum(map(str.isalpha, text)) >= WORD:
        further += [_as_letters(text, letters) for letters in _LETTERS]
        further += [_L_FOR_I.sub("i", text), text.replace("rn", "m"), text.replace("vv", "w")]
    return tuple(dict.fromkeys((text, *further)))


def _as_letters(text: str, letters: dict[int, int]) -> str:
    """A text with digits within its words as the letters that they look like."""
    return _DIGIT.sub(lambda digits: digits[0].translate(letters), text)


def _without_signs(text: str) -> str:
    text = text.casefold()
    exact = text.startswith("[") and text.endswith("]")  # in paid search, a keyword in brackets is another than it
    below = _MINUS.search(text) is not None
    text = _SIGNS.sub(" ", _MINUS.sub("~", text)).strip() if below else _SIGNS.sub(" ", text).strip()
    if sum(map(str.isalpha, text)) >= WORD:
        text = _BLANKS.sub("", text)
    return f"[{text}]" if exact else text


def _unquoted(name: str) -> str:
    """A name with %20 and the like as what they stand for; a percent sign may also be one."""
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError:
        return name


def _bare(text: str) -> str:
    """Decomposed text without invisible characters, and without marks on letters that are the same letters without.

    So are accents on Latin and Greek letters (but for the tones of Vietnamese), and vowels of Arabic and Hebrew; marks
    of Japanese, Indic, Thai or Cyrillic letters make other letters of them.
    """
    out: list[str] = []
    keep, tonal = False, any(c in text for c in _VIETNAMESE)
    for c in text:
        kind = unicodedata.category(c)
        if kind[0] == "L":
            keep = tonal or _script(c) not in _ACCENTED
        if c.isspace() or kind not in ("Mn", "Me", "Cf", "Cc") or (keep and kind == "Mn"):
            out.append(c)
    return "".join(out)


def _mended(text: str) -> str:
    """Read a text again that was UTF-8 and taken for Latin letters."""
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text


def shown(name: str) -> str:
    r"""A name in quotes, readable in its own script; what cannot be told apart by eye is spelled out.

    That is: control, invisible and unusual blank characters, marks that stand apart from their letters, letters that
    look like those of another script within one name, and the script of a name that looks like a Latin one throughout.

    Examples
    --------
    >>> print(shown("email\u00a0"), shown("em\u0430il"), shown("x" * 60))
    'email\xa0' 'em\u0430il' 'xxxxxxxxxxxxxxxxxx…xxxxxxxxxxxxxxxxxxx'
    >>> print(shown("Möbel"), shown("バス広告"), shown("\u0441\u043e\u0441\u043e"))
    'Möbel' 'バス広告' 'сосо' (cyrillic)
    """
    if name.isascii():
        text = ascii(name)[1:-1]
    else:
        whole = unicodedata.normalize("NFC", name) == name
        parts = re.split(r"([\W_]+)", name)  # words of several scripts may stand side by side
        text = "".join(_shown_letter(c, beside=_scripts(part), whole=whole) for part in parts for c in part)
    short = f"'{text}'" if len(text) <= 40 else f"'{text[:18]}…{text[-19:]}'"
    return short + _whole_script(name)


def _scripts(word: str) -> Counter[str]:
    """Scripts of the letters of a word, by number."""
    return Counter(_script(c) for c in word if c.isalpha())


def _shown_letter(c: str, *, beside: Counter[str], whole: bool) -> str:
    kind = unicodedata.category(c)
    own = _script(c)
    stranger = len(beside) > 1 and ("LATIN" in beside or beside[own] < max(beside.values()))
    odd = kind[0] in "CZ" or (kind in ("Mn", "Me") and not whole)
    odd = odd or (not c.isascii() and unicodedata.normalize("NFKC", c).isascii())
    odd = odd or (stranger and _only_looks_latin(c))
    if c == " " or (c.isprintable() and not odd):
        return "\\'" if c == "'" else "\\\\" if c == "\\" else c
    return ascii(c)[1:-1]


def _script(c: str) -> str:
    """The script of a letter, as the first word of its name says it."""
    return unicodedata.name(c, "").split(" ")[0]


def _only_looks_latin(c: str) -> bool:
    """Whether a letter of another script looks like a Latin one."""
    return not c.isascii() and ord(c.casefold()[0]) in _LOOK_ALIKE and _script(c) != "LATIN"


def _whole_script(name: str) -> str:
    """The script of a name whose letters all look like Latin ones, and are not."""
    letters = [c for c in name if c.isalpha()]
    if not letters or not all(map(_only_looks_latin, letters)):
        return ""
    return f" ({_script(letters[0]).lower()})"


def near_groups(names: Iterable[str]) -> list[list[str]]:
    r"""Groups of two and more distinct names with one skeleton, each sorted, in the order of their first.

    Examples
    --------
    >>> near_groups(["mail", "ad", "Mail ", "tv"])
    [['Mail ', 'mail']]
    """
    groups: dict[str, list[str]] = {}
    others = []
    for name in sorted(set(names)):
        first, *further = skeletons(name)
        groups.setdefault(first, []).append(name)
        others.append((name, first, further))
    for name, first, further in others:  # a digit stands for a letter only where that makes a name of others
        for other in further:
            if other in groups and name in groups.get(first, ()):
                groups[other] += groups.pop(first)
                break
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def near_matches(given: Iterable[str], known: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Names given that are not known, each with those known that are spelled nearly alike.

    Examples
    --------
    >>> near_matches(["Email", "tv", "radio"], ["email", "tv"])
    [('Email', ['email'])]
    """
    known = set(known)
    by_skeleton: dict[str, set[str]] = {}
    for name in known:
        for text in skeletons(name):
            by_skeleton.setdefault(text, set()).add(name)
    found = []
    for name in sorted(set(given) - known):
        near = set().union(*(by_skeleton.get(text, set()) for text in skeletons(name)))
        if near:
            found.append((name, sorted(near)))
    return found


def near_names(counts: Mapping[str, int], table: str, column: str) -> Finding | None:
    """Find names of one column that differ only by their spelling.

    Parameters
    ----------
    counts : mapping of str to int
        Every name with its rows; a name without rows does not count.
    table, column : str
        What to call the table and the column.
    """
    met = {name: count for name, count in counts.items() if count}
    if len(met) > MOST_NAMES:
        return None
    groups = near_groups(met)
    if not groups:
        return None
    listed = [f"{shown(name)} ({rows_named(met[name])})" for name in max(groups, key=len)]
    total = sum(len(group) for group in groups)
    return Finding(
        "near_names", table,
        f"{total:,} of {len(met):,} names in column {column} of {table} differ only in spelling from another, "
        f"e.g. {some(listed)}",
        "each is credited by itself: give them one name first, if they mean the same",
        total, len(met), tuple(listed[:MOST_SHOWN]),
    )  # fmt: skip


def near_target(counts: Mapping[str, int], counted: Iterable[str], table: str = "outcomes") -> Finding | None:
    """Find outcomes that count for nothing and are spelled nearly like one that does."""
    met = {name: count for name, count in counts.items() if count}
    counted = set(counted)
    pairs = [] if len(met) > MOST_NAMES else near_matches([n for n in met if n not in counted], counted)
    if not pairs:
        return None
    rows = sum(met[name] for name, _ in pairs)
    listed = [f"{shown(name)} ({rows_named(met[name])}) beside {shown(near[0])}" for name, near in pairs]
    return Finding(
        "near_target", table,
        f"{rows_named(rows)} of {table} {'has' if rows == 1 else 'have'} another outcome whose name "
        f"differs only in spelling: {some(listed)}",
        "they count for nothing: give them one name first, if they mean the same",
        rows, sum(met.values()), tuple(listed[:MOST_SHOWN]),
    )  # fmt: skip


def near_keys(given: Iterable[str], known: Iterable[str], table: str, whose: str) -> Finding | None:
    """Find names of a table or an argument that are not among those known, but spelled nearly like one of them."""
    pairs = near_matches(given, known)
    if not pairs:
        return None
    listed = [f"{shown(name)} for {shown(near[0])}" for name, near in pairs]
    return Finding(
        "near_keys", table,
        f"{table}: {len(pairs):,} of the names {'is' if len(pairs) == 1 else 'are'} not among the {whose}, but spelled "
        f"nearly alike: {some(listed)}",
        "names are compared as they stand: spell them alike",
        len(pairs), None, tuple(listed[:MOST_SHOWN]),
    )  # fmt: skip


def rows_named(count: int) -> str:
    """A number of rows in words."""
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def some(listed: list[str]) -> str:
    """The first of a list, and how many more there are."""
    more = len(listed) - MOST_SHOWN
    return ", ".join(listed[:MOST_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
