"""What nobody knows of real customers: how likely these are to leave, to buy and to refer, and who brought whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from attrib.durations import parse_duration
from attrib.errors import SpecError, brief
from attrib.synth.config import Population
from attrib.synth.generator import START, Ids, Recipe, check_counts, ordered
from attrib.values import read_date

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from attrib.synth.foresight import Foreseen

Moment = str | date | datetime

_MICROSECOND = timedelta(microseconds=1)
_BATCH = 20_000
_HINT = "give dates within the data, such as '2025-07-01'"
COLUMNS = (
    "tenure",
    "satisfaction",
    "stays",
    "churn",
    "buys",
    "refers",
    "refers_asked",
    "refers_unasked",
    "propensity",
    "purchases",
    "value",
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the generator knows of its customers; see :func:`truth`.

    Parameters
    ----------
    customers : polars.DataFrame
        One row for each customer and date who bought before it, in order of customer and date.
    forest : polars.DataFrame
        One row for each customer who ever bought, in order of customer.

    Examples
    --------
    >>> from attrib.synth import Later, Population, truth
    >>> known = truth(300, at="2025-07-01", population=Population(later=Later()))
    >>> known.forest.columns
    ['customer_id', 'referrer_id', 'root_id', 'acquired', 'referral_touch', 'referrals', 'value', 'lifetime_value']
    """

    customers: pl.DataFrame
    forest: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Question:
    """Dates, as microseconds since the start, ascending, and windows; checked on construction by `ask`."""

    dates: tuple[int, ...]
    gap: int
    horizon: int
    ahead: float

    @classmethod
    def ask(
        cls,
        recipe: Recipe,
        at: Moment | Sequence[Moment],
        gap: str | timedelta,
        horizon: str | timedelta,
        ahead: Any,
        name: str = "at",
    ) -> Question:
        """Read what a user asked for; ``name`` is what they call the dates.

        Raises
        ------
        SpecError
            ``bad_argument`` without a `Later`; ``bad_date``; ``bad_duration``.
        """
        if recipe.population.later is None:
            hint = "give population=Population(later=Later())"
            raise SpecError("bad_argument", "customers of this population do not live on", hint=hint, argument="later")
        moments = list(at) if isinstance(at, (list, tuple)) else [at]
        dates = sorted({(_moment(one, name) - recipe.start) // _MICROSECOND for one in moments})
        length = timedelta(days=recipe.days) // _MICROSECOND
        if not dates or dates[0] < 0 or dates[-1] > length or len(dates) < len(moments):
            span = f"the {recipe.days} days from {recipe.start:%Y-%m-%d}"
            fault = f"{name} = {brief(at)} is not within {span}, empty, or twice the same"
            raise SpecError("bad_date", fault, hint=_HINT)
        pause, window, further = (
            _positive(text, name) for text, name in ((gap, "gap"), (horizon, "horizon"), (ahead, "ahead"))
        )
        return cls(tuple(dates), pause, window, further / (timedelta(days=1) // _MICROSECOND))


def truth(
    customers: int = 10_000,
    seed: int = 0,
    *,
    at: Moment | Sequence[Moment],
    gap: str | timedelta = "7d",
    horizon: str | timedelta = "90d",
    ahead: str | timedelta = "365d",
    start: datetime = START,
    days: int = 365,
    ids: Ids = "integer",
    population: Population,
    off: frozenset[str] = frozenset(),
    threads: int | None = None,
) -> Truth:
    """Tell the true probabilities and values of generated customers, and their true referrals.

    All probabilities are given the latent state just before the date: the customer's own constants, whether they are
    still there, their satisfaction and whether an ask to refer is fresh. They are computed from the model (a Markov
    chain; its differential equations are solved to about 1e-5), not counted in simulations.

    Parameters
    ----------
    customers, seed, start, days, ids, population, off, threads
        As in `generate`, whose events these truths belong to; `population` with ``later``.
    at : date or sequence of dates
        As of which; a date is its midnight.
    gap, horizon : str or timedelta
        The window is (date + gap, date + gap + horizon], as in `attrib.snapshot`; it may pass the end of the data.
    ahead : str or timedelta
        For how long purchases and values count.

    Returns
    -------
    Truth
        ``customers``: ``customer_id``, ``date``;
        ``alive``: are they still there? Without a contract nobody sees that;
        ``tenure``: days since the first purchase; ``satisfaction``: the true level, -1 ... 1;
        ``stays``: probability to be still there at date + gap;
        ``churn``: to leave in the window, given that;
        ``buys``: to make at least one purchase in the window (1 - ``buys`` is the truth of silence);
        ``refers``: to make at least one referral in the window, campaigns asking as they do (one at the date itself
        included); ``refers_asked``, ``refers_unasked``: the same if asked at the date, or not, later campaigns as ever;
        ``propensity``: of being asked by a campaign at the date;
        ``purchases``, ``value``: expected number and revenue in (date, date + ahead].
        Of those who have left ``satisfaction``, ``churn`` and ``propensity`` are null and the others 0.

        ``forest``: ``customer_id``, ``referrer_id`` (null: nobody), ``root_id`` (first of the tree), ``acquired``
        (time of the first purchase), ``referral_touch`` (does a touch show the referral?), ``referrals`` (made, to the
        end of the data), ``value`` (of all purchases in the data), ``lifetime_value`` (of the first purchase and,
        expected at that time, of those in the time `ahead`).

    Raises
    ------
    SpecError
        ``bad_argument``, ``bad_date``, ``bad_duration``.

    Examples
    --------
    >>> from attrib.synth import Later, Population, truth
    >>> known = truth(500, at=["2025-07-01", "2025-09-01"], population=Population(later=Later()))
    >>> known.customers.columns[-4:]
    ['refers_unasked', 'propensity', 'purchases', 'value']
    """
    check_counts(customers, threads=threads)
    recipe = Recipe(seed, 0.0, start, days, ids, False, population, frozenset(off))
    question = Question.ask(recipe, at, gap, horizon, ahead)
    return told(recipe, customers, question, threads)


def told(
    recipe: Recipe,
    customers: int,
    question: Question,
    threads: int | None = None,
    progress: Callable[[str, float, float | None], None] | None = None,
) -> Truth:
    """The truth of customers 0, ..., customers - 1."""
    parts: list[Foreseen] = []
    for part in _foreseen(recipe, customers, question, threads):
        if progress is not None:
            progress("computing the truth", min(len(parts) * _BATCH, customers), customers)
        parts.append(part)
    names = ("customer", "date", "alive", "numbers", "buyer", "referrer", "acquired", "touched", "referrals", "spent",
             "expected")  # fmt: skip
    column = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    dates = recipe.timestamp(np.array(question.dates, np.int64), "date")
    frame = pl.DataFrame(
        [
            recipe.ids_of("customer_id", column["customer"]),
            dates.gather(column["date"]),
            pl.Series("alive", column["alive"]),
            *(pl.Series(name, column["numbers"][:, i]).fill_nan(None) for i, name in enumerate(COLUMNS)),
        ]
    )
    buyer, referrer = column["buyer"], column["referrer"]
    forest = pl.DataFrame(
        [
            recipe.ids_of("customer_id", buyer),
            recipe.ids_of("referrer_id", referrer),
            recipe.ids_of("root_id", _roots(buyer, referrer)),
            recipe.timestamp(column["acquired"], "acquired"),
            pl.Series("referral_touch", column["touched"]),
            pl.Series("referrals", column["referrals"]),
            pl.Series("value", column["spent"]),
            pl.Series("lifetime_value", column["expected"]),
        ]
    )
    return Truth(frame, forest)


def _foreseen(recipe: Recipe, customers: int, question: Question, threads: int | None) -> Iterator[Foreseen]:
    params = recipe.params()
    dates = np.array(question.dates, np.int64)

    def work(first: int, count: int) -> Foreseen:
        from attrib.synth.foresight import foresee

        found, pairs, buyers = foresee(
            recipe.key(), first, count, dates, question.gap, question.horizon, question.ahead, params
        )
        filled: Foreseen = found.cut_to_size(pairs, buyers)
        return filled

    yield work(0, 0)  # nobody: the columns of somebody
    yield from ordered(work, customers, _BATCH, threads)


def _roots(buyer: NDArray[np.int64], referrer: NDArray[np.int64]) -> NDArray[np.int64]:
    """First customer of each tree. Whoever refers has bought, so all referrers are buyers."""
    root = np.where(referrer >= 0, np.searchsorted(buyer, referrer), np.arange(buyer.size))
    while not np.array_equal(further := root[root], root):
        root = further
    return buyer[root]


def _moment(value: Any, name: str) -> datetime:
    read = read_date(value, name, _HINT)
    if read.tzinfo is not None:
        raise SpecError("bad_date", f"{name} = {brief(value)} carries a time zone, and the data have none", hint=_HINT)
    return read


def _positive(value: str | timedelta, name: str) -> int:
    length = parse_duration(value, name)
    if length is None or length < timedelta(0) or (length == timedelta(0) and name != "gap"):
        raise SpecError("bad_duration", f"{name} is {brief(value)}", hint="give a length of time such as '90d'")
    return length // _MICROSECOND
