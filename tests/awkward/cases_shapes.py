"""Tables of an awkward shape: next to nothing, everything at once, everything the same."""

from __future__ import annotations

import itertools
import random

import numpy as np
import polars as pl

from attrib.engines.customers import hash_customers
from awkward.cases import TIES, at, case, outcomes, plain, touches

NOBODY = ("none of",)


@case()
def one_row():
    return touches([("c", 0, "ad")]), outcomes([("c", 1, 5.0)])


@case()
def one_instant():
    """A touch at the instant of the outcome leads to it."""
    return touches([("c", 0, "ad")]), outcomes([("c", 0, 5.0)])


@case(warns=NOBODY)
def nobody_in_both_tables():
    return touches([("c", 0, "ad")]), outcomes([("d", 1, 5.0), ("e", 1, 2.0)])


@case(warns=NOBODY)
def outcomes_before_any_touch():
    return touches([(c, 9, "ad") for c in "abc"]), outcomes([(c, h, 1.0) for c in "abc" for h in (1, 8)])


@case(warns=NOBODY)
def touches_outside_every_window():
    """Nulls look back from their last touch, so that is always in."""
    rows = [(c, h, "ad") for c in "abc" for h in (0, 24 * 100)]
    return touches(rows), outcomes([("a", 24 * 50, 1.0), ("b", 24 * 31, 2.0)])


@case(fails="no_target")
def no_conversion():
    touched, reached = plain()
    return touched, reached.with_columns(outcome=pl.lit("visit"))


@case(fails="no_target", recipe={"max_rejects": 1.0})
def only_rejected_conversions():
    touched, reached = plain()
    return touched, reached.with_columns(customer_id=pl.lit(None, pl.Int64))


@case(fails="no_rows")
def no_touch():
    touched, reached = plain()
    return touched.clear(), reached


@case(fails="no_rows")
def no_outcome():
    touched, reached = plain()
    return touched, reached.clear()


@case(recipe={"max_rejects": 1.0}, rejects=("channel_missing",) * 6, warns=NOBODY)
def only_rejected_touches():
    touched, reached = plain()
    return touched.with_columns(channel=pl.lit(None, pl.String)), reached


@case()
def one_customer_with_many_touches_and_conversions():
    rng = random.Random(1)
    rows = [("c", h, rng.choice("abcde")) for h in range(300)]
    return touches(rows), outcomes([("c", h, 1.0 + h) for h in range(2, 300, 7)])


@case()
def one_customer_converts_at_every_touch():
    return touches([("c", h, "ab"[h % 2]) for h in range(40)]), outcomes([("c", h, 1.0) for h in range(40)])


@case(forms=("arrow", "parquet"))
def many_channels_once_each():
    return touches([(i // 3, i % 3, f"page {i}") for i in range(60)]), outcomes([(i, 3, 1.0) for i in range(0, 20, 2)])


@case(warns=("duplicate touchpoints", *TIES))
def all_ties():
    """Every event at one instant; some of them twice."""
    rows = [(c, 0, channel) for c in range(6) for channel in ("b", "a", "c", "a")[: c + 1]]
    return touches(rows), outcomes([(c, 0, v) for c in (0, 2, 3, 5) for v in (2.0, 1.0, 2.0)])


@case(recipe={"duplicates": "keep"}, warns=TIES)
def all_ties_kept():
    return all_ties()


@case(recipe={"by": ("side", "tier"), "player": ("channel", "creative")}, forms=("arrow", "parquet"), warns=TIES)
def all_ties_in_every_column_but_the_last():
    """Only the columns behind the channel tell these apart; outcomes of one instant differ in a by-column."""
    rows = list(itertools.product((1, 2), (None, "x", "y"), (None, 0, 1)))
    touched = touches([(c, 0, "ad") for c, *_ in rows], creative=[k for _, k, _ in rows], tier=[t for *_, t in rows])
    reached = outcomes([(c, 0, 1.0) for c in (1, 1, 2, 2)], side=["r", "l", None, "l"])
    return touched, reached


@case()
def ties_of_two_columns_that_joined_are_one():
    """ "a" + "bc" and "ab" + "c" are not the same."""
    rows = [("ab", 0, "c"), ("a", 0, "bc"), ("abc", 0, "x"), ("", 0, "abc")][:3]
    return touches(rows), outcomes([(c, 1, v) for (c, *_), v in zip(rows, (1.0, 2.0, 4.0), strict=True)])


@case()
def two_customers_share_everything():
    """The same events under the same ids: ids count within a customer."""
    events = [(h, channel) for h, channel in enumerate(("ad", "mail", "ad"))]
    rows = [(c, h, channel) for c in ("one", "other") for h, channel in events]
    touched = touches(rows, event_id=["t1", "t2", "t3"] * 2, cluster=["home"] * 6)
    return touched, outcomes([(c, 3, 5.0) for c in ("one", "other")], event_id=["o1", "o1"], cluster=["home"] * 2)


@case(warns=("duplicate touchpoints", "repeated event_id"))
def event_ids_repeat_within_a_customer():
    """A null is no id; of outcomes with one id the first stays, touchpoints must be equal in every column."""
    touched = touches([(1, 0, "a")] * 4 + [(2, 0, "a")], event_id=["t", "t", None, "u", "t"])
    reached = outcomes([(1, 3, 5.0), (1, 1, 7.0), (1, 2, 1.0), (1, 2, 1.0)], event_id=["o", "o", None, None])
    return touched, reached


@case()
def customers_all_in_one_bucket():
    """The bucket is the top 8 bits of the customer's hash; all other partitions stay empty."""
    ids = np.arange(30_000, dtype=np.int64)
    first = hash_customers(pl.Series(ids), "integer")[0] >> np.uint64(56) == 0
    chosen = ids[first].tolist()
    rows = [(c, h, "abc"[(c + h) % 3]) for c in chosen for h in (0, 1)]
    return touches(rows), outcomes([(c, 2, float(c)) for c in chosen[::2]])


@case()
def everybody_in_one_cluster():
    touched, reached = plain()
    return touched.with_columns(cluster=pl.lit("all")), reached


@case()
def clusters_that_are_null():
    touched, reached = plain()
    null = pl.lit(None, pl.String)
    return touched.with_columns(cluster=null), reached.with_columns(cluster=null)


@case(forms=("arrow", "parquet"))
def optional_columns_without_a_value():
    touched, reached = plain()
    null = pl.lit(None)
    return touched.with_columns(sequence=null.cast(pl.Int64), event_id=null, cluster=null), reached.with_columns(
        event_id=null, cluster=null
    )


@case(recipe={"by": "country", "player": ("channel", "device")}, forms=("arrow", "parquet"))
def keys_without_a_value():
    touched, reached = plain()
    return touched.with_columns(country=None, device=None), reached.with_columns(country=pl.lit(None, pl.String))


@case(recipe={"by": "country"}, warns=("only outcomes carry",))
def games_that_only_outcomes_name():
    touched, reached = plain()
    return touched, reached.with_columns(country=pl.Series([None, "de"]))


@case(recipe={"by": "game"})
def a_game_a_journey():
    touched, reached = plain(["a", "b", "c"])
    return touched.with_columns(game=pl.col("customer_id")), reached.with_columns(game=pl.col("customer_id"))


@case(recipe={"max_gap": "1s", "lookback": "unlimited"})
def every_pause_splits():
    return touches([("c", h, "ab"[h % 2]) for h in range(30)]), outcomes([("c", 29, 1.0)])


@case(recipe={"lookback": "0s"}, warns=TIES)
def a_lookback_of_nothing():
    rows = [("c", h, channel) for h, channel in ((0, "a"), (1, "b"), (1, "c"), (2, "a"))]
    return touches(rows), outcomes([("c", 1, 1.0), ("c", 3, 1.0)])


@case(recipe={"maturity": "4w"})
def everything_is_open_but_the_conversions():
    return plain()


@case(recipe={"maturity": "1h"})
def maturity_ends_with_the_data():
    """One that is exactly as old as maturity asks is mature."""
    return touches([("a", 9, "ad"), ("b", 8, "ad"), ("c", 7, "ad")]), outcomes([("d", 9, 1.0), ("c", 7, 1.0)])


@case(forms=("arrow", "parquet"), warns=("dates without", *TIES))
def one_day():
    """Dates without a time of day: equal rows are kept, and a day is ordered by name."""
    rows = [(c, at(0).date(), name) for c in (1, 2, 3) for name in ("b", "a", "b", "c")]
    return touches(rows), outcomes([(c, at(0).date(), 1.0) for c in (1, 3)])
