"""Spark: executors read and sum parts of the customers with the code of one machine; the driver adds up.

The only file that imports pyspark. Rows of both tables are brought together by customer in one shuffle of narrow rows
(the columns read, those of one type sharing a column), and each part goes through :mod:`attrib.engines.parts`.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from attrib.engines.base import Funnel, Ledger, Memory, Progress, Recipe, Tallies, Work
from attrib.engines.local import LocalEngine, TallyPass, parse_memory
from attrib.errors import AttribError, AttribWarning, DataError, ResourceError, SpecError
from attrib.io.sources import Source, check_distinct, own_names
from attrib.needs import Need
from attrib.schemas import CUSTOMER

if TYPE_CHECKING:
    from attrib.engines.events import EventReader
    from attrib.engines.parts import Order
    from attrib.ragged import Ragged

ROWS_OF_PART = 1 << 20  # of both tables: about 100 MB of memory while a part is summed
PIECE = 32 << 20  # bytes of a part's answer in one row
LISTED = 1_000_000  # rejected rows that all parts together may list
TABLE = "table://"
_TYPES: dict[str, Any] = {
    "string": pl.String(), "byte": pl.Int8(), "short": pl.Int16(), "integer": pl.Int32(), "long": pl.Int64(),
    "float": pl.Float32(), "double": pl.Float64(), "boolean": pl.Boolean(), "date": pl.Date(), "void": pl.Null(),
    "timestamp": pl.Datetime("us", "UTC"), "timestamp_ntz": pl.Datetime("us"), "binary": pl.Binary(),
}  # fmt: skip
_DECIMAL = re.compile(r"decimal\((\d+),(-?\d+)\)")


@dataclass(frozen=True, slots=True)
class SparkSource(Source):
    """A Spark table: ``table`` has the columns c0, c1, …, and ``place`` says which of them is which of ours."""

    table: Any = None
    place: Mapping[str, str] = field(default_factory=dict)
    native: Mapping[str, str] = field(default_factory=dict)

    def fingerprint(self) -> dict[str, Any]:
        """Identify the input by its columns."""
        return {"table": self.name, "kind": self.kind, "columns": dict(self.native)}


@dataclass(frozen=True, slots=True)
class SparkEngine:
    """Runs on Spark; tables are Spark's (docs/spark.md).

    Parameters
    ----------
    session : pyspark.sql.SparkSession, optional
        Default: the session of the data frames, else the active one. It is never stopped.
    partitions : int, optional
        Parts that customers are divided into; more of them need less memory each. Default: one for about a million
        rows of both tables (which are counted for it), at least ``spark.default.parallelism``.
    threads, memory_limit, progress : optional
        As in :class:`attrib.LocalEngine`, for what the driver does; tallies of a part have the same limit.
    listing : int
        Most events that the driver may fetch where single journeys are asked for (``to_frame``, ``journey_credit``).

    Notes
    -----
    Results do not depend on any of these, and are those of :class:`attrib.LocalEngine`.

    Examples
    --------
    >>> SparkEngine(partitions=200).partitions
    200
    """

    session: Any = None
    partitions: int | None = None
    threads: int | None = None
    memory_limit: int | str | None = None
    progress: Progress | None = None
    listing: int = 5_000_000
    owned: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        if self.partitions is not None and (type(self.partitions) is not int or self.partitions < 1):
            raise SpecError("bad_partitions", f"partitions = {self.partitions!r} is not a whole number from 1")
        if self.session is not None and not hasattr(self.session, "createDataFrame"):
            raise SpecError("bad_session", f"session = {self.session!r:.100} is not a SparkSession")
        parse_memory(self.memory_limit)

    @classmethod
    def start(
        cls, master: str | None = None, options: Mapping[str, Any] | None = None, **arguments: Any
    ) -> SparkEngine:
        """Make an engine with a session, which :meth:`close` stops if it was not there before.

        Parameters
        ----------
        master : str, optional
            Such as ``"local[4]"`` or ``"yarn"``; default: what spark-submit or the configuration says.
        options : mapping of str to str, number or bool, optional
            Spark's own, such as ``{"spark.executor.memory": "4g"}``.
        **arguments
            Of the engine.

        Raises
        ------
        SpecError
            ``missing_extra`` without pyspark.
        ResourceError
            ``no_java``, or ``spark_failed`` where no session can be had.
        """
        sql = _pyspark()
        before = sql.SparkSession.getActiveSession()
        builder = sql.SparkSession.builder.appName("attrib")
        for name, value in {"spark.log.level": "ERROR", "spark.ui.showConsoleProgress": "false"}.items():
            builder = builder.config(name, value)
        if master is not None:
            builder = builder.master(master)
            if master.startswith("local"):  # workers on this machine: the Python that runs, not the first on the path
                os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        for name, value in (options or {}).items():
            builder = builder.config(name, str(value).lower() if isinstance(value, bool) else str(value))
        try:
            session = builder.getOrCreate()
        except Exception as error:  # py4j and pyspark have errors of many types
            raise _plain(error) from error
        return cls(session, owned=before is None, **arguments)

    def close(self) -> None:
        """Stop the session that :meth:`start` made."""
        if self.owned:
            self.session.stop()

    # tables ---------------------------------------------------------------------------------------------------------
    def open_table(self, data: Any, name: str, columns: Mapping[str, str] | None = None) -> SparkSource:
        """Open a Spark data frame, a path of parquet that Spark reads, or ``table://NAME``.

        Raises
        ------
        SpecError
            ``bad_table`` for anything else, CSV among it.
        DataError
            ``no_file``, ``unreadable_file``.
        """
        if type(data).__module__.partition(".")[0] == "narwhals":
            data = data.to_native()
        if isinstance(data, (str, Path)):
            data = self._read(str(data), name)
        if not (hasattr(data, "mapInArrow") and hasattr(data, "sparkSession")):
            raise SpecError(
                "bad_table",
                f"{name} is a {type(data).__name__}, which the Spark engine does not take",
                hint="pass a Spark data frame (session.createDataFrame(…)), the path of parquet files, or table://NAME",
            )
        theirs, kinds = tuple(f.name for f in data.schema.fields), [f.dataType for f in data.schema.fields]
        kept = own_names(dict.fromkeys(theirs), columns or {}, name)
        twice = [c for c in dict.fromkeys((*kept, *(columns or {}).values())) if theirs.count(c) > 1]
        own = [kept.get(c, c) if c not in twice else None for c in theirs]
        schema = {ours: _type(kind) for ours, kind in zip(own, kinds, strict=True) if ours is not None}
        place = {ours: f"c{i}" for i, ours in enumerate(own) if ours is not None}
        # names stand for themselves here: Spark's own look-up ignores case and reads dots
        table = data.toDF(*(f"c{i}" for i in range(len(theirs))))
        native = {c: kind.simpleString() for c, kind in zip(theirs, kinds, strict=True)}
        frame = pl.LazyFrame(schema=schema)
        check_distinct(name, pl.Schema(schema), tuple((columns or {}).values()))
        return SparkSource(name, frame, pl.Schema(schema), "spark", (), theirs, table=table, place=place, native=native)

    def open_paths(self, _data: Any, name: str) -> Source:
        """Refuse a table of paths: it is small, whatever it was made of.

        Raises
        ------
        SpecError
            ``not_on_spark``.
        """
        raise SpecError(
            "not_on_spark",
            f"{name}: a table of paths is summed on one machine",
            hint='leave out the engine (kind = "local"); a Spark data frame is collected',
        )

    def _session(self) -> Any:
        found = self.session or _pyspark().SparkSession.getActiveSession()
        if found is None:
            raise SpecError("no_session", "there is no Spark session", hint="engine=attrib.SparkEngine(session)")
        return found

    def _read(self, where: str, name: str) -> Any:
        if re.search(r"\.(csv|tsv|txt)(\.\w+)?$", where.lower()):
            raise SpecError(
                "bad_table",
                f"{name}: Spark drops cells beyond the header of a CSV file silently, so it is not read with it",
                hint="write it as parquet, or read it yourself and pass the data frame",
            )
        session = self._session()
        try:
            if where.startswith(TABLE):
                return session.table(where.removeprefix(TABLE))
            return session.read.parquet(where)
        except Exception as error:
            text = _first_line(error)
            missing = re.search(r"NOT_FOUND|does not exist", text)
            if missing is None:
                raise DataError("unreadable_file", f"{name}: {where!r} cannot be read: {text}", table=name) from error
            what = "table" if where.startswith(TABLE) else "file"
            raise DataError("no_file", f"{name}: no {what} at {where!r}", hint="check the path", path=where) from error

    # what the recipe asks for ---------------------------------------------------------------------------------------
    @property
    def workers(self) -> int:
        """Threads of the driver."""
        return self._driver.workers

    @property
    def _driver(self) -> _Driver:
        return _Driver(self.threads, self.memory_limit, None, self.progress, self)

    def tally(self, recipe: Any, needs: Iterable[Need], *, units: bool, memory: Memory) -> Tallies:
        """Sum the needs over all journeys, on the executors."""
        return self._driver.tally(recipe, needs, units=units, memory=memory)

    def ledger(self, recipe: Any, memory: Memory) -> Ledger:
        """Account for every row."""
        return self._driver.ledger(recipe, memory)

    def funnel(self, recipe: Any, memory: Memory) -> Funnel:
        """Count customers by stage (the recipe has a stage model)."""
        return self._driver.funnel(recipe, memory)

    def journeys(self, recipe: Any, memory: Memory) -> tuple[Any, list[tuple[Any, Ragged]]]:  # noqa: ARG002 - not kept
        """List all journeys on the driver."""
        local = LocalEngine(self.threads, self.memory_limit, None, self.progress)
        return local.journeys(self._fetched(recipe), Memory())

    def stream(self, recipe: Any, memory: Memory, work: Work) -> Iterator[tuple[Any, Any]]:  # noqa: ARG002 - not kept
        """Work through the journeys on the driver."""
        local = LocalEngine(self.threads, self.memory_limit, None, self.progress)
        return local.stream(self._fetched(recipe), Memory(), work)

    def _fetched(self, recipe: Recipe) -> Recipe:
        """Recipe of the same events, fetched to the driver: somebody asked for single journeys."""
        job = _Job(self, recipe)
        rows = sum(source.table.count() for source in job.sources)
        if rows > self.listing:
            raise ResourceError(
                "too_many_to_list",
                f"single journeys are listed on the driver, which would fetch {rows:,} rows ({self.listing:,} allowed)",
                hint="pass some customers' rows only, or raise SparkEngine(listing=…)",
                rows=rows,
            )
        frames = [job.frame_of(source, source.table.toArrow().to_batches(), source.place) for source in job.sources]
        reader = job.order(None).reader(frames)
        return reader.recipe


@dataclass(frozen=True, slots=True)
class _Driver(LocalEngine):
    """What the local engine does after reading, with parts for its partitions."""

    spark: SparkEngine = field(default_factory=SparkEngine)

    def _run(self, recipe: Any, memory: Memory, build: Any) -> tuple[Any, Any]:  # noqa: ARG002 - no partition is here
        job = _Job(self.spark, recipe, self.budget)
        total: TallyPass = build(job.reader)
        for text in job.run(total):
            warnings.warn(text, AttribWarning, stacklevel=2)
        return job.reader, total


class _Job:
    """One recipe on Spark."""

    def __init__(self, engine: SparkEngine, recipe: Recipe, budget: int = 0) -> None:
        from attrib.engines import parts

        self.engine, self.recipe, self.budget = engine, recipe, budget
        sources = (recipe.touchpoints,) if recipe.inline else (recipe.touchpoints, recipe.outcomes)
        self.sources: list[SparkSource] = [source for source in sources if isinstance(source, SparkSource)]
        # with outcomes inside, the table has columns of ours in the making
        wanted = parts.columns_read(self.reader)
        self.columns = [[c for c in source.place if c in wanted] for source in self.sources]
        self._check_types()
        self.shapes = tuple(
            parts.Shape(source.name, {c: self._dtype(source, c) for c in columns})
            for source, columns in zip(self.sources, self.columns, strict=True)
        )

    @cached_property
    def reader(self) -> EventReader:
        """Reader that sees no row and knows all of them in the end."""
        from attrib.engines.events import EventReader

        return EventReader(self.recipe, by_id=False, budget=0, spill=None, progress=None)

    def _check_types(self) -> None:
        for source, columns in zip(self.sources, self.columns, strict=True):
            for column in columns:
                if source.schema[column] == pl.Object():
                    kind = source.table.schema[source.place[column]].dataType.simpleString()
                    raise DataError(
                        "wrong_type", f"{source.name}: column {column!r} is {kind}, which is not read", column=column
                    )

    def _dtype(self, source: SparkSource, column: str) -> Any:
        if column == CUSTOMER:  # the same type in both tables, so that equal customers meet
            return pl.String() if self.reader.ids == "text" else pl.Int64()
        return source.schema[column]

    def order(
        self,
        needs: tuple[Need, ...] | None,
        *,
        units: bool = False,
        facts: dict[str, dict[str, Any]] | None = None,
        listed: int = 0,
    ) -> Order:
        """Order for the parts."""
        from attrib.engines import parts

        return parts.Order(self.shapes, parts.rules_of(self.recipe), needs, units, self.budget, facts or {}, listed)

    def frame_of(self, source: SparkSource, batches: list[Any], place: Mapping[str, str]) -> pl.DataFrame:
        """Rows that came as Arrow batches, under our names."""
        index = self.sources.index(source)
        return _frame(batches, {c: place[c] for c in self.columns[index]}, self.shapes[index].schema)

    # the passes -----------------------------------------------------------------------------------------------------
    def run(self, total: TallyPass) -> list[str]:
        """Sum on the executors and add up here; returns what to warn of."""
        from attrib.engines import parts

        tell = self.engine.progress or (lambda _stage, _done, _total: None)
        facts = {}
        surveyed = self._surveyed()
        if surveyed:
            tell("surveying on Spark", 0, None)
            blocks = self._collect(self._tagged(surveyed), self.order(None))
            facts = parts.facts_of(self.order(None).reader(), blocks)
        tell("summing on Spark", 0, None)
        n = self._partitions()
        order = self.order(tuple(total.sums), units=total.units, facts=facts, listed=max(1_000, LISTED // n))
        rows = self._tagged(range(len(self.sources))).repartition(n, "customer")
        return parts.add_parts(self.reader, total, self._collect(rows, order))

    def _surveyed(self) -> list[int]:
        """Tables of which something must be known before the first row is used."""
        reader, recipe = self.reader, self.recipe
        touches = recipe.maturity is not None or reader.touches.types.times == "text"
        outcomes = recipe.maturity is not None or reader.outcomes.types.has_value
        if recipe.inline:
            return [0] if touches or outcomes else []
        return [i for i, wanted in enumerate((touches, outcomes)) if wanted]

    def _partitions(self) -> int:
        if self.engine.partitions is not None:
            return self.engine.partitions
        try:
            rows: int = sum(source.table.count() for source in self.sources)
            parallel = self.sources[0].table.sparkSession.sparkContext.defaultParallelism
        except Exception as error:
            raise _plain(error) from error
        return max(int(parallel), -(-rows // ROWS_OF_PART))

    def _slots(self) -> tuple[list[dict[str, str]], dict[str, str]]:
        """Where each table's columns stand in rows of both: columns of one type share a place."""
        types: dict[str, str] = {"customer": "string" if self.reader.ids == "text" else "bigint"}
        tables = []
        for source, columns in zip(self.sources, self.columns, strict=True):
            place = {CUSTOMER: "customer"}
            for column in columns:
                if column == CUSTOMER:
                    continue
                kind = source.table.schema[source.place[column]].dataType.simpleString()
                free = (slot for slot, t in types.items() if t == kind and slot not in place.values())
                place[column] = slot = next(free, f"s{len(types)}")
                types[slot] = kind
            tables.append(place)
        return tables, types

    def _tagged(self, chosen: Iterable[int]) -> Any:
        """Rows of the chosen tables in one, with the number of their table."""
        from pyspark.sql import functions as F  # noqa: N812 - as all the world calls it

        tables, types = self._slots()
        frames = []
        for number in chosen:
            source, place = self.sources[number], tables[number]
            theirs = {slot: source.place[column] for column, slot in place.items()}
            columns = [
                (F.col(theirs[slot]) if slot in theirs else F.lit(None)).cast(kind).alias(slot)
                for slot, kind in types.items()
            ]
            frames.append(source.table.select(F.lit(number).cast("tinyint").alias("tag"), *columns))
        joined = frames[0]
        for frame in frames[1:]:
            joined = joined.unionAll(frame)
        return joined

    def _collect(self, rows: Any, order: Order) -> list[bytes]:
        """Answers of all parts, in the order of the parts."""
        from pyspark import cloudpickle

        tables, _ = self._slots()
        payload = cloudpickle.dumps((order, tables))
        answers = rows.mapInArrow(_task(payload, version("attrib")), "part int, piece int, block binary")
        try:
            found = answers.toArrow().sort_by([("part", "ascending"), ("piece", "ascending")])
        except Exception as error:
            raise _plain(error) from error
        pieces: dict[int, list[bytes]] = {}
        for part, piece, block in zip(*(found[c].to_pylist() for c in ("part", "piece", "block")), strict=True):
            if piece < 0:
                raise _unpacked(block)
            pieces.setdefault(part, []).append(block)
        return [b"".join(blocks) for blocks in pieces.values()]


def _task(payload: bytes, ours: str) -> Any:
    """Make the function that runs on executors; it stands alone, so that it can tell what is missing there."""
    piece = PIECE

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        import json
        import os
        import pickle

        import pyarrow as pa
        from pyspark import TaskContext

        os.environ.setdefault("POLARS_MAX_THREADS", "1")  # a task has one core; polars reads this once
        part = TaskContext.get().partitionId()

        def row(number: int, block: bytes) -> Any:
            return pa.RecordBatch.from_pydict(
                {"part": pa.array([part], pa.int32()), "piece": pa.array([number], pa.int32()), "block": [block]}
            )

        def unfit(message: str) -> Any:
            facts = {"kind": "ResourceError", "key": "executor_environment", "message": message, "facts": {}}
            hint = "install the driver's versions on every executor, or ship its environment (docs/spark.md)"
            return row(-1, json.dumps(facts | {"hint": hint}).encode())

        try:
            from importlib.metadata import version

            from attrib.engines.spark import answer

            theirs = version("attrib")
        except ImportError as error:
            yield unfit(f"an executor cannot import what it needs: {error}")
            return
        if theirs != ours:
            yield unfit(f"an executor has attrib {theirs}, the driver {ours}")
            return
        order, tables = pickle.loads(payload)  # noqa: S301 - from our own driver, as every task of Spark is
        failed, block = answer(order, tables, batches)
        if failed:
            yield row(-1, block)
            return
        for number, start in enumerate(range(0, len(block), piece)):
            yield row(number, block[start : start + piece])

    return run


def answer(order: Order, tables: list[dict[str, str]], batches: Iterator[Any]) -> tuple[bool, bytes]:
    """Do a part on an executor: whether it failed with an error of ours, and what it says."""
    from attrib.engines import parts

    try:
        return False, parts.do(order, _chunks(order, tables, batches))
    except AttribError as error:
        return True, parts.pack_error(error)


def _chunks(order: Order, tables: list[dict[str, str]], batches: Iterator[Any]) -> Iterator[list[pl.DataFrame]]:
    from attrib.engines.parts import CHUNK

    waiting: list[Any] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= CHUNK:
            yield _split(order, tables, waiting)
            waiting, rows = [], 0
    if rows:
        yield _split(order, tables, waiting)


def _split(order: Order, tables: list[dict[str, str]], batches: list[Any]) -> list[pl.DataFrame]:
    import pyarrow as pa

    whole = pl.DataFrame(pa.Table.from_batches(batches))
    frames = []
    for number, (place, shape) in enumerate(zip(tables, order.shapes, strict=True)):
        own = whole.filter(pl.col("tag") == number)
        frames.append(own.select(pl.col(place[c]).cast(dtype).alias(c) for c, dtype in shape.schema.items()))
    return frames


def _frame(batches: list[Any], place: Mapping[str, str], schema: Mapping[str, Any]) -> pl.DataFrame:
    import pyarrow as pa

    if not batches:
        return pl.DataFrame(schema=dict(schema))
    whole = pl.DataFrame(pa.Table.from_batches(batches))
    return whole.select(pl.col(place[c]).cast(dtype).alias(c) for c, dtype in schema.items())


# Spark in our words -------------------------------------------------------------------------------------------------
def _pyspark() -> Any:
    try:
        from pyspark import sql
    except ImportError as error:
        raise SpecError("missing_extra", f"Spark: {error}", hint='pip install "attrib[spark]"') from error
    return sql


def _type(kind: Any) -> Any:
    name = kind.typeName()
    decimal = _DECIMAL.fullmatch(kind.simpleString())
    if decimal is not None:
        return pl.Decimal(int(decimal[1]), int(decimal[2]))
    return _TYPES.get("string" if name in ("char", "varchar") else name, pl.Object())


def _unpacked(block: bytes) -> AttribError:
    from attrib.engines.parts import unpack_error

    return unpack_error(block)


def _first_line(error: BaseException) -> str:
    """Line of a Spark error that says most: the last of a Python traceback, or the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    inside = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*:", line) and "org.apache" not in line]
    return ((inside or lines or [type(error).__name__])[-1 if inside else 0])[:300]


def _plain(error: BaseException) -> AttribError:
    """Say in our words why Spark failed."""
    text = f"{type(error).__name__}: {error}"
    first = _first_line(error)
    for pattern, key, message, hint in _CAUSES:
        if re.search(pattern, text):
            return ResourceError(key, message, hint=hint, cause=first)
    return ResourceError(
        "spark_failed", f"Spark failed: {first}", hint="the whole of Spark's error stands above", cause=first
    )


_CAUSES = (
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
        "an executor's Python is not the driver's",
        "set PYSPARK_PYTHON, and install the driver's versions on every executor (docs/spark.md)",
    ),
)
