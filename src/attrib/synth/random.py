"""Random numbers that are looked up, not consumed: keyed by (seed, customer, process, index).

Every draw is a pure function of its key (the finaliser of splitmix64, Steele, Lea & Flood 2014,
chained over the key), so what one customer or channel draws never shifts the draws of another:
the property on which paired replays with channels switched off rest.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S12 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(12)


def process_key(name: str) -> int:
    """Key of a named process: the same on every platform and in every version of Python."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


_ROW = np.uint64(process_key("row"))
_ID = np.uint64(process_key("id"))


@jit
def mix(x):
    """Bijection of 64 bits in which every input bit moves half of the output bits."""
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@jit
def customer_key(seed, customer):
    """Key of all that a customer draws."""
    return mix(mix(np.uint64(seed) + _GOLDEN) ^ (np.uint64(customer) * _GOLDEN))


@jit
def stream_key(customer, process):
    """Key of what a customer draws for one process."""
    return mix(customer ^ process)


@jit
def u64(stream, index):
    """Draw number `index` of a stream: 64 bits."""
    return mix(stream + (np.uint64(index) + np.uint64(1)) * _GOLDEN)


@jit
def uniform(stream, index):
    """In the open interval (0, 1), exactly: 52 bits and a half, so that the logarithm is finite and not 0."""
    return (np.float64(u64(stream, index) >> _S12) + 0.5) * 2.0**-52


@jit
def exponential(stream, index):
    """With mean 1."""
    return -math.log(uniform(stream, index))


@jit
def normal(stream, index):
    """Box-Muller from the draws 2 * index and 2 * index + 1."""
    radius = math.sqrt(-2.0 * math.log(uniform(stream, 2 * index)))
    return radius * math.cos(2.0 * math.pi * uniform(stream, 2 * index + 1))


@jit
def gamma(stream, shape):
    """With mean `shape` and scale 1 (Marsaglia & Tsang 2000); 0 where that is too small for a float."""
    boost = 1.0
    if shape < 1.0:
        boost = uniform(stream, 3) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    i = 0
    while True:  # of the four draws of an attempt two make the normal one, the next decides
        x = normal(stream, 2 * i)
        v = (1.0 + x / math.sqrt(9.0 * d)) ** 3
        if v > 0.0 and math.log(uniform(stream, 4 * i + 2)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v * boost
        i += 1


@jit
def row_keys(seed: np.uint64, salt: np.uint64, customer: NDArray[np.int64], out: NDArray[np.uint64]) -> None:
    """A random key per row, from its customer and its place among that customer's (adjacent) rows."""
    stream = np.uint64(0)
    place = 0
    for i in range(customer.size):
        if i == 0 or customer[i] != customer[i - 1]:
            stream = stream_key(customer_key(seed, customer[i]), salt ^ _ROW)
            place = 0
        out[i] = u64(stream, place)
        place += 1


@jit
def uuids(seed: np.uint64, customer: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
    """Write 36 characters per customer, like a UUID of version 8: the number first, to sort alike."""
    for i in range(customer.size):
        stream = stream_key(customer_key(seed, customer[i]), _ID)
        low, high = u64(stream, 0), u64(stream, 1)
        digit = 0
        for j in range(36):
            if j in (8, 13, 18, 23):
                out[i, j] = 45
                continue
            if digit < 12:
                x = (np.uint64(customer[i]) >> np.uint64(4 * (11 - digit))) & np.uint64(15)
            elif digit == 12:
                x = np.uint64(8)
            elif digit == 16:
                x = np.uint64(8) | (low & np.uint64(3))
            elif digit < 24:
                x = (high >> np.uint64(4 * (digit - 12))) & np.uint64(15)
            else:
                x = (low >> np.uint64(4 * (digit - 20))) & np.uint64(15)
            out[i, j] = np.uint8(x) + (48 if x < 10 else 87)
            digit += 1
