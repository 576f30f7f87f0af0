"""Compiled loops against plain Python: hashes that are fixed for ever, exact sums, sorting."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference_ids import MASK, murmur, number_of, words_of_text

from attrib.engines.coding import (
    Dictionary,
    frozen,
    hash_texts,
    ordered_float,
    ordered_int,
    split_texts,
    text_words,
    unordered_float,
    unordered_int,
)
from attrib.engines.customers import hash_customers
from attrib.io import ids
from attrib.kernels import fixed, rows, words
from attrib.tally import to_float

SPLITMIX_STEP = 0x9E3779B97F4A7C15

# --- hashes ---


def hashed(texts: list[str]) -> list[tuple[int, int]]:
    h0, h1, _ = hash_texts(pl.Series(texts, dtype=pl.String))
    return list(zip(h0.tolist(), h1.tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "words_of"),
    [
        ("", (0, 0)),
        ("hello", (0xCBD8A7B341BD9B02, 0x5B1E906A48AE1D19)),
        ("The quick brown fox jumps over the lazy dog", (0xE34BBC7BBC071B6C, 0x7A433CA9C49A9347)),
    ],
)
def test_published_vectors_of_murmurhash(text, words_of):
    assert murmur(text.encode()) == words_of
    assert hashed([text]) == [words_of]


def test_texts_of_every_length_hash_as_published():
    texts = ["".join(chr(97 + (i * 7 + n) % 26) for i in range(n)) for n in range(70)]  # views end at 12, blocks at 16
    assert hashed(texts) == [murmur(text.encode()) for text in texts]


NUMBERS = [
    *("0", "7", "-7", "10", "123456789", "1234567890123", "9223372036854775807", "9223372036854775808"),
    *("18446744073709551615", "-9223372036854775808", "-1"),
]
NO_NUMBERS = [
    *("-0", "00", "07", "+7", " 7", "7 ", "7.0", "1e3", "--1", "-", "", "1-", "١", "0x1", "7a"),
    *("18446744073709551616", "99999999999999999999", "-9223372036854775809", "123456789012345678901"),
]


def test_a_text_that_is_a_number_is_that_number():
    assert hashed(NUMBERS) == [words_of_text(text) for text in NUMBERS]
    assert [number_of(text) for text in NUMBERS] == [int(text) for text in NUMBERS]
    assert hashed(NO_NUMBERS) == [murmur(text.encode()) for text in NO_NUMBERS]
    assert [number_of(text) for text in NO_NUMBERS] == [None] * len(NO_NUMBERS)
    signed = [text for text in NUMBERS if int(text) < 2**63]
    as_integers = hash_customers(pl.Series([int(text) for text in signed], dtype=pl.Int64), "integer")[0]
    assert as_integers.tolist() == [word for word, _ in hashed(signed)]
    frame = pl.DataFrame({"id": [*NUMBERS, *NO_NUMBERS]})
    assert frame.select(ids.number_of("id")).to_series().to_list() == [number_of(text) for text in frame["id"]]


@given(st.lists(st.from_regex(r"[-+ ]?[0-9]{0,22}", fullmatch=True), min_size=1))
def test_texts_that_may_be_numbers_hash_by_one_rule(texts):
    assert hashed(texts) == [words_of_text(text) for text in texts]
    found = pl.DataFrame({"id": texts}).select(ids.number_of("id")).to_series().to_list()
    assert found == [number_of(text) for text in texts]


@given(st.lists(st.one_of(st.none(), st.integers(-20, 20).map(str), st.sampled_from(["07", "a", "b"]))))
def test_ids_are_ranked_numbers_first(texts):
    ranks = ids.rank_ids(pl.Series("id", texts, dtype=pl.String)).to_list()
    numbers = sorted({int(t) for t in texts if t is not None and number_of(t) is not None})
    others = sorted({t for t in texts if t is not None and number_of(t) is None})
    place = {key: rank for rank, key in enumerate([*map(str, numbers), *others])}
    assert ranks == [None if t is None else place[t] for t in texts]


@given(st.lists(st.text(), min_size=1))
def test_any_texts_hash_as_published(texts):
    assert hashed(texts) == [words_of_text(text) for text in texts]
    blank = hash_texts(pl.Series(texts, dtype=pl.String))[2]
    spaces = " \t\n\v\f\r"
    assert blank.tolist() == [text.strip(spaces) == "" for text in texts]


SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"  # as Unicode has it
PIECES = st.sampled_from(
    [">", " ", "->", "a", "é", "\x1c", "\u200b", "\u2010", "\U0001f600", "channel of 20 letters", *SPACES]
)


@given(
    st.lists(st.lists(PIECES, max_size=9).map("".join), min_size=1),
    st.sampled_from([">", " > ", "->", "é", "aa", "\u3000"]),
    st.booleans(),
)
def test_texts_are_split_and_stripped_as_in_plain_python(texts, separator, in_chunks):
    series = pl.Series(texts, dtype=pl.String)
    if in_chunks:
        series = pl.concat([series[:1], series[1:]], rechunk=False)
    expected = [[part.strip(SPACES) for part in text.split(separator)] if text.strip(SPACES) else [] for text in texts]
    parts = split_texts(series, separator)
    assert np.diff(parts.offsets).tolist() == [len(one) for one in expected]
    assert parts.blank.tolist() == ["" in one for one in expected]
    flat = [part for one in expected for part in one]
    w0, w1 = text_words(pl.Series(flat, dtype=pl.String))
    assert (parts.w0.tolist(), parts.w1.tolist()) == (w0.tolist(), w1.tolist())
    channels = Dictionary("channel")
    codes = channels.encode_parts(parts, series, separator)
    assert [channels.values[code + 1] for code in codes.tolist()] == flat
    keep = ~parts.blank
    kept = parts.take(keep)
    assert np.diff(kept.offsets).tolist() == [len(one) for one in expected if "" not in one]
    assert len(kept.w0) == kept.offsets[-1]


def test_more_parts_than_room_was_made_for():
    series = pl.Series([">".join("ab" for _ in range(n)) for n in (1, 2_000, 0, 5_000)])
    parts = split_texts(series, ">")
    assert parts.offsets.tolist() == [0, 1, 2_001, 2_001, 7_001]
    assert len({*zip(parts.w0.tolist(), parts.w1.tolist(), strict=True)}) == 1


def test_published_vectors_of_splitmix():
    """The generator adds a constant to its state and finalises it: outputs for the seeds 0 and 1234567."""
    states = [SPLITMIX_STEP, (1234567 + SPLITMIX_STEP) & MASK, (1234567 + 2 * SPLITMIX_STEP) & MASK]
    out = np.empty(3, np.uint64)
    words.hash_integers(np.array(states, np.uint64).view(np.int64), out)
    assert out.tolist() == [0xE220A8397B1DCDAF, 6457827717110365317, 3203168211198807973]


def test_customers_stay_in_their_buckets():
    """Golden: another bucket for anybody would be another interval for everybody."""
    integers = hash_customers(pl.Series([0, 1, 2, 3, 1_000_000, -1]), "integer")[0]
    texts = hash_customers(pl.Series(["", "c1", "ann", "customer-0001", "é"]), "text")[0]
    assert (integers >> np.uint64(56)).tolist() == BUCKETS_OF_INTEGERS
    assert (texts >> np.uint64(56)).tolist() == BUCKETS_OF_TEXTS
    assert (
        hash_customers(pl.Series([7], dtype=pl.UInt64), "unsigned")[0] == hash_customers(pl.Series([7]), "integer")[0]
    )


BUCKETS_OF_INTEGERS = [0, 86, 219, 30, 98, 180]
BUCKETS_OF_TEXTS = [0, 155, 21, 212, 201]


def test_buckets_are_even():
    buckets = hash_customers(pl.Series(range(256_000)), "integer")[0] >> np.uint64(56)
    counts = np.bincount(buckets.astype(np.int64), minlength=256)
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert 150 < chi_square < 380  # 255 degrees of freedom: mean 255, five standard deviations 113


# --- words that sort ---


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2))
def test_words_of_integers_sort_like_them(values):
    array = np.array(values, np.int64)
    coded = ordered_int(array)
    assert [array[i] for i in np.argsort(coded, kind="stable")] == sorted(values)
    assert unordered_int(coded).tolist() == values


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2))
def test_words_of_floats_sort_like_them(values):
    array = np.array(values)
    coded = ordered_float(array)
    assert [array[i] for i in np.argsort(coded, kind="stable")] == sorted(values)
    assert unordered_float(coded).tolist() == values


@given(st.lists(st.lists(st.none() | st.text(max_size=20), max_size=30), min_size=1, max_size=4))
def test_dictionaries_code_texts_by_first_appearance_and_rank_them_in_byte_order(batches):
    dictionary = Dictionary("x")
    codes = [c for batch in batches for c in dictionary.encode(pl.Series("x", batch, dtype=pl.String)).tolist()]
    texts = [text for batch in batches for text in batch]
    order = list(dict.fromkeys(text for text in texts if text is not None))
    assert codes == [0 if text is None else order.index(text) + 1 for text in texts]
    ranked = sorted(range(len(order)), key=lambda i: order[i].encode())
    assert dictionary.rank().tolist() == [len(order), *(ranked.index(i) for i in range(len(order)))]


def test_a_dictionary_of_many_values():
    values = [f"value number {i % 20_011}" for i in range(60_000)]
    dictionary = Dictionary("x")
    codes = dictionary.encode(pl.Series("x", values))
    assert len(dictionary) == 20_012
    assert codes.tolist() == [i % 20_011 + 1 for i in range(60_000)]


# --- exact sums ---


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.integers(0, 2**38 - 1) | st.sampled_from([1, 2**20, 2**20 - 1])),
        min_size=1,
        max_size=20,
    )
)
def test_sums_are_exact_in_any_order(terms):
    totals = []
    for order in (terms, terms[::-1]):
        sums = np.zeros((1, 4), np.int64)
        for x, times in order:
            fixed.add_times(sums, 0, 0, x, times)
        assert (sums[0, 1:] >= 0).all()
        assert (sums[0, 1:] < 2**42).all()
        totals.append(sums.tolist())
    assert totals[0] == totals[1]
    exact = sum(rounded(x) * times for x, times in terms)
    assert real(totals[0][0]) == exact
    assert to_float(np.array(totals[0]), 0)[0] == pytest.approx(float(exact), rel=1e-15, abs=1e-40)


def real(sums: list[int]) -> Fraction:
    return sum(Fraction(word, 2 ** (20 + 42 * place)) for place, word in enumerate(sums))


def rounded(x: float) -> Fraction:
    """The multiple of 2^-146 that a term is rounded to, once; terms above 2^-93 are exact."""
    nearest = Fraction(round(Fraction(x) * 2**146), 2**146)
    assert abs(x) < 2.0**-93 or nearest == Fraction(x)
    return nearest


@pytest.mark.parametrize("small", [19.99, 1e-9, 1e-19])
def test_small_values_survive_beside_large_ones(small):
    """2^-106 of the largest value still counts to 1e-12 of itself."""
    scale = 2.0**-40
    sums = np.zeros((1, 4), np.int64)
    for _ in range(1000):
        fixed.add_times(sums, 0, 0, small * scale, 1)
    assert to_float(sums, 40)[0] == pytest.approx(1000 * small, rel=1e-12)


def test_thirds_add_up_to_ones():
    sums = np.zeros((1, 4), np.int64)
    for _ in range(3):
        fixed.add_times(sums, 0, 0, 1 / 3, 10**11)
    assert to_float(sums, 0)[0] == pytest.approx(1e11, rel=1e-15)


@pytest.mark.parametrize("n", [0, 1, 2, 23, 24, 25, 500, 4000])
@pytest.mark.parametrize("distinct", [1, 3, 10**6])
@pytest.mark.parametrize("identity", [1, 2])
def test_rows_sort_like_lists(n, distinct, identity):
    rng = random.Random(n + distinct)
    # few different hashes, in the high bits, in the low bits or in both
    hashes = [rng.randrange(2**20) << rng.choice([0, 44]) for _ in range(distinct if n else 0)]
    table = [[rng.choice(hashes), rng.randrange(3), rng.randrange(5), rng.randrange(2**63), i] for i in range(n)]
    given = np.array(table, np.uint64).reshape(-1, 5)
    out = np.empty_like(given)
    rows.sort_rows(given, 0, identity, 4, out)
    assert out.tolist() == sorted(table, key=lambda row: row[:4])


@pytest.mark.parametrize("length", [1, 5, 24, 25, 300])
def test_rows_sort_within_the_runs_of_a_customer(length):
    rng = random.Random(length)
    table = [[customer, rng.randrange(50), i] for customer in (7, 3, 9) for i in range(length)]
    given = np.array(table, np.uint64)
    rows.sort_runs(given, 2)
    assert [row[0] for row in given.tolist()] == [row[0] for row in table]  # customers stay where they are
    for customer in (7, 3, 9):
        assert [r[1] for r in given.tolist() if r[0] == customer] == sorted(r[1] for r in table if r[0] == customer)


@pytest.mark.parametrize("bits", [0, 1, 4, 8])
def test_rows_are_partitioned_by_the_top_bits_in_their_order(bits):
    rng = random.Random(bits)
    given = np.array([[rng.randrange(2**64), i] for i in range(1000)], np.uint64)
    out, offsets = np.empty_like(given), np.zeros((1 << bits) + 1, np.int64)
    rows.partition_rows(given, bits, out, offsets)
    wanted = sorted(given.tolist(), key=lambda row: row[0] >> (64 - bits))
    assert out.tolist() == wanted
    assert offsets[-1] == 1000
    for part in range(1 << bits):
        assert all(row[0] >> (64 - bits) == part for row in out[offsets[part] : offsets[part + 1]].tolist())


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=20))
def test_neighbours_that_are_equal_are_dropped(table):
    table = sorted(table)
    given = np.array([[*row, i] for i, row in enumerate(table)], np.uint64).reshape(-1, 3)
    kept = rows.drop_equal(given, 2)
    assert [tuple(row[:2]) for row in given[:kept].tolist()] == sorted(set(table))


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), max_size=20))
def test_repeated_event_ids_of_a_customer_are_dropped(table):
    table = sorted(table, key=lambda row: row[0])
    given = np.array([[c, event, 1 if event else 0, i] for i, (c, event) in enumerate(table)], np.uint64).reshape(-1, 4)
    gone = np.zeros(len(table), np.bool_)
    kept = rows.drop_repeated_events(given, 1, 1, gone)
    first = [event == 0 or table.index((c, event)) == i for i, (c, event) in enumerate(table)]
    assert gone.tolist() == [not f for f in first]
    assert given[:kept, 3].tolist() == [i for i, f in enumerate(first) if f]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 2))))
def test_rows_of_customers_in_order_sort_like_lists(table):
    table = sorted(table, key=lambda row: row[0])
    given = np.array([[*row, i] for i, row in enumerate(table)], np.uint64).reshape(-1, 4)
    rows.sort_runs(given, 3)
    assert [tuple(row[:3]) for row in given.tolist()] == sorted(table)


@pytest.mark.parametrize("identity", [1, 2])
@given(
    one=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2))),
    other=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2))),
)
def test_two_tables_are_matched_by_customer(identity, one, other):
    one, other = ([row[:identity] for row in sorted(table)] for table in (one, other))
    room = len(one) + len(other)
    t, o, words_of = np.empty(room + 1, np.int64), np.empty(room + 1, np.int64), np.empty((room, identity), np.uint64)
    arrays = [np.array(ids, np.uint64).reshape(-1, identity) for ids in (one, other)]
    n = rows.match_customers(*arrays, identity, t, o, words_of)
    people = sorted({*one, *other})
    assert [tuple(row) for row in words_of[:n].tolist()] == people
    for c, person in enumerate(people):
        assert one[t[c] : t[c + 1]] == [person] * one.count(person)
        assert other[o[c] : o[c + 1]] == [person] * other.count(person)


EXTREMES = [-(2**63), -(2**63) + 1, -1, 0, 1, 2**63 - 1]


@pytest.mark.parametrize("how", [rows.HASHED, rows.SIGNED, rows.UNSIGNED, rows.TEXT])
def test_rows_are_filled_and_read_back(how):
    ids, times = np.array(EXTREMES), np.array(EXTREMES[::-1])
    kinds = np.arange(6, dtype=np.int32)[::-1].copy()
    values = np.array([-1.5, -0.0, 0.0, 5e-324, 1e308, -1e308])
    table = np.full((6, 4), 7, np.uint64)
    bounds = rows.fill_rows(table, frozen(ids), how, frozen(times), 1, 1, kinds, 3)
    rows.fill_floats(table, 2, frozen(values.view(np.uint64)))
    assert bounds == (min(EXTREMES), max(EXTREMES))
    hashes = hash_customers(pl.Series(ids), "integer")[0]
    wanted = {rows.HASHED: hashes, rows.SIGNED: ordered_int(ids), rows.UNSIGNED: ids.view(np.uint64)}
    assert table[:, 0].tolist() == (wanted[how].tolist() if how in wanted else [7] * 6)
    assert table[:, 1].tolist() == ordered_int(times).tolist()
    assert table[:, 2].tolist() == ordered_float(values).tolist()
    assert table[:, 3].tolist() == kinds.tolist()
    rank = np.array([3, 1, 5, 0, 2, 4], np.int32)
    rows.rank_codes(table, 3, rank)
    assert table[:, 3].tolist() == [rank[kind] for kind in kinds]
    read_times, read_kinds, read_values = np.empty(6, np.int64), np.empty(6, np.int32), np.empty(6, np.uint64)
    rows.read_rows(table, 1, 3, np.argsort(rank).astype(np.int32), read_times, read_kinds)
    rows.read_floats(table, 2, read_values)
    assert read_times.tolist() == times.tolist()
    assert read_kinds.tolist() == kinds.tolist()
    assert read_values.view(np.float64).tolist() == values.tolist()


def test_the_largest_finite_value_of_each_code():
    codes = np.array([0, 1, 1, 0, 1, 2], np.int32)
    values = np.array([1.0, -5.0, np.inf, np.nan, 2.0, -np.inf])
    largest = np.array([0.0, 3.0, 0.5, 9.0])
    rows.largest_by_code(codes, frozen(values), largest)
    assert largest.tolist() == [1.0, 5.0, 0.5, 9.0]
