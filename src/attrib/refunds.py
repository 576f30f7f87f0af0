"""Outcome rows of negative value are refunds: which rows they belong to, and what is left of these (semantics §2).

Everything that reads outcome rows asks here: engines with the events of a partition (`net_events`), what works on
frames with frames (`net_rows`). Both hand a customer's rows, in order, to the one kernel that decides.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from attrib.io.text import clean
from attrib.ragged import Events, Ints, Refunded
from attrib.schemas import ORDER
from attrib.values import check_choice, yes_or_no

if TYPE_CHECKING:
    import numpy.typing as npt

NET, KEEP = "net", "keep"
CHOICES = (NET, KEEP)
# words of names, in some languages, of which an outcome is likely to say that an earlier one is taken back
_BACK = re.compile(
    r"refund|charge_?back|storno|r(ü|ue)ckgabe|r(ü|ue)cksendung|r(ü|ue)ckerstatt|erstattung|retour|rembours|reembols"
    r"|devoluc|devoluç|rimbors|restituzion|credit_?note|gutschrift|(^|_)returns?(ed)?(_|$)|(^|_)void(ed)?(_|$)"
)
_NO_REFUND = re.compile(r"visit|visitor|customer|user|session|policy")  # a returning customer is none
_CANCEL = re.compile(r"cancel|annul|stornier")
_OF_ORDERS = re.compile(r"order|purchase|sale|payment|booking|invoice|transaction")


@dataclass(frozen=True, slots=True)
class Refunding:
    """What negative rows of outcomes are taken for.

    ``refunds``: ``"net"`` or ``"keep"``; ``count_refunded``: whether an order refunded in full stays, with value 0.
    """

    refunds: str = NET
    count_refunded: bool = False

    def __post_init__(self) -> None:
        check_choice("refunds", self.refunds, CHOICES)
        yes_or_no("count_refunded", self.count_refunded)

    @property
    def net(self) -> bool:
        """Whether they are netted."""
        return self.refunds == NET


DEFAULT = Refunding()


@dataclass(frozen=True, slots=True)
class Account:
    """How many refunds were netted, and what of them was not.

    ``refunds``: rows that lowered an order; ``orders``: rows that were lowered; ``in_full``: those of them with nothing
    left; ``unmatched``: refunds of which something belongs to no order: ``beyond`` of them exceed what was left of
    theirs, ``unnamed`` of the others name none. ``value`` (≥ 0) was taken off orders, ``rest`` (≤ 0) belongs to none.
    """

    refunds: int
    orders: int
    in_full: int
    unmatched: int
    beyond: int
    unnamed: int
    value: float
    rest: float

    @classmethod
    def of(cls, counts: Ints, value: float, rest: float) -> Account:
        """Make it of the counts of `attrib.ragged.Refunded`."""
        refunds, orders, in_full, unmatched, beyond, unnamed = (int(count) for count in counts)
        return cls(refunds, orders, in_full, unmatched, beyond, unnamed, value, rest)

    def told(self, *, count_refunded: bool, with_ids: bool) -> str:
        """Say it in one sentence, with what to do next."""
        parts = []
        if self.refunds:
            parts.append(
                f"{_rows(self.refunds, 'refund')} (outcomes of negative value) netted against "
                f"{_rows(self.orders, 'order')}, {self.value:,.10g} in all"
            )
        if self.in_full:
            fate = (
                "kept as conversions of value 0 (count_refunded)"
                if count_refunded
                else "no conversions (count_refunded = true keeps them, with value 0)"
            )
            parts.append(f"{_rows(self.in_full, 'order')} refunded in full: {fate}")
        if self.unmatched:
            what = "refund" if self.refunds else "refund (outcomes of negative value)"
            parts.append(f"{_rows(self.unmatched, what)} {self._why_unmatched()}, for {self.rest:,.10g}: left out")
        helps = not with_ids and (self.refunds or self.beyond)  # it says which order, and makes none
        hints = [f"a column {ORDER} of the outcomes says which order each belongs to"] if helps else []
        hints.append('refunds = "keep" takes negative values for outcomes like others')
        return "; ".join(parts) + f" ({'; '.join(hints)})"

    def _why_unmatched(self) -> str:
        named = self.unmatched - self.beyond - self.unnamed
        reasons = [
            (
                self.beyond,
                "that exceeds what was left of its order"
                if self.beyond == 1
                else "that exceed what was left of their orders",
            ),
            (named, f"with no order of that {ORDER}"),
            (self.unnamed, "with no earlier order of their customer and outcome"),
        ]
        met = [(count, reason) for count, reason in reasons if count]
        if len(met) == 1:
            return met[0][1]
        return "(" + ", ".join(f"{count:,} {reason}" for count, reason in met) + ")"


def _rows(number: int, what: str) -> str:
    head, _, rest = what.partition(" ")
    return f"{number:,} {head}{'' if number == 1 else 's'}{' ' + rest if rest else ''}"


def told_if_kept(negative: int) -> str:
    """Say that negative values stay what they are."""
    return (
        f'{negative:,} outcomes have a negative value (taken as refunds): with refunds = "keep" each is an outcome of '
        'its own, and counts as others do; refunds = "net" lowers the orders that they belong to'
    )


def only_negative(signs: Mapping[str, Sequence[bool]]) -> list[str]:
    """Outcomes with rows below 0 and none above, of whether each has rows of either kind.

    Examples
    --------
    >>> only_negative({"purchase": (True, True), "adjustment": (True, False)})
    ['adjustment']
    """
    return sorted(name for name, (below, above) in signs.items() if below and not above)


def likely_refunds(
    names: Iterable[str], valued: Collection[str], used: Collection[str], lonely: Collection[str] = ()
) -> str | None:
    """Warn of outcomes that seem to take back those that are used, and are not used themselves.

    Parameters
    ----------
    names : iterable of str
        Outcomes that occur.
    valued : collection of str
        Those with a value other than 0: of cancellations, only these are money (others may end a contract).
    used : collection of str
        Those that are asked about.
    lonely : collection of str
        Those with negative values only: there is nothing that they could be taken off.

    Examples
    --------
    >>> likely_refunds(["purchase", "Refund", "cancel", "returning_visit"], [], ["purchase"])[:46]
    "outcomes are called 'Refund' beside 'purchase'"
    >>> likely_refunds(["purchase", "cancel"], [], ["purchase"]) is None
    True
    """
    found = [
        name
        for name in sorted(names)
        if name not in used and (name in lonely or _takes_back(name, money=name in valued))
    ]
    if not found or not used:
        return None
    target = next(iter(used))
    return (
        f"outcomes are called {_listed(found)} beside {target!r} and take nothing off it: if they are refunds, "
        f"give them as rows of {target!r} with a negative value (and an {ORDER}, where there is one)"
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(clean(name, 40)) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _takes_back(name: str, *, money: bool) -> bool:
    plain = re.sub(r"[\s\-./:]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)).casefold()
    if _CANCEL.search(plain):
        return money or bool(_OF_ORDERS.search(plain))
    return bool(_BACK.search(plain)) and not _NO_REFUND.search(plain)


# the two ways in ----------------------------------------------------------------------------------------------------
def net_events(
    events: Events, names: npt.NDArray[np.int32], orders: npt.NDArray[np.uint64], *, count_refunded: bool
) -> Events:
    """Net the refunds of a partition; customers left without any event are gone.

    Parameters
    ----------
    events : Events
    names : int32 [K]
        Code of the outcome of every kind.
    orders : uint64 [O, 2]
        Words of the order id of every outcome row, (0, 0) for none; [0, 2] without such a column.
    count_refunded : bool
        Whether orders refunded in full stay.
    """
    left, refunded = _net(events.o_offsets, events.o_time, names[events.o_kind], orders, events.o_value)
    stays = _stays(events.o_value, left, count_refunded=count_refunded)
    o_offsets = np.concatenate([[0], np.cumsum(stays)])[events.o_offsets].astype(np.int64)
    if count_refunded:
        refunded = replace(refunded, gone=0)
    present = (np.diff(o_offsets) > 0) | (np.diff(events.t_offsets) > 0)
    t_offsets, identity, unit = events.t_offsets, events.identity, events.unit
    if not present.all():  # as if they had never been
        identity, unit = identity[present], unit[present]
        t_offsets, o_offsets = (np.concatenate([o[:1], o[1:][present]]) for o in (t_offsets, o_offsets))
    return replace(
        events,
        identity=identity, unit=unit, t_offsets=t_offsets, o_offsets=o_offsets, o_time=events.o_time[stays],
        o_kind=events.o_kind[stays], o_value=left[stays], refunded=refunded,
    )  # fmt: skip


def net_rows(
    rows: pl.DataFrame, *, who: str, at: str, money: str, name: str | None, order: str | None, count_refunded: bool
) -> tuple[pl.DataFrame, Account]:
    """Net the refunds among outcome rows.

    Parameters
    ----------
    rows : polars.DataFrame
        Sorted by customer, then in the order of semantics §1.
    who, at, money : str
        Columns of the customer, the time (or day) and the value (float, finite).
    name, order : str or None
        Columns of the outcome (None: all rows are of one) and of the order id, if there are.
    count_refunded : bool
        Whether orders refunded in full stay, with value 0.

    Returns
    -------
    (rows, account)
        Without refunds and, unless they are to be counted, without what they took back in full; in the same order.

    Examples
    --------
    >>> rows = pl.DataFrame({"who": [1, 1, 1, 2], "at": [1, 2, 3, 1], "money": [50.0, 100.0, -30.0, -5.0]})
    >>> left, account = net_rows(rows, who="who", at="at", money="money", name=None, order=None, count_refunded=False)
    >>> left["money"].to_list(), account.unmatched
    ([50.0, 70.0], 1)
    """
    customers = rows[who].to_physical() if isinstance(rows.schema[who], pl.Categorical) else rows[who]
    starts = np.flatnonzero((customers != customers.shift(1)).fill_null(value=True).to_numpy())
    offsets = np.append(starts, rows.height).astype(np.int64)
    times = rows[at].to_physical().cast(pl.Int64).to_numpy()
    names = np.zeros(rows.height, np.int32)
    if name is not None:
        names = (rows[name].cast(pl.String).rank("dense") - 1).cast(pl.Int32).to_numpy()
    orders = np.empty((0, 2), np.uint64)
    if order is not None:
        codes = rows[order].rank("dense").fill_null(0).cast(pl.UInt64).to_numpy()
        orders = np.stack([codes, np.zeros_like(codes)], axis=1)
    values = rows[money].to_numpy()
    left, refunded = _net(offsets, times, names, orders, values)
    rows = rows.with_columns(pl.Series(money, left)).filter(
        pl.Series(_stays(values, left, count_refunded=count_refunded))
    )
    value, rest = (float(np.sort(amounts).sum()) for amounts in (refunded.taken, refunded.unmatched))
    return rows, Account.of(refunded.counts, value, rest)


def blank_as_none(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Order ids that are blank texts name no order."""
    if frame.schema[column] != pl.String:
        return frame
    return frame.with_columns(pl.when(pl.col(column).str.strip_chars().str.len_bytes() > 0).then(pl.col(column)))


def _net(
    offsets: npt.NDArray[np.int64], times: npt.NDArray[np.int64], names: npt.NDArray[np.int32],
    orders: npt.NDArray[np.uint64], values: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], Refunded]:  # fmt: skip
    from attrib.kernels import refunds as kernel

    left = values.astype(np.float64, copy=True)
    arrays = (offsets, times, names.astype(np.int32, copy=False), orders, values)
    kernel.net_refunds(*(_read_only(array) for array in arrays), left)
    refund, order = values < 0, left < values
    matched, whole = values[refund] - left[refund], order & (left == 0)
    unmatched = left[refund]
    return left, Refunded(
        taken=values[order] - left[order], netted=matched[matched < 0], unmatched=unmatched[unmatched < 0],
        alone=int((matched == 0).sum()), in_full=int(whole.sum()), gone=int(whole.sum()),
        **_why_unmatched(offsets, times, names, orders, values, left),
    )  # fmt: skip


def _why_unmatched(
    offsets: npt.NDArray[np.int64], times: npt.NDArray[np.int64], names: npt.NDArray[np.int32],
    orders: npt.NDArray[np.uint64], values: npt.NDArray[np.float64], left: npt.NDArray[np.float64],
) -> dict[str, int]:  # fmt: skip
    """Count, of the refunds with a rest, those that have an order, and those of the others that name none."""
    rests = np.flatnonzero((values < 0) & (left < 0))
    if not len(rests):
        return {"beyond": 0, "unnamed": 0}
    customers = np.searchsorted(offsets, rests, side="right") - 1
    at = np.concatenate([np.arange(offsets[c], offsets[c + 1]) for c in np.unique(customers)])
    ids = orders if len(orders) else np.zeros((len(values), 2), np.uint64)
    frame = pl.DataFrame({
        "row": at, "customer": np.searchsorted(offsets, at, side="right") - 1, "name": names[at], "at": times[at],
        "w0": ids[at, 0], "w1": ids[at, 1], "sold": values[at] > 0, "rest": (values[at] < 0) & (left[at] < 0),
    })  # fmt: skip
    named = (pl.col("w0") != 0) | (pl.col("w1") != 0)
    sold, rest = frame.filter("sold"), frame.filter("rest")
    first = sold.group_by("customer", "name").agg(pl.col("at").min().alias("first"))
    of_order = sold.filter(named).select("customer", "name", "w0", "w1").unique()
    by_id = rest.filter(named).join(of_order, on=["customer", "name", "w0", "w1"], how="semi").height
    unnamed = rest.filter(~named)
    by_time = unnamed.join(first, on=["customer", "name"]).filter(pl.col("first") <= pl.col("at")).height
    return {"beyond": by_id + by_time, "unnamed": unnamed.height - by_time}


def _stays(
    values: npt.NDArray[np.float64], left: npt.NDArray[np.float64], *, count_refunded: bool
) -> npt.NDArray[np.bool_]:
    """Which rows are outcomes still: no refunds, and unless they are to be counted, nothing that they took back."""
    stays: npt.NDArray[np.bool_] = values >= 0
    if not count_refunded:
        stays &= ~((values > 0) & (left == 0))
    return stays


def _read_only(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """View an array as read-only: a kernel is compiled for one of the two only."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
