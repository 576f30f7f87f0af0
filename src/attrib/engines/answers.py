"""The answer of a part: what it read and summed, as one block of bytes."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Facts = dict[str, dict[str, Any]]  # by table


@dataclass(slots=True)
class Answer:
    """What a part gives, as plain data: nothing that is read back can run code."""

    facts: Facts = field(default_factory=dict)
    rules: dict[str, dict[str, int]] = field(default_factory=dict)
    layouts: list[list[int]] = field(default_factory=list)
    dropped: list[Any] = field(default_factory=list)
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def put_frame(self, name: str, frame: pl.DataFrame) -> None:
        """Add a frame."""
        buffer = io.BytesIO()
        frame.write_ipc(buffer)
        self.arrays[name] = np.frombuffer(buffer.getbuffer(), np.uint8)

    def frame(self, name: str) -> pl.DataFrame:
        """Read a frame back."""
        return pl.read_ipc(io.BytesIO(self.arrays[name].tobytes()))

    def pack(self) -> bytes:
        """Everything as one block of bytes."""
        plain = {"facts": self.facts, "rules": self.rules, "layouts": self.layouts, "dropped": self.dropped}
        text = np.frombuffer(json.dumps(plain).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, plain=text, **self.arrays)
        return buffer.getvalue()

    @staticmethod
    def unpack(block: bytes) -> Answer:
        """Invert :meth:`pack`."""
        with np.load(io.BytesIO(block), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return Answer(**json.loads(arrays.pop("plain").tobytes()), arrays=arrays)
