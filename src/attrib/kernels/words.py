"""Identities as 64-bit words: hashes of customers, codes of channels.

n = rows of a batch.

The customer hash decides the bucket, so it is fixed for ever and equal on every machine:

- integers: the finaliser of splitmix64 (Steele, Lea & Flood 2014), a bijection on 64 bits;
- texts that are whole numbers as a computer writes them (see ``decimal_word``): the number's, so that an id is the same
  one in a CSV file and in a column of integers;
- other texts: MurmurHash3 x64 128 (Appleby 2011), seed 0, over the UTF-8 bytes.

The bucket is the top 8 bits of the (first) word.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit, load_u8, load_u32, load_u64, prefetch

C1 = np.uint64(0x87C37B91114253D5)
C2 = np.uint64(0x4CF5AD432745937F)
LAST, HALF = np.uint64(2**64 - 1), np.uint64(2**63)
AHEAD = 16  # texts asked for before they are hashed


@inline
def mix(x):
    """Finalise x as splitmix64 does."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@jit
def hash_integers(values, out):
    """Splitmix64 finaliser of every value; values int64 [n] -> out uint64 [n]."""
    for i in range(values.shape[0]):
        out[i] = mix(np.uint64(values[i]))


@inline
def _rotate(x, r):
    return (x << np.uint64(r)) | (x >> np.uint64(64 - r))


@inline
def _fmix(k):
    k ^= k >> np.uint64(33)
    k *= np.uint64(0xFF51AFD7ED558CCD)
    k ^= k >> np.uint64(33)
    k *= np.uint64(0xC4CEB9FE1A85EC53)
    return k ^ (k >> np.uint64(33))


@jit
def _tail(address, length):
    word = np.uint64(0)
    for i in range(length):
        word |= np.uint64(load_u8(address + i)) << np.uint64(8 * i)
    return word


@jit
def murmur128(address, length):
    """MurmurHash3 x64 128, seed 0, of ``length`` bytes at ``address``."""
    h1 = np.uint64(0)
    h2 = np.uint64(0)
    blocks = length // 16
    for i in range(blocks):
        k1 = load_u64(address + 16 * i)
        k2 = load_u64(address + 16 * i + 8)
        h1 ^= _rotate(k1 * C1, 31) * C2
        h1 = (_rotate(h1, 27) + h2) * np.uint64(5) + np.uint64(0x52DCE729)
        h2 ^= _rotate(k2 * C2, 33) * C1
        h2 = (_rotate(h2, 31) + h1) * np.uint64(5) + np.uint64(0x38495AB5)
    rest = length - 16 * blocks
    start = address + 16 * blocks
    if rest > 8:
        h2 ^= _rotate(_tail(start + 8, rest - 8) * C2, 33) * C1
    if rest > 0:
        h1 ^= _rotate(_tail(start, min(rest, 8)) * C1, 31) * C2
    h1 ^= np.uint64(length)
    h2 ^= np.uint64(length)
    h1 += h2
    h2 += h1
    h1 = _fmix(h1)
    h2 = _fmix(h2)
    h1 += h2
    h2 += h1
    return h1, h2


@inline
def _text(views, buffers, i):
    """Address and length of string view i (Arrow: up to 12 bytes stand in the view itself)."""
    view = views + 16 * i
    length = np.int64(load_u32(view))
    if length <= 12:
        return view + 4, length
    return buffers[load_u32(view + 8)] + np.int64(load_u32(view + 12)), length


@jit
def _is_blank(address, length):
    for i in range(length):
        byte = load_u8(address + i)
        if byte != 32 and not (9 <= byte <= 13):
            return False
    return True


@jit
def decimal_word(address, length):
    """The 64 bits of the whole number that a text is: (1, bits), (2, bits) of a negative one; (0, 0) for other texts.

    Only the one way to write a number of 64 bits (signed or not) counts: no blanks, no plus sign, no leading zeros, no
    "-0". Texts of more than 20 bytes are none of these, so that long ids cost one comparison.
    """
    none = np.uint64(0)
    if length > 20 or length < 1:
        return 0, none
    negative = load_u8(address) == 45
    at = 1 if negative else 0
    if length == at or (load_u8(address + at) == 48 and (length > 1)):
        return 0, none
    value = np.uint64(0)
    for i in range(at, length):
        byte = load_u8(address + i)
        if byte < 48 or byte > 57:
            return 0, none
        digit = np.uint64(byte) - np.uint64(48)
        if value > (LAST - digit) // np.uint64(10):
            return 0, none
        value = value * np.uint64(10) + digit
    if not negative:
        return 1, value
    if value > HALF:
        return 0, none
    return 2, ~value + np.uint64(1)


@jit
def hash_texts(views, buffers, n, out0, out1, blank):
    """Two words that identify each of n string views; views: address, buffers int64 [m] of addresses.

    The words are its MurmurHash3; of a whole number the hash of that number, and 0 (1 for a negative one).

    ``blank`` (bool [n]) marks texts that are empty or only white space. Texts from a dictionary lie anywhere in memory,
    so they are asked for ahead (36 characters: 82 ns a text without, 22 with).
    """
    for i in range(n):
        if i + AHEAD < n:
            address, length = _text(views, buffers, i + AHEAD)
            prefetch(address)
            prefetch(address + length - 1)
        address, length = _text(views, buffers, i)
        blank[i] = _is_blank(address, length)
        kind, number = decimal_word(address, length)
        if kind > 0:
            out0[i] = mix(number)
            out1[i] = np.uint64(kind - 1)
        else:
            out0[i], out1[i] = murmur128(address, length)


@jit
def text_words(views, buffers, n, out0, out1):
    """Two words that identify each of n texts: the view itself up to 12 bytes (2.5 ns), else its hash."""
    for i in range(n):
        view = views + 16 * i
        if load_u32(view) <= 12:
            out0[i] = load_u64(view)
            out1[i] = load_u64(view + 8)
        else:
            address, length = _text(views, buffers, i)
            out0[i], out1[i] = murmur128(address, length)


@inline
def _space(address, length):
    """Bytes of the white space (as Unicode has it) that a text begins with: 0 for none."""
    a = load_u8(address)
    if a == 32 or 9 <= a <= 13:
        return 1
    if a < 0xC2 or length < 2:
        return 0
    b = load_u8(address + 1)
    if a == 0xC2:
        return 2 if (b == 0x85) | (b == 0xA0) else 0
    if length < 3 or not 0xE1 <= a <= 0xE3:
        return 0
    c = load_u8(address + 2)
    if a == 0xE1:
        return 3 if b == 0x9A and c == 0x80 else 0
    if a == 0xE3:
        return 3 if b == 0x80 and c == 0x80 else 0
    if b == 0x80:
        return 3 if (c <= 0x8A) | (c == 0xA8) | (c == 0xA9) | (c == 0xAF) else 0
    return 3 if b == 0x81 and c == 0x9F else 0


@inline
def _strip(address, length):
    """Address and length of a text without the white space at its ends."""
    while length > 0:
        space = _space(address, length)
        if space == 0:
            break
        address += space
        length -= space
    while length > 0:
        at = 1  # the last character begins where no byte continues one
        while at < length and load_u8(address + length - at) & 0xC0 == 0x80:
            at += 1
        if _space(address + length - at, at) != at:
            break
        length -= at
    return address, length


@jit
def split_texts(views, buffers, n, separator, start, offsets, out0, out1, blank):
    """Split n texts at a separator and strip the parts: the words of each part, as ``text_words`` has them.

    separator uint8 [k], k > 0. offsets int64 [n + 1], where offsets[0] is the number of parts before: part p of text i
    goes to row offsets[i] + p of out0, out1 (uint64); blank (bool [n]) marks texts with an empty part among several.
    A text that is nothing but white space has no part. Stops before a text whose parts may not fit; returns the number
    of texts done.
    """
    k = separator.shape[0]
    head = separator[0]
    used = offsets[start]
    for i in range(start, n):
        address, length = _text(views, buffers, i)
        if used + length // k + 1 > out0.shape[0]:
            return i
        blank[i] = False
        if _strip(address, length)[1] > 0:
            at = begin = np.int64(0)
            while at <= length:
                ends = at == length
                if not ends and load_u8(address + at) == head and at + k <= length:
                    ends = True
                    for j in range(1, k):
                        if load_u8(address + at + j) != separator[j]:
                            ends = False
                            break
                if ends:
                    part, size = _strip(address + begin, at - begin)
                    blank[i] |= size == 0
                    if size <= 12:
                        # a view: the length in the lower half of the first word, then the bytes
                        low = _tail(part, min(size, 4))
                        out0[used] = np.uint64(size) | (low << np.uint64(32))
                        out1[used] = _tail(part + 4, size - 4) if size > 4 else np.uint64(0)
                    else:
                        out0[used], out1[used] = murmur128(part, size)
                    used += 1
                    begin = at + k
                    at = begin if at < length else at + 1
                else:
                    at += 1
        offsets[i + 1] = used
    return n


@inline
def _slot(a, b, mask):
    return (((a ^ (b * C1)) * C2) >> np.uint64(32)) & mask


@jit
def encode_words(w0, w1, start, keys, codes_of, words_of, n_codes, out, fresh):
    """Dictionary-code n pairs of words from row ``start`` on, in order of first appearance.

    w0, w1 uint64 [n]; keys uint64 [size, 2], codes_of int32 [size]: open-addressing table, a power of two long,
    codes_of -1 = free; words_of uint64 [size / 2, 2]: the words of every code. ``fresh`` receives the first row of each
    new code. Returns the row where it stopped (n, or where the table is half full or ``fresh`` is full) and the number
    of codes.
    """
    mask = np.uint64(keys.shape[0] - 1)
    n = w0.shape[0]
    first = n_codes
    for i in range(start, n):
        a = w0[i]
        b = w1[i]
        slot = _slot(a, b, mask)
        code = codes_of[slot]
        while code >= 0 and ((keys[slot, 0] ^ a) | (keys[slot, 1] ^ b)) != 0:
            slot = (slot + np.uint64(1)) & mask
            code = codes_of[slot]
        if code < 0:
            if n_codes >= words_of.shape[0] or n_codes - first >= fresh.shape[0]:
                return i, n_codes
            code = n_codes
            keys[slot, 0] = words_of[code, 0] = a
            keys[slot, 1] = words_of[code, 1] = b
            codes_of[slot] = code
            fresh[code - first] = i
            n_codes += 1
        out[i] = code
    return n, n_codes


@jit
def rebuild_table(words_of, n_codes, keys, codes_of):
    """Fill an empty table with the words of the codes 0 to n_codes - 1."""
    mask = np.uint64(keys.shape[0] - 1)
    for code in range(n_codes):
        slot = _slot(words_of[code, 0], words_of[code, 1], mask)
        while codes_of[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        keys[slot, 0] = words_of[code, 0]
        keys[slot, 1] = words_of[code, 1]
        codes_of[slot] = code
