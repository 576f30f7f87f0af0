"""Tables in: frames of any library, Arrow streams, or parquet and CSV files, as one kind of lazy source."""

from __future__ import annotations

import codecs
import glob
import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from attrib.errors import DataError, SpecError, brief
from attrib.extras import install
from attrib.io.mapping import rename_columns
from attrib.io.mixed import from_mixed_pandas
from attrib.io.text import clean
from attrib.toml_files import with_backslashes

MORE = "__more"  # column for cells beyond the header of a CSV file
SAMPLE = 1 << 20  # bytes of one fingerprint block
WHOLE = 64  # files up to this many blocks are fingerprinted whole
FLAG_KINDS = ("flag", "count")
SPENT = "a stream of batches can be read once only: make a new one, or pass a table"


@dataclass(frozen=True, slots=True)
class InlineOutcome:
    """Outcomes stand in the touchpoints table: each row is a touch, a flagged one an outcome too.

    Parameters
    ----------
    flag : str
        Column that says yes (true, 1, 1.0, yes, y, t) on rows that are an outcome, and no (the opposites, null, blank)
        on others. A row on which it says something else is rejected (``flag_unreadable``).
    value : str, optional
        Column with the outcome's value; 1.0 without. Read on flagged rows only.
    outcome : str
        Name given to these outcomes.
    flag_kind : {"flag", "count"}
        ``"count"``: the column holds how many conversions a row is, a whole number from 0 to 1,000,000; the value is
        that of all of them together (1.0 each without a column).

    Raises
    ------
    SpecError
        ``bad_value``.

    Examples
    --------
    >>> InlineOutcome(flag="conversion", value="conversion_value").outcome
    'purchase'
    """

    flag: str = "conversion"
    value: str | None = None
    outcome: str = "purchase"
    flag_kind: str = "flag"

    def __post_init__(self) -> None:
        for name in ("flag", "value", "outcome", "flag_kind"):
            given = getattr(self, name)
            if not (isinstance(given, str) and given.strip()) and not (name == "value" and given is None):
                raise SpecError("bad_value", f"{name} = {brief(given)} of InlineOutcome is not a text")
        if self.flag_kind not in FLAG_KINDS:
            raise SpecError(
                "bad_value",
                f"flag_kind = {brief(self.flag_kind)} is not one of {', '.join(FLAG_KINDS)}",
                found=self.flag_kind,
            )


@dataclass(frozen=True, slots=True)
class Source:
    """A lazy table with attrib's column names.

    ``kind`` is ``memory``, ``lazy``, ``parquet`` or ``csv``; ``files`` is empty for frames; ``theirs`` are the
    caller's own column names; ``if_empty`` is the next step to name when there is no row; ``mapped`` are those of ours
    for which a name was given; ``renamed`` these with their names in the caller's table; ``unjoined`` is the frame
    before links joined ids; ``index`` are the names that the index of pandas has, which is no column.
    """

    name: str
    frame: pl.LazyFrame
    schema: pl.Schema
    kind: str
    files: tuple[Path, ...] = ()
    theirs: tuple[str, ...] = ()
    if_empty: str = "check the path and any filter"
    mapped: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    unjoined: pl.LazyFrame | None = None
    index: tuple[str, ...] = ()

    def called(self, column: str) -> str:
        """What the caller calls a column of ours."""
        return dict(self.renamed).get(column, column)

    def collect(self, query: pl.LazyFrame | None = None) -> pl.DataFrame:
        """All rows of the table, or of a query of it.

        Raises
        ------
        DataError
            ``unreadable_file``, ``empty_file``: whatever the reader meets on the way, in our words.
        """
        try:
            return (self.frame if query is None else query).collect()
        except Exception as error:  # a lazy frame may run anybody's code
            raise read_error(error, self) from error

    def fingerprint(self) -> dict[str, Any]:
        """Identify the input: files with size and SHA-256 (of 64 spread blocks where larger than 64 MiB)."""
        if not self.files:
            columns = {name: str(dtype) for name, dtype in self.schema.items()}
            return {"table": self.name, "kind": self.kind, "columns": columns}
        files = [{"file": p.name, "bytes": p.stat().st_size, "sha256": _hash_file(p)} for p in self.files]
        return {"table": self.name, "kind": self.kind, "files": files}


def open_table(data: Any, name: str, columns: Mapping[str, str] | None = None) -> Source:
    """Open what a user passes as a table.

    Parameters
    ----------
    data : frame, str or Path
        A frame of polars (also lazy), pandas, pyarrow or DuckDB (a relation), of any other library that narwhals
        knows (Modin, Dask, PySpark, Ibis, …), or any object with ``__arrow_c_stream__``; all but polars are collected
        into memory here and now. A text is a file, a folder or a glob pattern of parquet or CSV files (also ``.gz``).
    name : str
        What the table is called in messages.
    columns : mapping of str to str, optional
        Ours to theirs; names that the table lacks are left for the schema check.

    Returns
    -------
    Source

    Raises
    ------
    DataError
        ``no_file``, ``unreadable_file``, ``truncated_file``, ``unknown_file_type``, ``empty_file``; ``bad_table``
        for a frame that its own library cannot hand over, such as a relation whose query fails.
    SpecError
        ``bad_table`` for an object that is not a table, ``bad_columns`` for a mapping that collides,
        ``missing_extra`` for a frame whose conversion needs a package that is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> open_table(pd.DataFrame({"path": ["a > b"], "total_conversions": [2]}), "paths").schema
    Schema([('path', String), ('total_conversions', Int64)])
    """
    files: tuple[Path, ...] = ()
    if type(data).__module__.partition(".")[0] == "narwhals":
        data = data.to_native()
    if isinstance(data, pl.LazyFrame):
        frame, kind = data, "lazy"
    elif isinstance(data, pl.DataFrame):
        frame, kind = data.lazy(), "memory"
    elif isinstance(data, (str, Path)):
        files = find_files(data, name)
        kind = "csv" if is_csv(files[0]) else "parquet"
        frame = _scan(files, kind, name)
    else:
        frame, kind = _from_other(data, name), "memory"
    try:
        schema = frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(error, name, files) from error
    if kind != "csv" and MORE in schema:  # a column of the caller's that happens to bear the name
        frame = frame.drop(MORE)
        schema = pl.Schema({column: dtype for column, dtype in schema.items() if column != MORE})
    theirs = tuple(column for column in schema if column != MORE)
    check_distinct(name, schema, tuple((columns or {}).values()))
    frame, schema = rename_columns(frame, schema, columns or {}, name)
    renamed = tuple((ours, own) for ours, own in (columns or {}).items() if own in theirs)
    index = tuple(str(level) for level in getattr(getattr(data, "index", None), "names", ()) if level is not None)
    source = Source(name, frame, schema, kind, files, theirs, index=index, mapped=tuple(columns or {}), renamed=renamed)
    return replace(source, if_empty=SPENT) if kind == "memory" and hasattr(data, "__next__") else source


def check_distinct(table: str, schema: pl.Schema, used: Iterable[str]) -> None:
    """Check that no column in use stands twice in the header of a CSV file, since nothing says which is meant.

    Raises
    ------
    DataError
        ``duplicate_columns``.
    """
    twice = [column for column in dict.fromkeys(used) if column in schema and f"{column}_duplicated_0" in schema]
    if twice:
        raise DataError(
            "duplicate_columns",
            f"{table}: the header names {', '.join(map(repr, twice))} more than once",
            hint="give each column a name of its own",
            columns=twice,
        )


def _check_header(data: Any, name: str) -> None:
    """Check that a frame of pandas has each column once."""
    columns = [str(column) for column in data.columns]
    names = [column for column, count in Counter(columns).items() if count > 1]
    if names:
        raise DataError(
            "duplicate_columns",
            f"{name}: the frame names {', '.join(repr(clean(column, 60)) for column in names[:8])} more than once",
            hint=f"give each column a name of its own, or keep the first: {name}.loc[:, ~{name}.columns.duplicated()]",
            columns=names,
        )


def _from_other(data: Any, name: str) -> pl.LazyFrame:
    import narwhals as nw

    try:
        # polars reads Arrow streams without pyarrow; those of pandas hold its index too
        if hasattr(data, "__arrow_c_stream__") and not nw.dependencies.is_pandas_like_dataframe(data):
            return pl.DataFrame(data).lazy()
        if hasattr(data, "toArrow"):  # Spark
            return pl.DataFrame(data.toArrow()).lazy()
        if nw.dependencies.is_pandas_like_dataframe(data):
            _check_header(data, name)
        known = nw.from_native(data, pass_through=True)
        if isinstance(known, nw.LazyFrame):
            known = known.collect(backend="polars")
        if isinstance(known, nw.DataFrame):
            return _to_polars(known, data)
    except DataError:
        raise
    except ImportError as error:
        raise SpecError("missing_extra", f"{name}: {error}", hint=install("pandas")) from error
    except Exception as error:  # conversion faults of other libraries come in many types
        raise DataError(
            "bad_table",
            f"{name} cannot be read from {type(data).__name__}: {_first_line(error)}",
            hint="its query failed when it ran" if type(data).__module__.startswith("duckdb") else "",
            table=name,
        ) from error
    raise SpecError(
        "bad_table",
        f"{name} is a {type(data).__name__}",
        hint="pass a frame (polars, pandas, pyarrow, a DuckDB relation, …), or the path of parquet or CSV files",
    )


def _to_polars(known: Any, data: Any) -> pl.LazyFrame:
    """Hand a frame of another library over; pandas may hold values of several kinds in one column."""
    import narwhals as nw

    try:
        return known.to_polars().lazy()  # type: ignore[no-any-return]
    except ImportError:
        raise
    except Exception as error:
        if not nw.dependencies.is_pandas_dataframe(data):
            raise
        try:
            return from_mixed_pandas(data).lazy()
        except (TypeError, ValueError, ArithmeticError, pl.exceptions.PolarsError):  # told as it was met first
            raise error from None


def is_csv(path: Path) -> bool:
    """Whether a file name is one of a CSV file, compressed or not."""
    return path.name.lower().endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz"))


def find_files(where: str | Path, name: str) -> tuple[Path, ...]:
    """List the files of a path, folder or glob pattern, by name; of a folder those not hidden by ``.`` or ``_``.

    Raises
    ------
    DataError
        ``no_file`` if there is none, ``unknown_file_type`` or ``mixed_file_types``.
    """
    path = Path(where)
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = [p for p in sorted(path.rglob("*")) if p.is_file() and not _hidden(p.relative_to(path))]
    else:
        # an absolute pattern is one that Path.glob does not take
        files = [Path(p) for p in sorted(glob.glob(str(where), recursive=True)) if Path(p).is_file()]  # noqa: PTH207
    if not files:
        hint = with_backslashes(str(where)) or "check the path"
        raise DataError("no_file", f"{name}: no file at {str(where)!r}", hint=hint, path=str(where))
    csv = [is_csv(p) for p in files]
    parquet = [p.name.lower().endswith((".parquet", ".pq")) for p in files]
    for file, known in zip(files, (c or p for c, p in zip(csv, parquet, strict=True)), strict=True):
        if not known:
            raise DataError(
                "unknown_file_type",
                f"{name}: {file.name!r} is neither parquet nor CSV",
                hint="known endings: .parquet .pq .csv .tsv .txt and these with .gz",
                file=file.name,
            )
    if any(csv) and any(parquet):
        raise DataError("mixed_file_types", f"{name}: {str(where)!r} holds both CSV and parquet files")
    return tuple(files)


def _hidden(path: Path) -> bool:
    """Whether a file is bookkeeping, or in a folder of it such as ``_temporary`` of Spark: no data, as Spark reads."""
    return any(name.startswith((".", "_")) and "=" not in name for name in path.parts)


def _scan(files: tuple[Path, ...], kind: str, name: str) -> pl.LazyFrame:
    for file in files:
        if file.stat().st_size == 0:
            raise DataError("empty_file", f"{name}: {file.name!r} is empty (0 bytes)", file=file.name)
        if kind == "csv":
            _check_end(file, name)
    if kind == "parquet":
        return pl.scan_parquet(list(files), glob=False)
    by_header: dict[tuple[str, ...], list[Path]] = {}
    for file in files:
        by_header.setdefault(_csv_columns(file, name), []).append(file)
    if len(by_header) == 1:
        return _scan_csv(list(files), next(iter(by_header)))
    # files of one table may have other columns, or the same in another order: names decide
    return pl.concat([_scan_csv(some, header) for header, some in by_header.items()], how="diagonal")


def _separator(file: Path) -> str:
    return "\t" if ".tsv" in file.name.lower() else ","


def _csv_columns(file: Path, name: str) -> tuple[str, ...]:
    try:
        return tuple(pl.scan_csv(file, infer_schema=False, separator=_separator(file), glob=False).collect_schema())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(error, name, (file,)) from error


def _scan_csv(files: list[Path], columns: tuple[str, ...]) -> pl.LazyFrame:
    """Scan CSV files with one column more than the header: what stands in it are cells too many.

    Without it, a row with an unquoted comma would shift its cells unseen wherever the last column is not read.
    """
    schema = dict.fromkeys((*columns, MORE), pl.String)
    return pl.scan_csv(
        files, schema=schema, truncate_ragged_lines=True, missing_columns="insert", separator=_separator(files[0]),
        glob=False,
    )  # fmt: skip


def _check_end(file: Path, name: str) -> None:
    """Find files cut off in their last row: readers accept them silently."""
    try:
        if file.name.lower().endswith(".gz"):
            head, tail = _gzip_ends(file)
        else:
            with file.open("rb") as handle:
                head = handle.read(SAMPLE)
                handle.seek(max(0, file.stat().st_size - SAMPLE))
                tail = handle.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            "truncated_file", f"{name}: {file.name!r} cannot be decompressed: {error}", hint="fetch it again"
        ) from error
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _unreadable(ValueError("it is UTF-16, not UTF-8"), name, (file,))
    if tail.endswith((b"\n", b"\r")) or b'"' in tail or b"\n" not in tail:
        return  # quoted cells may hold separators and line ends: counting would mislead
    separator = b"\t" if ".tsv" in file.name.lower() else b","
    wanted = head.split(b"\n", 1)[0].count(separator) + 1
    found = tail.rsplit(b"\n", 1)[-1].count(separator) + 1
    if found < wanted:
        raise DataError(
            "truncated_file",
            f"{name}: {file.name!r} ends inside its last row, which has {found} of {wanted} columns",
            hint="fetch or write the file again",
            found=found,
            wanted=wanted,
        )


def _gzip_ends(file: Path) -> tuple[bytes, bytes]:
    head = tail = b""
    with gzip.open(file, "rb") as handle:
        while block := handle.read(SAMPLE):
            head = head or block
            tail = (tail + block)[-SAMPLE:]
    return head, tail


def _hash_file(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    blocks = max(1, -(-size // SAMPLE))
    chosen = range(blocks) if blocks <= WHOLE else [i * (blocks - 1) // (WHOLE - 1) for i in range(WHOLE)]
    with path.open("rb") as handle:
        for block in chosen:
            handle.seek(block * SAMPLE)
            digest.update(handle.read(SAMPLE))
    return digest.hexdigest()


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


def _unreadable(error: BaseException, name: str, files: tuple[Path, ...]) -> DataError:
    where = f" ({files[0].name}{' and others' if len(files) > 1 else ''})" if files else ""
    first = _first_line(error)
    if isinstance(error, pl.exceptions.NoDataError):
        return DataError("empty_file", f"{name}{where} has no rows and no header", hint="check the path", table=name)
    hint = "the file is damaged, cut off, or not what its ending says" if files else "the frame raised it when it ran"
    if "utf-8" in first.lower() or "utf8" in first.lower():
        hint = "save the file in the encoding UTF-8"
    if len(files) > 1 and isinstance(error, (pl.exceptions.SchemaError, pl.exceptions.ColumnNotFoundError)):
        hint = "all files of one table must have the same columns"
    return DataError(
        "unreadable_file",
        f"{name}{where} cannot be read: {first}",
        hint=hint,
        table=name,
    )


def read_error(error: BaseException, source: Source) -> DataError:
    """Turn a fault of the reader in the middle of a scan into an error of ours."""
    return _unreadable(error, source.name, source.files)
