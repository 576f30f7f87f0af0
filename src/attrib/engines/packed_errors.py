"""Errors of ours on their way home from where a part is summed, as plain data."""

from __future__ import annotations

import json

import attrib.errors
from attrib.errors import AttribError, ResourceError


def pack_error(error: AttribError) -> bytes:
    """Write an error of ours as plain data."""
    facts = {"kind": type(error).__name__, "key": error.key, "message": error.message, "hint": error.hint}
    return json.dumps(facts | {"facts": error.facts}, default=str).encode()


def unpack_error(block: bytes) -> AttribError:
    """Make the error again, of the same class."""
    found = json.loads(block)
    kind = getattr(attrib.errors, found["kind"], ResourceError)
    if not (isinstance(kind, type) and issubclass(kind, AttribError)):
        kind = ResourceError
    facts = {name: fact for name, fact in found["facts"].items() if name not in ("key", "message", "hint")}
    return kind(found["key"], found["message"], hint=found["hint"], **facts)
