"""The twin of hashing: which 128 bits, and so which bucket, belong to an id (semantics §7)."""

from __future__ import annotations

MASK = (1 << 64) - 1


def murmur(data: bytes) -> tuple[int, int]:
    """MurmurHash3 x64 128 with seed 0, from the published description."""

    def rotate(x: int, r: int) -> int:
        return (x << r | x >> (64 - r)) & MASK

    def finish(k: int) -> int:
        k = (k ^ k >> 33) * 0xFF51AFD7ED558CCD & MASK
        k = (k ^ k >> 33) * 0xC4CEB9FE1A85EC53 & MASK
        return k ^ k >> 33

    c1, c2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
    h1 = h2 = 0
    whole = len(data) // 16 * 16
    for at in range(0, whole, 16):
        k1, k2 = (int.from_bytes(data[at + i : at + i + 8], "little") for i in (0, 8))
        h1 ^= rotate(k1 * c1 & MASK, 31) * c2 & MASK
        h1 = ((rotate(h1, 27) + h2) * 5 + 0x52DCE729) & MASK
        h2 ^= rotate(k2 * c2 & MASK, 33) * c1 & MASK
        h2 = ((rotate(h2, 31) + h1) * 5 + 0x38495AB5) & MASK
    tail = data[whole:].ljust(16, b"\0")
    h2 ^= rotate(int.from_bytes(tail[8:], "little") * c2 & MASK, 33) * c1 & MASK
    h1 ^= rotate(int.from_bytes(tail[:8], "little") * c1 & MASK, 31) * c2 & MASK
    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = (h1 + h2) & MASK
    h2 = (h2 + h1) & MASK
    h1, h2 = finish(h1), finish(h2)
    h1 = (h1 + h2) & MASK
    return h1, (h2 + h1) & MASK


def splitmix(x: int) -> int:
    """Finalise 64 bits as splitmix64 does."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def number_of(text: str) -> int | None:
    """Whole number of 64 bits that a text is: the one way in which it is written, or none."""
    if not text.isascii() or not text.removeprefix("-").isdigit():
        return None
    number = int(text)
    return number if str(number) == text and -(2**63) <= number < 2**64 else None


def words_of_text(text: str) -> tuple[int, int]:
    """Two words that identify a text: a number's are those of the number."""
    number = number_of(text)
    if number is None:
        return murmur(text.encode())
    return splitmix(number & MASK), int(number < 0)


def bucket_of(customer: int | str) -> int:
    """Bucket of a customer, 0 to 255."""
    return words_of_text(str(customer))[0] >> 56
