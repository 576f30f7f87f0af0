"""Credit that flows back along referrals: the same as the slow twin says, on any data and in any order."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
import strategies
from attrib.errors import SpecError
from reference_intervals import bounds
from reference_referrals import adjusted
from referred import METHODS, counts, credits_of, told
from stories import form, rows

# against the twin ---------------------------------------------------------------------------------


@st.composite
def referred_tables(draw):
    columns = {
        "touchpoints": ["country"],
        "outcomes": draw(st.sampled_from([["value"], ["value", "event_id", "country"]])),
    }
    touched, reached = draw(strategies.event_tables(customers=7, touches=4, outcomes=4, columns=columns))
    names = sorted({row["customer_id"] for row in (*touched, *reached)})
    for row in reached:
        row["referrer_id"] = draw(st.sampled_from([None, *names, *names, "nobody"]))
    if all(row["referrer_id"] is None for row in reached):
        reached[0]["referrer_id"] = "nobody"  # a column of nulls has no type
    return touched, reached


def check_twin(found, twin, number):
    """Compare by key; games of no value and players of no credit may be in one of them only."""
    keys = found.columns[: found.columns.index("kind")]
    mine = {}
    for row in found.to_dicts():
        key = tuple(row[k] for k in keys[:-1]), (row[keys[-1]],) if row["kind"] == "player" else None
        assert key not in mine
        mine[key] = row[number]
    for key in {*mine, *twin}:
        assert mine.get(key, 0.0) == pytest.approx(float(twin.get(key, 0)), rel=1e-9, abs=1e-9), key


@given(
    tables=referred_tables(),
    recipe=strategies.recipes(),
    by=st.sampled_from([(), ("country",)]),
    rule=st.sampled_from(sorted(METHODS)),
    pass_on=st.sampled_from([0, 0.25, 0.5, 1]),
    channels=st.sampled_from([("a",), ("a", "direct"), ("b", "null", "a > b")]),
    valued=st.booleans(),
)
@pytest.mark.filterwarnings("ignore::attrib.AttribWarning")
def test_the_twin_says_the_same(tables, recipe, by, rule, pass_on, channels, valued):
    touched, reached = tables
    recipe |= {"by": by}
    names = sorted({row["customer_id"] for row in (*touched, *reached)})
    values = {name: number - 2 for number, name in enumerate(names)} if valued else None
    direct, wanted, reasons = adjusted(
        touched, reached, rule, pass_on=pass_on, channels=channels, values=values, **recipe
    )
    journeys = attrib.Journeys.from_events(*strategies.to_frames(touched, reached), **strategies.public(recipe))
    frame = None if values is None else pl.DataFrame({"customer_id": names, "value": list(values.values())})
    found = attrib.referral_adjusted(
        journeys, METHODS[rule], pass_on=pass_on, channel=channels, values=frame, intervals=None
    )
    check_twin(found.table, direct, "direct")
    check_twin(found.table, wanted, "referral_adjusted")
    assert found.table["referral_adjusted"].sum() == pytest.approx(float(sum(direct.values())), rel=1e-9, abs=1e-9)
    listed = found.rejected.group_by("reason").len().with_columns(pl.col("reason").cast(pl.String))
    assert dict(listed.rows()) == dict(reasons)
    assert {entry: n for entry, n in counts(found).items() if entry in reasons} == dict(reasons)


@pytest.mark.filterwarnings("ignore::attrib.AttribWarning")
def test_who_has_refunds_alone_is_no_customer_and_says_why_in_claims():
    """Nobody else is taken for the one who claims, either."""
    touched, reached = rows("ann 1ad | 2purchase=10\nbob 3referral | 4purchase=8")
    times = [row["timestamp"] for row in reached]
    for row in reached:
        row["referrer_id"] = None
    for name, referrer in (("cid", "cid"), ("dot", "ann"), ("eve", "nobody"), ("fay", "cid")):
        refund = {"customer_id": name, "timestamp": times[0], "outcome": "purchase", "value": -5.0}
        reached.append(refund | {"referrer_id": referrer})
    reached[1]["referrer_id"] = "cid"  # of bob
    found = attrib.referral_adjusted(form(touched, reached), attrib.Linear(), intervals=None)
    assert sorted(found.rejected.select("customer_id", "reason").rows()) == [
        ("bob", "unknown_referrer"), ("cid", "self_referral"), ("dot", "not_acquired"), ("eve", "unknown_referrer"),
        ("fay", "unknown_referrer"),
    ]  # fmt: skip
    assert counts(found)["claimed"] == 1  # bob: the others are no customers
    assert found.table["direct"].sum() == 18


MODEL = [("see", attrib.Milestone("visit")), ("do", attrib.Milestone("purchase"))]


def test_stages_of_the_touch_in_the_view_resolved():
    story = "ann 1ad 3ad | 2visit 4purchase=10\nbob 5referral 7mail | 6visit 8purchase=8"
    journeys = told(story, {"bob": "ann"}, stages=attrib.StageModel(MODEL), view="resolved")
    found = attrib.referral_adjusted(journeys, attrib.Linear(), pass_on=0.5, intervals=None)
    assert found.table.columns[:2] == ["stage", "channel"]
    rows_found = {
        row[:2]: row[2:] for row in found.table.select("stage", "channel", "direct", "referral_adjusted").rows()
    }
    assert rows_found["see", "ad"] == (5.0, 6.0)
    assert rows_found["do", "ad"] == (5.0, 6.0)
    assert rows_found["see", "referral"] == (4.0, 2.0)
    assert rows_found["do", "mail"] == (4.0, 4.0)
    journeys = told(story, {"bob": "ann"}, stages=attrib.StageModel(MODEL))
    with pytest.raises(SpecError, match="resolved") as caught:
        attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None)
    assert caught.value.key == "no_acquisitions"


def test_players_without_the_channel_still_know_which_touch_is_a_referral():
    touched, reached = rows("ann 1ad | 2purchase=10\nbob 3referral 4ad | 5purchase=8")
    for row in touched:
        row["direct"] = "x"  # also the name of one of our columns
    for row in reached:
        row["referrer_id"] = "ann" if row["customer_id"] == "bob" else None
    found = attrib.referral_adjusted(form(touched, reached, player="direct"), attrib.Linear(), intervals=None)
    assert found.table.columns[0] == "player_direct"
    # one player keeps and gets all
    assert found.table.filter(kind="player").select("direct", "referral_adjusted").rows() == [(18.0, 18.0)]


# intervals ----------------------------------------------------------------------------------------


def test_intervals_draw_whole_trees():
    from attrib.engines.base import BUCKETS, Units
    from attrib.engines.customers import hash_customers
    from attrib.intervals import Replicates

    rng = np.random.default_rng(3)
    names = [f"c{i}" for i in range(400)]
    referrers = [None if i < 40 or rng.random() < 0.3 else names[rng.integers(0, i)] for i in range(400)]
    story = "\n".join(
        f"{name} {2 * i}{'referral' if referrer else 'ad'} | {2 * i + 1}purchase={rng.integers(1, 20)}"
        for i, (name, referrer) in enumerate(zip(names, referrers, strict=True))
    )
    journeys = told(story, dict(zip(names, referrers, strict=True)))
    found = attrib.referral_adjusted(journeys, attrib.Linear(), replicates=200, seed=7, intervals=0.9)

    root = {}
    for name, referrer in zip(names, referrers, strict=True):
        root[name] = root[referrer] if referrer else name
    bucket = hash_customers(pl.Series([root[name] for name in names]), "text")[0] >> np.uint64(56)
    weights = Replicates.draw(Units("buckets", np.zeros(BUCKETS, np.int64)), 7, 0, 200).weights
    touched, reached = rows(story)
    trees = dict(zip(names, bucket.tolist(), strict=True))
    referral = np.zeros(BUCKETS)
    for b in range(BUCKETS):
        mine = [row for row in reached if trees[row["customer_id"]] == b]
        if mine:
            own = [{**row, "referrer_id": referrers[int(row["customer_id"][1:])]} for row in mine]
            seen = [row for row in touched if trees[row["customer_id"]] == b]
            _, credit, _ = adjusted(seen, own, "linear", pass_on=0.5, channels=["referral"])
            referral[b] = float(credit.get(((), ("referral",)), 0))
    row = found.table.filter(channel="referral").to_dicts()[0]
    assert row["referral_adjusted"] == pytest.approx(referral.sum())
    low, high = (side.item() for side in bounds(weights @ referral, 0.9))
    assert [row["referral_adjusted_low"], row["referral_adjusted_high"]] == pytest.approx([low, high])
    again = attrib.referral_adjusted(journeys, attrib.Linear(), replicates=200, seed=7, intervals=0.9)
    assert again.table.equals(found.table)
    without = attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None).table
    assert without.equals(found.table.select(without.columns))


# size ---------------------------------------------------------------------------------------------


def test_a_chain_of_a_hundred_thousand_and_any_order_of_rows():
    n = 100_000
    ids = pl.Series("customer_id", np.arange(n))
    times = pl.Series("timestamp", np.arange(n) * 1_000_000).cast(pl.Datetime("us"))
    channels = pl.Series("channel", ["referral"] * n).scatter(0, "ad")
    touches = pl.DataFrame([ids, times, channels])
    orders = pl.DataFrame([ids, times]).with_columns(
        outcome=pl.lit("purchase"), referrer_id=(ids - 1).set(ids == 0, None)
    )
    found = attrib.referral_adjusted(
        attrib.Journeys.from_events(touches, orders), attrib.Linear(), pass_on=1, intervals=None
    )
    assert credits_of(found) == {"ad": float(n), "referral": 0.0, "unattributed": 0.0}
    assert counts(found)["referred"] == n - 1
    shuffled = attrib.Journeys.from_events(
        touches.sample(fraction=1, shuffle=True, seed=1), orders.sample(fraction=1, shuffle=True, seed=2),
        engine=attrib.LocalEngine(threads=2),
    )  # fmt: skip
    sorted_ones = attrib.Journeys.from_events(touches, orders, engine=attrib.LocalEngine(threads=1))
    one, other = (
        attrib.referral_adjusted(journeys, attrib.Linear(), pass_on=1 / 3, replicates=20)
        for journeys in (shuffled, sorted_ones)
    )
    assert one.table.equals(other.table)  # to the last bit


@given(referrers=st.lists(st.integers(-1, 9), min_size=1, max_size=10))
def test_circles_are_those_whom_their_own_claims_lead_back_to(referrers):
    from attrib.kernels.forest import on_cycle

    n = len(referrers)
    named = [who if who < n else -1 for who in referrers]

    def leads_back(start):
        at = named[start]
        for _ in range(n):
            if at in (-1, start):
                break
            at = named[at]
        return at == start

    found = np.zeros(n, np.bool_)
    on_cycle(np.array(named), found)
    assert found.tolist() == [leads_back(start) for start in range(n)]
