"""What a careful analyst is told: each finding on data that have it, and silence on data that nearly do."""

# ruff: noqa: DTZ001 - tables without zones

from __future__ import annotations

import warnings
from datetime import date, datetime, timedelta

import polars as pl
import pytest

import attrib
from attrib.diagnostics.finding import KEYS, FindingWarning

DAY = datetime(2024, 1, 1, 10)
LATER = datetime(2024, 1, 2, 12, 30)


def touches(rows, columns=("customer_id", "timestamp", "channel"), **more):
    return pl.DataFrame(rows, schema=list(columns), orient="row").with_columns(**more)


def orders(rows, columns=("customer_id", "timestamp", "outcome", "value"), **more):
    return pl.DataFrame(rows, schema=list(columns), orient="row").with_columns(**more)


def some(n=4, channel="ad"):
    """Touches and an order of ``n`` customers each, and two customers without an order."""
    return (
        touches([(i, DAY, channel) for i in range(1, n + 3)]),
        orders([(i, LATER + timedelta(seconds=i), "purchase", 10.0) for i in range(1, n + 1)]),
    )


def found(touched, reached, **recipe):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", attrib.AttribWarning)
        return {f.key: f for f in attrib.Journeys.from_events(touched, reached, **recipe).findings}


def test_ordinary_data_have_none():
    data = attrib.synth.generate(customers=500, seed=3)
    assert found(data.touchpoints, data.outcomes) == {}
    assert found(data.touchpoints, data.outcomes, stages="three", view="resolved") == {}


def test_a_finding_is_a_warning_at_the_callers_line_and_can_be_silenced_by_its_key():
    touched, reached = some()
    later = pl.col("timestamp") + timedelta(minutes=1)  # no ties, of which another warning tells
    touched = pl.concat([touched, touched.with_columns(later, channel=pl.lit("AD"))])
    with pytest.warns(FindingWarning, match=r"\[near_names\]$") as told:  # noqa: PT031 - all of it is asked at once
        journeys = attrib.Journeys.from_events(touched, reached)
        assert journeys.warnings[-1] == journeys.findings[-1].text
    assert told[0].filename == __file__
    assert told[0].message.finding.examples == ("'AD' (6 rows)", "'ad' (6 rows)")
    assert told[0].message.finding.key in KEYS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=r".*\[near_names\]")
        attrib.Journeys.from_events(touched, reached).reconcile()


# names ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Email", "email"),
        ("email", "email "),
        ("email", "email\u00a0"),
        ("email", "em\u0430il"),  # Cyrillic a
        ("NEWS", "\u039dEWS"),  # Greek capital nu
        ("email", "e\u200bmail"),
        ("caf\u00e9", "cafe\u0301"),
        ("caf\u00e9", "caf\u00c3\u00a9"),  # UTF-8 read as Latin
        ("Stra\u00dfe", "STRASSE"),
        ("paid search", "paid_search"),
        ("e-mail", "email"),
        ("paid search", "paid%20search"),
        ("search & social", "search &amp; social"),
        ("google", "go0gle"),
        ("email", "emaiI"),
        ("email", "ema1l"),
        ("direct", "(direct)"),
        ("\uff34\uff36", "tv"),
        ("email", "ernail"),
        ("microsoft", "rnicrosoft"),
        ("bing", "blng"),
        ("linkedin", "llnkedin"),
        ("facebook", "faceb00k"),
        ("twitter", "tvvitter"),
    ],
)
def test_channels_that_differ_only_in_spelling(one, other):
    touched, reached = some(channel=one)
    more = touches([(1, DAY, other)])
    assert found(pl.concat([touched, more]), reached)["near_names"].count == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mail", "mall"),
        ("c0", "co"),
        ("10", "1 0"),
        ("a-1", "a 11"),
        ("ad1", "ad2"),
        ("radio", "ratio"),
        ("+", "-"),
        ("milk", "miik"),
        ("apply", "appiy"),
    ],
)
def test_other_channels_are_others(one, other):
    touched, reached = some(channel=one)
    assert found(pl.concat([touched, touches([(1, DAY, other)])]), reached) == {}


def test_a_name_of_rejected_rows_is_not_met():
    touched, reached = some()
    bad = touched.head(1).with_columns(customer_id=pl.lit(None, pl.Int64), channel=pl.lit("AD"))
    assert "near_names" not in found(pl.concat([touched, bad]), reached, max_rejects=1.0)


def test_names_in_by_and_player_columns_and_interactions():
    touched, reached = some()
    touched = touched.with_columns(
        country=pl.Series(["DE", "de"] * 3), source=pl.Series(["xy", "x_y"] * 3), interaction=pl.Series(["Click"] * 6)
    )
    assert found(touched, reached, by=["country"])["near_names"].count == 2
    assert "near_names" not in found(touched, reached, player=["channel", "source"])  # three letters: a code
    touched = touched.with_columns(source=pl.Series(["news letter", "news_letter"] * 3))
    assert found(touched, reached, player=["channel", "source"])["near_names"].table == "touchpoints"
    near = found(touched, reached, lookback={"click": "30d", "*": "1d"})["near_keys"]
    assert near.examples == ("'Click' for 'click'",)


def test_games_spelled_otherwise_in_the_other_table():
    touched, reached = some()
    touched, reached = touched.with_columns(country=pl.lit("DE")), reached.with_columns(country=pl.lit("de"))
    told = found(touched, reached, by=["country"])["near_names"]
    assert (told.table, told.examples) == ("touchpoints and outcomes", ("'DE' (6 rows)", "'de' (4 rows)"))
    assert "near_names" not in found(touched, reached.with_columns(country=pl.lit("DE")), by=["country"])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("1001", "1001 "), ("1001", "1001.0"), ("1001", "01001"), ("1001", "1001\u200b"), ("an@x.de", "an@X.de"),
        ("AbC", "abc"), ("1b4e28ba-2fa1-11d2-883f-0016d3cca427", "1b4e28ba2fa111d2883f0016d3cca427"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("turned", [False, True])
def test_customers_spelled_otherwise_in_the_other_table(ours, theirs, turned):
    one, other = (theirs, ours) if turned else (ours, theirs)
    touched, reached = (t.with_columns(pl.col("customer_id").cast(pl.String)) for t in some())
    touched = pl.concat([touched, touches([(one, DAY, "tv")])])
    reached = pl.concat([reached, orders([(other, LATER, "purchase", 1.0)])])
    told = found(touched, reached)["near_customers"]
    assert (told.count, told.of) == (1, 1)
    assert "near_customers" not in found(touched, reached.with_columns(pl.col("customer_id").replace(other, one)))
    visits = reached.with_columns(outcome=pl.when(customer_id=other).then(pl.lit("visit")).otherwise("outcome"))
    assert "near_customers" not in found(touched, visits)  # they count for nothing


def test_ids_that_case_tells_apart_are_not_near():
    touched = touches([(f"{a}{b}", DAY, "ad") for a in "aAbB" for b in "xXyY"])
    reached = orders([("ax", LATER, "purchase", 1.0), ("AZ", LATER, "purchase", 1.0)])
    assert "near_customers" not in found(touched, pl.concat([reached, orders([("aZ", LATER, "purchase", 1.0)])]))


def linked(pairs, **recipe):
    touched, reached = (t.with_columns(pl.format("c{}", "customer_id").alias("customer_id")) for t in some())
    links = pl.DataFrame(pairs, schema=["id", "other_id"], orient="row")
    return found(touched, reached, identities=links.with_columns(**recipe.pop("more", {})), **recipe)


def test_links_of_placeholders():
    told = linked([("c1", "unknown"), ("c2", "unknown"), ("c3", "{{user_id}}"), ("c4", "c5")])["placeholder_customers"]
    assert (told.table, told.count, told.of) == ("identities", 3, 4)
    assert told.examples == ("'unknown' (linked with 2)", "'{{user_id}}' (linked with 1)")
    assert linked([("c1", "0"), ("c2", "0"), ("c3", "0")])["placeholder_customers"].count == 3
    assert "placeholder_customers" not in linked([("c1", "0"), ("c2", "0")])


def test_links_that_meet_nobody_or_only_nearly():
    told = linked([("x1", "y1"), ("x2", "y2")])["unmet_links"]
    assert told.message.startswith("none of 4 linked ids")
    told = linked([("c1", "c2"), ("c3", "C4 "), ("c5", "C6")])["unmet_links"]
    assert told.examples == ("'C4 ' for 'c4'", "'C6' for 'c6'")
    assert "unmet_links" not in linked([("c1", "x1"), ("c2", "x2"), ("x3", "x4")])  # more customers than events


def test_columns_of_links_that_are_not_read():
    assert linked([("c1", "c2")], more={"created_at": pl.lit("2024-01-01")})["unread_columns"].table == "identities"
    assert "unread_columns" not in linked([("c1", "c2")], more={"source": pl.lit("crm")})


def test_rows_of_other_tables_that_are_equal_and_dates_of_costs():
    credit = attrib.credit(attrib.Journeys.from_events(*some()), attrib.LastTouch(), intervals=None)
    tests = pl.DataFrame({"channel": ["ad", "ad"], "increment": [4.0, 4.0], "standard_error": [1.0, 1.0]})
    with pytest.warns(FindingWarning, match=r"1 of 2 rows of lift_tests are equal .*\[equal_rows\]"):
        attrib.calibrate(credit, tests)
    costs = pl.DataFrame({"channel": ["ad", "ad"], "cost": [1.0, 1.0], "date": ["2024-01-01"] * 2})
    with pytest.warns(FindingWarning, match=r"1 of 2 rows of costs are equal .*\[equal_rows\]"):
        attrib.spend(credit, costs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", attrib.AttribWarning)
        warnings.simplefilter("error", FindingWarning)
        attrib.spend(credit, costs.drop("date"))  # as two campaigns may
        attrib.spend(credit, pl.concat([costs[:1], costs.with_columns(cost=pl.lit(0.0))]))  # two that paused that day
        attrib.calibrate(credit, tests.with_columns(test=pl.Series([1, 2])))
    days = costs.with_columns(date=pl.Series([date(1970, 1, 1), date(2024, 1, 1)]))
    for dtype in (pl.String, pl.Date, pl.Datetime("ms")):
        odd = days.with_columns(pl.col("date").cast(dtype))
        with pytest.warns(attrib.AttribWarning, match="1 of 2 rows of costs lie before 1990, the earliest at 1970"):
            attrib.spend(credit, odd)
    with pytest.warns(attrib.AttribWarning, match="rows of costs lie in the future, 1 of them by more than a year"):
        attrib.spend(credit, costs.with_columns(date=pl.Series(["2024-01-01", "2055-01-01"])))
    paths = pl.DataFrame({"path": ["a", "b"], "total_conversions": [1, 2]})
    assert [f.key for f in attrib.Journeys.from_paths(pl.concat([paths, paths])).findings] == ["equal_rows"]
    assert attrib.Journeys.from_paths(pl.concat([paths, paths[:1]])).findings == ()  # a row a journey


def test_a_target_spelled_in_two_ways():
    touched, reached = some()
    more = orders([(1, LATER, "Purchase", 1.0), (2, LATER, "purchase ", 1.0), (2, LATER, "visit", 1.0)])
    near = found(touched, pl.concat([reached, more]))["near_target"]
    assert (near.count, near.of) == (2, 7)
    assert "near_target" not in found(touched, pl.concat([reached, more[2:]]))
    stages = attrib.StageModel([("before", "Purchase"), ("all", "purchase")])  # both are wanted
    assert found(touched, pl.concat([reached, more]), stages=stages)["near_target"].count == 1


def test_direct_costs_and_lift_tests():
    touched, reached = some(channel="Direct")
    journeys = attrib.Journeys.from_events(touched, reached)
    with pytest.warns(FindingWarning, match=r"'direct' for 'Direct'.*\[near_keys\]"):
        table = attrib.credit(journeys, attrib.LastNonDirect(), intervals=None)
    with pytest.warns(FindingWarning, match=r"costs: 1 of the names is not .*'DIRECT' for 'Direct'.*\[near_keys\]"):
        attrib.spend(table, pl.DataFrame({"channel": ["DIRECT", "tv"], "cost": [1.0, 2.0]}))
    tests = pl.DataFrame({"channel": ["direct "], "increment": [1.0], "standard_error": [1.0]})
    with pytest.raises(attrib.DataError, match="spelled nearly alike: 'direct ' for 'Direct'"):
        attrib.calibrate(table, tests)


def test_names_of_a_path_table():
    paths = pl.DataFrame({"path": ["Email > ad", "email"], "total_conversions": [1, 2], "total_null": [1, 1]})
    assert [f.key for f in attrib.Journeys.from_paths(paths).findings] == ["near_names"]


# customers ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    [
        "NULL",
        "nan",
        "None",
        "Anonymous",
        "(not set)",
        "N/A",
        "-",
        "undefined",
        "\u00a0",
        "{{user_id}}",
        "${user_id}",
        "not logged in",
        "anonymous_user",
        "\u2014",
    ],
)
def test_customers_that_are_placeholders(name):
    touched, reached = (t.with_columns(pl.col("customer_id").cast(pl.String)) for t in some())
    nobody = touches([(name, DAY + timedelta(hours=h), "tv") for h in range(3)])
    told = found(pl.concat([touched, nobody]), reached)["placeholder_customers"]
    assert (told.count, told.of) == (3, 13)
    assert "placeholder_customers" not in found(pl.concat([touched, nobody[:1]]), reached)  # one row is no heap


@pytest.mark.parametrize("kind", [pl.Int64, pl.UInt64, pl.String])
def test_a_number_is_a_placeholder_only_with_many_rows(kind):
    touched, reached = some()
    many = touches([(0, DAY + timedelta(hours=h), "tv") for h in range(100)])
    tables = pl.concat([touched, many]), reached
    told = found(*(t.with_columns(pl.col("customer_id").cast(kind)) for t in tables))["placeholder_customers"]
    assert told.examples == ("'0' (100 rows)",)
    assert "placeholder_customers" not in found(pl.concat([touched, many[1:]]), reached)


def bot(n, at=7):
    return touches([(at, DAY + timedelta(seconds=s), "ca"[s % 2]) for s in range(n)])


@pytest.mark.parametrize("ids", [pl.Int64, pl.String])
@pytest.mark.parametrize("first", [True, False])
def test_one_customer_who_makes_most_of_the_touches(ids, first):
    touched, reached = some(300)
    tables = [bot(5_000, at=999), touched] if first else [touched, bot(5_000, at=999)]
    whole = pl.concat(tables).with_columns(pl.col("customer_id").cast(ids))
    told = found(whole, reached.with_columns(pl.col("customer_id").cast(ids)))["one_customer"]
    assert (told.count, told.of, told.examples) == (5_000, 5_302, ("'999'",))
    assert "max_touches" in told.hint
    assert "one_customer" not in found(pl.concat([touched, bot(1_000, at=999)]), reached)


def test_one_customer_who_places_most_of_the_orders():
    touched, reached = some(300)
    reseller = orders([(5, LATER + timedelta(minutes=m), "purchase", 1.0) for m in range(150)])
    told = found(touched, pl.concat([reached, reseller]))["one_customer"]
    assert (told.table, told.count) == ("outcomes", 151)


def test_orders_loaded_twice():
    touched, reached = some()
    assert found(touched, pl.concat([reached, reached[:1]]))["equal_outcomes"].count == 1
    assert found(touched, pl.concat([reached] * 3))["equal_outcomes"].count == 8
    other_value = reached[:1].with_columns(value=pl.lit(11.0))
    other_outcome = reached[:1].with_columns(outcome=pl.lit("visit"))
    assert "equal_outcomes" not in found(touched, pl.concat([reached, other_value, other_outcome, other_outcome]))
    ids = pl.concat([reached, reached[:1]]).with_columns(event_id=pl.int_range(5))
    assert "equal_outcomes" not in found(touched, ids)
    assert found(touched, ids.with_columns(event_id=pl.lit(None, pl.Int64)))["equal_outcomes"].count == 1


def test_equal_orders_of_a_day_are_told_from_one_in_a_hundred_on():
    touched, reached = some(300)
    dated = reached.with_columns(pl.lit(date(2024, 1, 3)).alias("timestamp"))
    assert "equal_outcomes" not in found(touched, pl.concat([dated, dated[:2]]))
    assert found(touched, pl.concat([dated, dated[:10]]))["equal_outcomes"].count == 10


@pytest.mark.parametrize("kind", [pl.Int64, pl.String])
def test_one_order_on_several_customers(kind):
    touched, reached = some()
    ids = reached.with_columns(event_id=pl.Series([1, 1, 2, None]).cast(kind))
    told = found(touched, ids)["shared_event_id"]
    assert (told.count, told.of) == (1, 2)
    assert "shared_event_id" not in found(touched, ids[1:])


def test_one_order_id_on_several_customers_or_rows():
    touched, reached = some()
    alone = reached.with_columns(order_id=pl.Series(["a", "b", "c", None]))
    assert found(touched, alone) == {}
    several = found(touched, alone.with_columns(order_id=pl.Series(["a", "a", "c", None])))
    assert (several["shared_order_id"].count, several["shared_order_id"].of) == (1, 2)
    later = alone.with_columns(pl.col("timestamp") + timedelta(hours=1))
    twice = found(touched, pl.concat([alone, later]))
    assert (twice["repeated_order_id"].count, twice["repeated_order_id"].of) == (3, 6)
    refunds = later.with_columns(-pl.col("value"))
    assert not {"shared_order_id", "repeated_order_id"} & set(found(touched, pl.concat([alone, refunds])))


def told_by(ask, *tables):
    """Findings of what is asked, as far as they say the same of purchases, by key and count."""
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        ask(*tables)
    told = (warning.message.finding for warning in met if isinstance(warning.message, FindingWarning))
    return {(one.key, one.table, one.count, one.of) for one in told}


def snapshot_of(touched, reached):
    attrib.snapshot(touched, reached, at="2024-01-20", purpose="score")


def history_of(_touched, reached):
    attrib.lifecycle.purchase_summary(reached, "2024-01-20")


ODD = {
    "placeholders": lambda t, o: (t, pl.concat([o, o.with_columns(customer_id=pl.lit("NULL"))])),
    "twice": lambda t, o: (t, pl.concat([o, o])),
    "spelled": lambda t, o: (t, pl.concat([o, o.with_columns(outcome=pl.lit("Purchase"))])),
    "unread": lambda t, o: (t, o.rename({"value": "revenue"}).with_columns(refunded=0)),
    "returned": lambda t, o: (
        t,
        pl.concat([o, o.with_columns(-pl.col("value") / 2)]).with_columns(transaction_id=pl.int_range(pl.len())),
    ),
    "event ids": lambda t, o: (t, o.with_columns(event_id=pl.Series([1, 1, 2, None]))),
    "order ids": lambda t, o: (t, pl.concat([o, o[:1]]).with_columns(order_id=pl.Series(["a", "a", "b", " ", "a"]))),
    "channels": lambda t, o: (pl.concat([t, t.with_columns(channel=pl.lit("Ad"))]), o),
    "nothing": lambda t, o: (t, o),
}


@pytest.mark.parametrize("odd", ODD)
def test_snapshots_and_purchase_histories_say_the_same(odd):
    text = [table.with_columns(pl.col("customer_id").cast(pl.String)) for table in some()]
    tables = ODD[odd](*text)
    wanted = told_by(lambda *given: attrib.Journeys.from_events(*given).reconcile(), *tables)
    assert bool(wanted) == (odd != "nothing")
    assert told_by(snapshot_of, *tables) == wanted
    alone = {one for one in wanted if one[1] == "outcomes"}
    assert {one for one in told_by(history_of, *tables) if one[1] == "outcomes"} == alone


def test_several_currencies_are_no_sum_in_snapshots_and_purchase_histories_either():
    touched, reached = some()
    mixed = reached.with_columns(currency=pl.Series(["EUR", "USD", "EUR", None]))
    for ask in (snapshot_of, history_of):
        with pytest.raises(attrib.DataError, match="2 currencies"):
            ask(touched, mixed)
        ask(touched, mixed.with_columns(currency=pl.Series(["EUR", "eur ", "EUR", None])))


# columns --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    [
        *(
            "revenue",
            "Amount",
            "orderValue",
            "Umsatz",
            "total price",
            "MONTANT",
            "amount_paid",
            "total_paid",
            "sales_usd",
        ),
        *("Bestellwert", "ecommerce.purchase_revenue", "purchase_revenue_in_usd", "payment_value", "revenue_in_eur"),
    ],
)
def test_a_value_that_is_not_read(name):
    touched, reached = some()
    told = found(touched, reached.rename({"value": name}))["unread_columns"]
    assert told.examples == (name,)
    assert f'columns={{"value": "{name}"}}' in told.hint
    assert found(touched, reached.rename({"value": name}), columns={"value": name}) == {}  # the hint leads on
    assert found(touched, reached.with_columns(pl.lit(1.0).alias(name))) == {}  # beside a value it is something else


def test_a_value_beside_flags_that_is_not_read():
    table = some()[0].with_columns(conversion=pl.lit(1), revenue=pl.lit(2.0))
    told = found(table, attrib.InlineOutcome("conversion"))["unread_columns"]
    assert 'InlineOutcome(value="revenue")' in told.hint
    assert "unread_columns" not in found(table, attrib.InlineOutcome("conversion", "revenue"))


@pytest.mark.parametrize(
    ("side", "name", "word"),
    [
        ("outcomes", "transaction_id", "event_id"),
        ("outcomes", "order_status", "refunded"),
        ("outcomes", "is_refund", "negative"),
        ("outcomes", "timezone", "zone"),
        ("outcomes", "txn_id", "event_id"),
        ("outcomes", "ecommerce.transaction_id", "event_id"),
        ("outcomes", "Financial Status", "refunded"),
        ("outcomes", "cancelled_at", "refunded"),
        ("outcomes", "test_order", "refunded"),
        ("outcomes", "gmt_offset", "zone"),
        ("touchpoints", "store_timezone", "zone"),
        ("touchpoints", "hit_number", "sequence"),
        ("touchpoints", "hit_id", "event_id"),
        ("touchpoints", "tz", "zone"),
    ],
)
def test_other_columns_that_are_not_read(side, name, word):
    touched, reached = some()
    tables = {"touchpoints": touched, "outcomes": reached}
    tables[side] = tables[side].with_columns(pl.int_range(pl.len()).alias(name))
    told = found(*tables.values())["unread_columns"]
    assert told.table == side
    assert name in told.message
    assert word in told.text


def test_names_that_only_sound_like_such_columns_are_none():
    touched, reached = some()
    names = (
        *(
            "sales_channel",
            "paid_search",
            "price_list",
            "total_items",
            "discount_amount",
            "order_date",
            "order_item_id",
        ),
        *("returning_customer", "shipping_status", "currency_rate", "state", "order_status_url", "visit_number"),
    )
    reached = reached.drop("value").with_columns(pl.lit("x").alias(name) for name in names)
    assert found(touched, reached) == {}


@pytest.mark.parametrize(
    ("table", "name", "says"),
    [
        ("costs", "refund", "taken off the costs"),
        ("costs", "timezone", "whatever their zones"),
        ("lift_tests", "country", "a test of one part"),
        ("lift_tests", "currency", "not money"),
        ("paths", "revenue", "count 1.0 each"),
        ("paths", "amount_paid", "count 1.0 each"),
        ("paths", "non_conversions", "no journey fails"),
        ("paths", "refunded_orders", "counts like the rest"),
        ("values", "refunded_amount", "taken off the values"),
    ],
)
def test_columns_of_other_tables_that_are_not_read(table, name, says):
    journeys = attrib.Journeys.from_events(*some())
    credit = attrib.credit(journeys, attrib.LastTouch(), intervals=None)
    costs = pl.DataFrame({"channel": ["ad"], "cost": [1.0], "date": ["2024-01-01"]})
    tests = pl.DataFrame({"channel": ["ad"], "increment": [1.0], "standard_error": [1.0]})
    paths = pl.DataFrame({"path": ["ad", "tv"], "total_conversions": [1, 2]})
    values = pl.DataFrame({"customer_id": [1, 2, 3, 4], "value": [1.0] * 4})

    def ask(**more):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            if table == "costs":
                attrib.spend(credit, costs.with_columns(**more), period=("2024-01-01", "2024-02-01"))
            elif table == "lift_tests":
                attrib.calibrate(credit, tests.with_columns(**more))
            elif table == "paths":
                attrib.Journeys.from_paths(paths.with_columns(**more)).reconcile()
            else:
                attrib.retention_adjusted(
                    journeys, attrib.LastTouch(), values=values.with_columns(**more), intervals=None
                )
        return [one.message.finding for one in told if isinstance(one.message, FindingWarning)]

    assert [one.key for one in ask()] == []
    (one,) = ask(**{name: pl.lit("3")})
    assert (one.key, one.table) == ("unread_columns", table)
    assert says in one.message
    assert one.examples == (name,)


def test_zones_beside_times_that_have_one_say_nothing_new():
    tables = [t.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC"), tz=pl.lit("CET")) for t in some()]
    assert found(*tables) == {}


def test_several_currencies_are_no_sum():
    touched, reached = some()
    mixed = reached.with_columns(Currency=pl.Series(["EUR", "eur ", "USD", None]))
    with pytest.raises(attrib.DataError) as error:
        found(touched, mixed)
    assert error.value.key == "several_currencies"
    assert error.value.facts["currencies"] == ["EUR", "USD"]
    assert 'by=["Currency"]' in str(error.value)
    assert found(touched, mixed, by=["Currency"]) is not None
    assert found(touched, mixed[[0, 1, 3]]) == {}
    assert found(touched, mixed.with_columns(value=pl.Series([1.0, 1.0, 0.0, 1.0]))) == {}
    assert found(touched, mixed.drop("value")) is not None  # counts have no currency
    other = mixed.with_columns(outcome=pl.Series(["purchase", "purchase", "visit", "purchase"]))
    assert found(touched, other) == {}  # visits count for nothing


@pytest.mark.parametrize("name", ["presentment_currency", "currency_iso", "price_currency_code", "Devise", "curr_code"])
@pytest.mark.parametrize("pair", [["EUR", "USD"], ["978", "840"], [978, 840], [978.0, 392.0], ["€", "$"]])
def test_columns_that_name_currencies(name, pair):
    touched, reached = some()
    with pytest.raises(attrib.DataError, match="names 2 currencies"):
        found(touched, reached.with_columns(pl.Series(name, pair * 2)))
    one = pl.Series(name, [pair[0], pair[0], "" if isinstance(pair[0], str) else 0, None], strict=False)
    assert found(touched, reached.with_columns(one)) == {}


def test_one_currency_in_several_spellings_and_amounts_in_local_currency_are_no_currencies():
    touched, reached = some()
    assert found(touched, reached.with_columns(currency=pl.Series(["EUR", "Euro", "€", "978"]))) == {}
    assert found(touched, reached.with_columns(value_in_local_currency=pl.Series([1.5, 2.5, 3.5, 4.0]))) == {}
    both = reached.with_columns(currency=pl.lit("EUR"), presentment_currency=pl.Series(["EUR", "USD"] * 2))
    assert found(touched, both) == {}  # the plainest name is that of the value


def test_several_currencies_of_path_tables_and_of_values(tmp_path):
    paths = pl.DataFrame(
        {"path": ["ad", "tv", "x"], "total_conversions": [1, 1, 0], "total_conversion_value": [1.0, 2.0, 0.0],
         "shop_currency": ["EUR", "USD", "JPY"]}
    )  # fmt: skip
    paths.write_csv(tmp_path / "paths.csv")
    for table in (paths, tmp_path / "paths.csv"):
        with pytest.raises(attrib.DataError, match="'shop_currency' names 2 currencies") as error:
            attrib.Journeys.from_paths(table).reconcile()
        assert error.value.facts["currencies"] == ["EUR", "USD"]
        attrib.Journeys.from_paths(table, value=None).reconcile()
    journeys = attrib.Journeys.from_events(*some())
    values = pl.DataFrame({"customer_id": [1, 2, 3, 4, 99], "value": [1.0] * 5, "currency": ["EUR"] * 4 + ["USD"]})
    attrib.retention_adjusted(journeys, attrib.LastTouch(), values=values, intervals=None)  # 99 is nobody here
    mixed = values.with_columns(currency=pl.Series(["EUR", "USD"] * 2 + ["EUR"]))
    with pytest.raises(attrib.DataError, match="values: column 'currency' names 2 currencies"):
        attrib.retention_adjusted(journeys, attrib.LastTouch(), values=mixed, intervals=None)


def test_several_currencies_of_flagged_rows_and_of_costs():
    table = some()[0].with_columns(
        conversion=pl.Series([1, 1, 0, 0, 0, 0]), revenue=pl.lit(2.0), currency=pl.Series(["EUR", "USD"] * 3)
    )
    with pytest.raises(attrib.DataError, match="EUR, USD"):
        found(table, attrib.InlineOutcome("conversion", "revenue"))
    assert found(table, attrib.InlineOutcome("conversion", "revenue"), by=["currency"]) is not None
    credit = attrib.credit(attrib.Journeys.from_events(*some()), attrib.Linear(), intervals=None)
    costs = pl.DataFrame({"channel": ["ad", "ad"], "cost": [1.0, 2.0], "currency": ["EUR", "USD"]})
    with pytest.raises(attrib.DataError, match="names 2 currencies"):
        attrib.spend(credit, costs)
    assert attrib.spend(credit, costs.filter(currency="EUR"))["cost"].sum() == 1.0


# the other side -------------------------------------------------------------------------------------------------------
def test_customers_of_orders_without_a_touch():
    touched, reached = some(10)
    strangers = reached.with_columns(pl.col("customer_id") + 100)
    told = found(touched, pl.concat([reached, strangers[:5]]))["customers_without_touch"]
    assert (told.count, told.of) == (5, 15)
    assert "customers_without_touch" not in found(touched, pl.concat([reached, strangers[:4]]))


def by_day(days, a_day=10, hour=9):
    start = datetime(2024, 1, 1, hour)
    return [(d * 100 + k, start + timedelta(days=d, seconds=k)) for d in days for k in range(a_day)]


def of_days(touch_days, order_days, a_day=10):
    return (
        touches([(*row, "ad") for row in by_day(touch_days, a_day)]),
        orders([(*row, "purchase", 1.0) for row in by_day(order_days, a_day, 15)]),
    )


MONTH = range(30)
HOLE = [d for d in MONTH if not 10 <= d < 15]


def test_days_without_touches_or_orders():
    told = found(*of_days(HOLE, MONTH))["days_without_events"]
    assert (told.table, told.count, told.of, told.examples) == ("touchpoints", 5, 30, ("2024-01-11 to 2024-01-15",))
    told = found(*of_days(MONTH, HOLE))["days_without_events"]
    assert (told.table, told.count) == ("outcomes", 5)
    told = found(*of_days(HOLE, HOLE))["days_without_events"]
    assert (told.table, told.count) == ("events", 5)
    assert "days_without_events" not in found(*of_days(HOLE, MONTH, a_day=1))  # may be chance


def test_a_shop_that_is_closed_on_sundays_misses_nothing():
    open_days = [d for d in range(60) if datetime(2024, 1, 1).weekday() + d % 7 != 6]
    assert "days_without_events" not in found(*of_days(open_days, range(60)))


def test_days_far_off_are_no_outage():
    touched, reached = of_days(MONTH, MONTH)
    old = touches([(1, datetime(1970, 1, 1), "ad")])
    assert set(found(pl.concat([touched, old]), reached)) == set()


def test_orders_before_the_first_touch_and_after_the_last():
    told = found(*of_days(range(10, 30), MONTH))["outcomes_outside_touches"]
    assert (told.count, told.of) == (100, 300)
    assert "before the first touch of 2024-01-11" in told.message
    assert "after the last of 2024-01-20" in found(*of_days(range(20), MONTH))["outcomes_outside_touches"].message
    assert "outcomes_outside_touches" not in found(*of_days(MONTH, range(5, 30)))
    assert "outcomes_outside_touches" not in found(*of_days([0], [0, 1, 2]))  # a cohort: nobody else was to come


def test_stages_that_nobody_is_in():
    touched, reached = some()
    stages = attrib.StageModel([("one", "visit"), ("two", "purchase"), ("three", None)])
    reached = pl.concat([reached, reached.with_columns(outcome=pl.lit("visit"))])
    told = found(touched, reached, stages=stages)["empty_stages"]  # both milestones at once: nobody is in the second
    assert told.examples == ("'two'",)
    later = reached.with_columns(
        pl.when(outcome="visit")
        .then(pl.col("timestamp") - timedelta(hours=1))
        .otherwise("timestamp")
        .alias("timestamp")
    )
    assert "empty_stages" not in found(touched, later, stages=stages)
    carried = touched.with_columns(stage=pl.lit("one"))
    told = found(carried, reached, stages=attrib.StageColumn("stage", order=["one", "Two"]), view="resolved")
    assert told["empty_stages"].examples == ("'Two'",)


@pytest.mark.parametrize("method", [attrib.Markov(), attrib.Shapley("rate"), attrib.ShaoLi()])
def test_methods_that_need_nulls_say_that_there_are_none(method):
    paths = pl.DataFrame({"path": ["A > B", "B"], "total_conversions": [10, 20]})
    for journeys in (attrib.Journeys.from_paths(paths), attrib.Journeys.from_events(*(t[:4] for t in some()))):
        with pytest.warns(FindingWarning, match=r"\[no_nulls\]"):
            attrib.credit(journeys, method, intervals=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attrib.credit(attrib.Journeys.from_paths(paths), attrib.Linear(), intervals=None)
        attrib.credit(attrib.Journeys.from_events(*some()), attrib.Markov(), intervals=None)
