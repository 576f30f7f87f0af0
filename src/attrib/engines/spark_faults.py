"""Why Spark failed, in our words; and errors of parts, as they travel."""

from __future__ import annotations

import json
import re

import attrib.errors
from attrib.errors import AttribError, ResourceError

CAUSES = (
    (
        "JAVA_GATEWAY_EXITED|JAVA_HOME",
        "no_java",
        "Spark does not start: it needs Java 17",
        "install it, and point JAVA_HOME at it",
    ),
    (
        "maxResultSize",
        "tally_too_large",
        "the sums of all parts together are larger than spark.driver.maxResultSize",
        "lower the order, use intervals=None, take fewer partitions, or raise spark.driver.maxResultSize",
    ),
    (
        "Python worker exited unexpectedly|ExecutorLost|OutOfMemoryError|exited caused by|MemoryError",
        "executor_lost",
        "a part of the customers did not fit into an executor's memory, or the executor was lost",
        "raise partitions=…, or spark.executor.memoryOverhead",
    ),
    (
        "ModuleNotFoundError|PYTHON_VERSION_MISMATCH",
        "executor_environment",
        "an executor's Python is not the driver's, or lacks what it needs",
        "set PYSPARK_PYTHON, and install the driver's packages on every executor (docs/spark.md)",
    ),
)


def first_line(error: BaseException) -> str:
    """Line of a Spark error that says most: the last of a Python traceback, or the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    inside = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*:", line) and "org.apache" not in line]
    return ((inside or lines or [type(error).__name__])[-1 if inside else 0])[:300]


def in_our_words(error: BaseException) -> AttribError:
    """Say in our words why Spark failed."""
    text = f"{type(error).__name__}: {error}"
    first = first_line(error)
    for pattern, key, message, hint in CAUSES:
        if re.search(pattern, text):
            return ResourceError(key, message, hint=hint, cause=first)
    return ResourceError("spark_failed", f"Spark failed: {first}", hint="Spark's own log has the rest", cause=first)


# errors on their way home ---------------------------------------------------------------------------------------------
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
