"""Texts of amounts that are no plain numbers: how they are meant, and the expression that reads them so."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

_MINUS = "-\u2212\u2013\u2014"
_GROUPS = "'\u2019_ \u00a0\u202f\u2009"  # what stands between thousands besides a point and a comma
_CORE = re.compile(rf"[0-9](?:[0-9.,{_GROUPS}]*[0-9.,])?")
_OTHER = {".": ",", ",": "."}
_SIGN = {"€": "EUR", "$": "USD", "US$": "USD", "£": "GBP", "₹": "INR", "EURO": "EUR", "EUROS": "EUR"}
_CURRENCY_WORDS = {
    *("kr", "kč", "zł", "fr", "sfr", "rs", "r", "rm", "rp", "ft", "lei", "leu", "din", "лв", "руб", "tl", "s/"),
    *("euro", "euros", "dollar", "dollars", "pound", "pounds", "franken"),
}
_SCALES = {  # they multiply
    *("k", "m", "b", "t", "mio", "mia", "mrd", "mln", "mld", "mlrd", "tsd", "tys", "bn", "mn", "mm", "lakh", "lac"),
    *("cr", "crore", "thousand", "million"),
}


@dataclass(frozen=True, slots=True)
class _Amount:
    """One text taken apart: its digits with their marks, its sign, its currency, and how it is written."""

    text: str
    core: str
    negative: bool
    currency: str
    marks: frozenset[str] = frozenset()  # brackets, trailing, odd_minus, dashes, dotted


def _taken_apart(text: str) -> _Amount | None:
    """What a text says, or None where it says no amount that could be read without a guess."""
    rest, marks = text.strip(), set()
    if rest.startswith("(") and rest.endswith(")"):
        rest, marks = rest[1:-1].strip(), {"brackets"}
    found = _CORE.search(rest)
    if found is None:
        return None
    core, before, after = found[0], rest[: found.start()], rest[found.end() :]
    if before[-1:] in (".", ",") and not before[-2:-1].isalpha():  # .50
        core, before = before[-1] + core, before[:-1]
    if core[-1] in ".," and after[:1] and after[0] in _MINUS:  # 12,-
        marks.add("dashes")
        after = after.lstrip(_MINUS)
    signs = [sign for sign in before + after if sign in _MINUS]
    if len(signs) > 1 or (signs and "brackets" in marks):
        return None
    if signs:
        marks |= {"odd_minus"} if signs[0] != "-" else set()
        marks |= {"trailing"} if signs[0] in after else set()
    units = [part.strip(_MINUS + "+" + _GROUPS) for part in (before, after)]
    named = [_currency(unit) for unit in units if unit]
    if None in named or len({name for name in named if name}) > 1:
        return None
    if any(re.search(r"[^\W\d_]\.", unit) for unit in units):
        marks.add("dotted")
    return _Amount(text, core, bool(signs) or "brackets" in marks, named[0] or "" if named else "", frozenset(marks))


def _currency(unit: str) -> str | None:
    """Name of a currency or unit; None for words that may multiply, or mean anything."""
    plain = unit.rstrip(".").strip()
    if plain.casefold() in _SCALES:
        return None
    known = (
        plain == "%"
        or all(unicodedata.category(sign) == "Sc" for sign in plain)
        or plain.casefold() in _CURRENCY_WORDS
        or re.fullmatch(r"[A-Za-z]{3}|[A-Za-z]{1,3}\$", plain) is not None
    )
    return _SIGN.get(plain.upper(), plain.upper()) if known else None


def _decimal_of(core: str) -> str | None:
    """The decimal mark that a text shows: point or comma, "" where it has neither, None where it may be either."""
    points, commas = core.count("."), core.count(",")
    if not points and not commas:
        return ""
    if points and commas:
        return max(".", ",", key=core.rfind)
    mark = "." if points else ","
    if points + commas > 1:
        return _OTHER[mark]
    head, tail = core.split(mark)
    if len(tail) == 3 and 1 <= len(head) <= 3 and head.isdigit() and head[0] != "0":
        return None
    return mark


def _read(amount: _Amount, decimal: str) -> float | None:
    """The number that a text is with this decimal mark; None where it cannot be one."""
    whole, mark, part = amount.core.partition(decimal)
    groups = re.split(rf"[{re.escape(_OTHER[decimal] + _GROUPS)}]", whole)
    between = {" " if sign.isspace() else sign for sign in whole if not sign.isdigit()}
    fits = len(between) <= 1 and all(group.isdigit() for group in groups if group or len(groups) > 1)
    if len(groups) > 1:  # thousands by threes, or as in India by twos before them
        fits = fits and len(groups[-1]) == 3 and all(len(group) in (2, 3) for group in groups[1:-1]) and groups[0] != ""
    if not fits or not (part.isdigit() or not part) or not (whole or part):
        return None
    size = float("".join(groups) + ("." + part if mark else ""))
    return -size if amount.negative else size


def _expression(amounts: Sequence[_Amount], decimal: str, column: str, *, blank: bool) -> tuple[str, pl.Expr]:
    """Text and meaning of what reads these texts with this decimal mark."""
    marks = frozenset().union(*(amount.marks for amount in amounts))
    steps: list[tuple[str, str, str]] = []
    if "brackets" in marks:
        steps.append(("replace", r"^\s*\((.*)\)\s*$", "-$1"))
    if "odd_minus" in marks or "dashes" in marks:
        steps.append(("replace_all", "[\u2212\u2013\u2014]", "-"))
    if "dashes" in marks:
        steps.append(("replace", r"[.,]-+", ""))
    if "trailing" in marks:
        steps.append(("replace", r"^(.*\d.*)-", "-$1"))
    if "dotted" in marks:
        steps.append(("replace_all", r"\pL\.", ""))
    steps.append(("replace_all", r"[^0-9.\-]" if decimal == "." else r"[^0-9,\-]", ""))
    if decimal == ",":
        steps.append(("replace", ",", "."))
    text, read = f"pl.col({json.dumps(column, ensure_ascii=False)})", pl.col("text")
    for method, pattern, new in steps:
        raw = "r" if "\\" in pattern else ""
        text += f'.str.{method}({raw}"{pattern}", "{new}")'
        read = getattr(read.str, method)(pattern, new)
    if blank:
        text, read = text + '.replace("", None)', read.replace("", None)
    return text + ".cast(pl.Float64)", read.cast(pl.Float64, strict=False)


def _works(expression: pl.Expr, amounts: Sequence[_Amount], decimal: str) -> bool:
    """Whether an expression finds the numbers that are meant."""
    found = pl.DataFrame({"text": [amount.text for amount in amounts]}).select(expression).to_series().to_list()
    return found == [_read(amount, decimal) for amount in amounts]


def what_amounts_are(  # noqa: PLR0911 - a list of cases
    rejected: Iterable[str], beside: Iterable[str], column: str
) -> str:
    r"""Say how texts of amounts are written, and what reads them; empty where nothing is known of them.

    Parameters
    ----------
    rejected : iterable of str
        Texts that are no numbers as they stand.
    beside : iterable of str
        Others of the column, which say what its decimal mark is.
    column : str
        Its name.

    Examples
    --------
    >>> print(what_amounts_are(["1.234,50"], [], "cost").partition(" or pandas")[0].partition(", ")[2])
    pl.col("cost").str.replace_all(r"[^0-9,\-]", "").str.replace(",", ".").cast(pl.Float64)
    >>> print(what_amounts_are(["1,234"], [], "cost")[:96])
    they look like numbers with commas, and may mean thousands or decimals: '1,234' is 1234 or 1.234
    """
    rejected, beside = list(rejected), list(beside)
    texts, others = ([text for text in some if re.search("[0-9]", text)] for some in (rejected, beside))
    amounts = [amount for amount in map(_taken_apart, texts) if amount is not None]
    if not amounts or 2 * len(amounts) < len(texts):
        return ""
    every = [*amounts, *(amount for amount in map(_taken_apart, others) if amount is not None)]
    known = {amount.text for amount in every}
    odd = next((text for text in (*texts, *others) if text not in known), None)
    shows: dict[str | None, str] = {}
    for amount in every:
        shows.setdefault(_decimal_of(amount.core), amount.text)
    named = sorted({amount.currency for amount in amounts if amount.currency})
    if "%" in named:
        share = next(amount.text for amount in amounts if amount.currency == "%")
        return (
            f"{share!r} is a share of something, and what is asked for are amounts: multiply each share by what it is "
            "of first (10 % of 500 are 50), and give these numbers"
        )
    what = "numbers" + _with(amounts)
    if len(named) > 1:
        return (
            f"they look like {what}, of several currencies or units ({', '.join(named[:4])}): bring them to one "
            "before they are numbers"
        )
    if "." in shows and "," in shows:
        return (
            f"they look like {what}, some with a decimal point ({shows['.']!r}) and some with a decimal comma "
            f"({shows[',']!r}): write all of them in one way first"
        )
    if odd is not None:
        return f"they look like {what}, and others such as {odd!r}: write all of them as plain numbers first"
    blank = len(texts) + len(others) < len(rejected) + len(beside)
    decimals = ["."] if "." in shows else [","] if "," in shows else [".", ","] if None in shows else ["."]
    ways = []
    for decimal in decimals:
        text, expression = _expression(every, decimal, column, blank=blank)
        if not _works(expression, every, decimal):
            return f"they look like {what}: write them with a decimal point and digits only"
        ways.append(text)
    if len(ways) > 1:
        return _both_ways(what, shows[None], ways)
    kind, pandas = _kind(amounts, decimals[0]), _in_pandas(every, decimals[0])
    kind = kind.replace(" with ", " and ") if " with " in what else kind
    return f"they look like {what}{kind}: convert them first, {ways[0]}{pandas}{_one_currency(named)}"


def _with(amounts: Sequence[_Amount]) -> str:
    """What the texts hold besides numbers."""
    marks = frozenset().union(*(amount.marks for amount in amounts))
    named = [
        *(["a sign of currency or a unit"] if any(amount.currency for amount in amounts) else []),
        *(["brackets for a minus"] if "brackets" in marks else []),
        *(["a minus at their end"] if "trailing" in marks else []),
    ]
    return f" with {' and '.join(named)}" if named else ""


def _kind(amounts: Sequence[_Amount], decimal: str) -> str:
    """How the marks of the numbers are meant."""
    cores = "".join(amount.core for amount in amounts)
    if decimal == "," and any(mark in cores for mark in ".,"):
        return " with a decimal comma" if "," in cores else " with points between thousands"
    if decimal == "." and "," in cores:
        return " with commas between thousands"
    if re.search(f"[{_GROUPS}]", cores):
        return " with blanks or other signs between thousands"
    return ""


def _both_ways(what: str, text: str, ways: Sequence[str]) -> str:
    amount = _taken_apart(text)
    assert amount is not None
    mark, name = (",", "comma") if "," in amount.core else (".", "point")
    thousands = _read(amount, _OTHER[mark])
    decimals = _read(amount, mark)
    by_mark = dict(zip((".", ","), ways, strict=True))
    return (
        f"they look like {what}{' and' if ' with ' in what else ' with'} {name}s, and may mean thousands or decimals: "
        f"{text!r} is {thousands:.10g} or {decimals:.10g}; convert them first, {by_mark[_OTHER[mark]]} if {name}s "
        f"stand between thousands, or {by_mark[mark]} if they are decimal {name}s"
    )


def _in_pandas(amounts: Sequence[_Amount], decimal: str) -> str:
    """How pandas reads the same file, where it can."""
    if any(amount.currency or amount.marks or re.search(f"[{_GROUPS}]", amount.core) for amount in amounts):
        return ""
    marks = 'decimal=",", thousands="."' if decimal == "," else 'thousands=","'
    return f" or pandas.read_csv(…, {marks})"


def _one_currency(named: Sequence[str]) -> str:
    return ", and keep one currency" if named else ""


def number(column: str, dtype: pl.DataType, to: type[pl.DataType] = pl.Float64) -> pl.Expr:
    """Expression that reads a column as numbers, white space around texts left out; null where there is none.

    Examples
    --------
    >>> pl.DataFrame({"value": [" 12.5", "1,5"]}).select(number("value", pl.String())).to_series().to_list()
    [12.5, None]
    """
    plain = pl.col(column).cast(pl.String) if isinstance(dtype, (pl.Categorical, pl.Enum)) else pl.col(column)
    return (plain.str.strip_chars() if is_text(dtype) else plain).cast(to, strict=False)


def is_text(dtype: pl.DataType) -> bool:
    """Whether a column holds texts."""
    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))
