"""Spark: executors read and sum parts of the customers with the code of one machine; the driver adds up.

The only file that imports pyspark. Rows of both tables are brought together by customer in one shuffle of narrow rows
(the columns read, those of one type sharing a column), and each part goes through :mod:`attrib.engines.parts`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import polars as pl

from attrib.engines.accumulator import TALLY_FLOOR
from attrib.engines.base import Funnel, Ledger, Memory, Progress, Recipe, Tallies, Work
from attrib.engines.local import LocalEngine, parse_memory
from attrib.engines.spark_faults import in_our_words, unpack_error
from attrib.engines.spark_tables import SparkSource, open_spark_table
from attrib.errors import DataError, ResourceError, SpecError, brief, warn
from attrib.extras import install
from attrib.io.sources import Source
from attrib.needs import Need
from attrib.schemas import CUSTOMER
from attrib.values import whole_number

if TYPE_CHECKING:
    from attrib.engines.events import EventReader
    from attrib.engines.parts import Order, PartPass
    from attrib.ragged import Ragged

ROWS_OF_PART = 1 << 20  # of both tables: about 100 MB of memory while a part is summed
PIECE = 32 << 20  # bytes of a part's answer in one row
DIRECT = 32  # parts whose answers go to the driver as they are; those of more are added up on the way
FAN = 16  # parts added up at once
LISTED = 1_000_000  # rejected rows that all parts together may list


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
        for name in ("partitions", "threads", "listing"):
            if getattr(self, name) is not None:
                number = whole_number(name, getattr(self, name), 1, key=f"bad_{name}")
                object.__setattr__(self, name, number)
        if self.session is not None and not hasattr(self.session, "createDataFrame"):
            raise SpecError("bad_session", f"session = {brief(self.session):.100} is not a SparkSession")
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
            raise in_our_words(error) from error
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
        return open_spark_table(data, name, columns or {}, self._session)

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
        return job.order(None).reader(job.fetch()).recipe


@dataclass(frozen=True, slots=True)
class _Driver(LocalEngine):
    """What the local engine does after reading, with parts for its partitions."""

    spark: SparkEngine = field(default_factory=SparkEngine)

    def _run(self, recipe: Any, memory: Memory, build: Any) -> tuple[Any, Any]:
        from attrib.engines.parts import PartPass

        job = _Job(self.spark, recipe, self.budget)
        asked = build(job.reader)
        total = PartPass.doing(asked, job.reader, max(self.budget, TALLY_FLOOR))
        for text in job.run(total):
            warn(text)
        return job.reader, total.done(asked, memory)


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

    def fetch(self) -> list[pl.DataFrame]:
        """Bring the rows of every table to the driver."""
        from attrib.engines.executor import under_our_names

        frames = []
        for source, shape in zip(self.sources, self.shapes, strict=True):
            try:
                rows = source.table.select(*(source.place[column] for column in shape.schema)).toArrow()
            except Exception as error:
                raise in_our_words(error) from error
            frames.append(under_our_names(pl.DataFrame(rows), source.place, shape))
        return frames

    # the passes -----------------------------------------------------------------------------------------------------
    def run(self, total: PartPass) -> list[str]:
        """Sum on the executors and add up here; returns what to warn of."""
        from attrib.engines import parts

        tell = self.engine.progress or (lambda _stage, _done, _total: None)

        def ask(chosen: list[int]) -> list[bytes]:
            tell("surveying on Spark", 0, None)
            return self._collect(self._tagged(chosen), self.order(None))

        facts = parts.survey(self.order(None), ask)
        tell("summing on Spark", 0, None)
        n = self._partitions()
        order = self.order(tuple(total.sums), units=total.units, facts=facts, listed=max(1_000, LISTED // n))
        rows = self._tagged(range(len(self.sources))).repartition(n, "customer")
        return parts.add_parts(self.reader, total, self._collect(rows, order, n))

    def _partitions(self) -> int:
        if self.engine.partitions is not None:
            return self.engine.partitions
        try:
            rows: int = sum(source.table.count() for source in self.sources)
            parallel = self.sources[0].table.sparkSession.sparkContext.defaultParallelism
        except Exception as error:
            raise in_our_words(error) from error
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

    def _collect(self, rows: Any, order: Order, parts: int = 0) -> list[bytes]:
        """Answers of all parts, in the order of the parts; those of many are combined first."""
        from pyspark import cloudpickle
        from pyspark.sql import functions as F  # noqa: N812 - as all the world calls it

        from attrib.engines.executor import blocks_of

        tables, _ = self._slots()
        columns = "part int, piece int, block binary"
        answers = rows.mapInArrow(_task(cloudpickle.dumps((order, tables)), version("attrib")), columns)
        while parts > DIRECT:
            parts = -(-parts // FAN)
            together = answers.repartition(parts, F.pmod("part", F.lit(parts)))
            answers = together.mapInArrow(_task(cloudpickle.dumps((order, None)), version("attrib")), columns)
        try:
            found = answers.toArrow()
        except Exception as error:
            raise in_our_words(error) from error
        blocks, failure = blocks_of(found.to_batches())
        if failure:
            raise unpack_error(failure)
        return blocks


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
            hint = "executors need the driver's packages, and the modules of your own functions (docs/spark.md)"
            return row(-1, json.dumps(facts | {"hint": hint}).encode())

        try:
            from importlib.metadata import version

            from attrib.engines.executor import answer

            theirs = version("attrib")
        except ImportError as error:
            yield unfit(f"an executor cannot import what it needs: {error}")
            return
        if theirs != ours:
            yield unfit(f"an executor has attrib {theirs}, the driver {ours}")
            return
        try:
            order, tables = pickle.loads(payload)  # noqa: S301 - from our own driver, as every task of Spark is
        except (ImportError, AttributeError) as error:
            yield unfit(f"an executor cannot load what it is to do: {error}")
            return
        failed, block = answer(order, tables, batches)
        if failed:
            yield row(-1, block)
            return
        for number, start in enumerate(range(0, len(block), piece)):
            yield row(number, block[start : start + piece])

    return run


# Spark in our words -------------------------------------------------------------------------------------------------
def _pyspark() -> Any:
    try:
        from pyspark import sql
    except ImportError as error:
        raise SpecError("missing_extra", f"Spark: {error}", hint=install("spark")) from error
    return sql
