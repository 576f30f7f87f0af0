"""What all commands share: exceptions become exit codes, progress and warnings go to standard error."""

from __future__ import annotations

import _thread
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from attrib.errors import AttribError, ResourceError, SpecError

if TYPE_CHECKING:
    from rich.console import Console

_LONGEST = 500  # characters of one line of a message: more is a file that is not what it seems


@contextmanager
def errors(as_json: bool) -> Iterator[None]:
    """Turn exceptions into exit codes; faults of ours keep their traceback."""
    try:
        yield
        sys.stdout.flush()  # here, so that a reader who has gone is noticed inside
    except AttribError as error:
        fail(error, as_json)
    except MemoryError:
        hint = "set --memory, or close other programs"
        fail(ResourceError("out_of_memory", "memory is not sufficient", hint=hint), as_json)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # we are on our way out already
        sys.unraisablehook = lambda _: None
        complain("interrupted")
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # `attrib run … | head`: the files are whole, and nobody wants to read on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(error: AttribError, as_json: bool) -> None:
    """Tell what is wrong and what to do next, and leave with the exit code of the error."""
    if as_json:
        say_json({"status": "error", "key": error.key, "message": error.message, "hint": error.hint})
    complain(f"error: {error.message}", "red")
    if error.hint:
        complain(f"next step: {error.hint}")
    raise typer.Exit(error.exit_code)


ONCE = "compiling, once"
SELDOM = 15.0  # seconds between two lines of progress where there is no terminal
Advance = Callable[[str, float, float | None], None]


@contextmanager
def progress_bars(silent: bool) -> Iterator[Advance | None]:
    """Show progress on standard error: bars in a terminal, elsewhere a line now and then; and what is compiled."""
    if silent:
        yield None
        return
    lines = Lines(bars=sys.stderr.isatty())
    with _told_of_compiling(lines.compiled):
        if lines.bars:
            with _bars() as advance, _told_of_compiling(lambda kernels, _: advance(ONCE, kernels, None)):
                yield advance
        else:
            yield lines.advance
    lines.end()


@contextmanager
def _told_of_compiling(watcher: Callable[[int, float], None]) -> Iterator[None]:
    from attrib.kernels.compiling import compiling

    compiling.watchers.append(watcher)
    try:
        yield
    finally:
        compiling.watchers.remove(watcher)


class Lines:
    """Progress in lines: the first after a while, so that short work says nothing."""

    def __init__(self, *, bars: bool) -> None:
        self.bars, self._last = bars, time.monotonic()
        self._seconds: float | None = None

    def advance(self, stage: str, done: float, total: float | None) -> None:
        """Tell of a stage, if nothing was told for a while."""
        if time.monotonic() - self._last >= SELDOM:
            self._last = time.monotonic()
            complain(f"{stage}: {done / total:.0%}" if total else f"{stage}: {done:,.0f}" if done else stage)

    def compiled(self, _kernels: int, seconds: float) -> None:
        """Tell that kernels are compiled, when the first of them is; in a terminal a bar does."""
        if self._seconds is None and not self.bars:
            complain(f"{ONCE}: this run takes up to some minutes longer, later ones load what is kept", "dim")
        self._seconds = seconds

    def end(self) -> None:
        """Tell what was compiled, if anything was."""
        if self._seconds is not None:
            complain(f"compiled in {self._seconds:.0f} s, and kept", "dim")


@contextmanager
def _bars() -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(text_format_no_percentage="{task.completed:,.0f}"),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
        console=_console(stderr=True),
        transient=True,
    )
    tasks: dict[str, TaskID] = {}

    def advance(stage: str, done: float, total: float | None) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage)
        bars.update(tasks[stage], completed=done, total=total)

    with bars:
        yield advance


def draw(parts: Callable[[int], Iterator[Any]]) -> None:
    """Print what is drawn for the width of the terminal."""
    from attrib.report import terminal

    console = _console()
    lines = nullcontext() if console.is_terminal else console.capture()
    console.width = width = terminal.usable_width(console)
    with lines as captured:
        for part in parts(width):
            console.print(part)
    if captured is not None:  # rich fills tables up with blanks, which files and diffs do not want
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process with 1; see errors

    wide = None if (sys.stderr if stderr else sys.stdout).isatty() else 100
    return Quiet(stderr=stderr, width=wide, highlight=False, markup=False, emoji=False)


def warn_of(notes: tuple[str, ...]) -> None:
    """Warn on standard error, one line each."""
    for note in notes:
        complain(f"warning: {note}", "yellow")


def complain(line: str, style: str | None = None) -> None:
    """Write to standard error, without what could play tricks with the terminal."""
    from rich.text import Text

    from attrib.io.text import clean_lines

    _console(stderr=True).print(Text(clean_lines(line, _LONGEST), style=style or ""), soft_wrap=True)


def say(line: str) -> None:
    """Write a line to standard output, likewise."""
    from attrib.io.text import clean

    sys.stdout.write(clean(line) + "\n")


def say_json(content: dict[str, Any]) -> None:
    """Write a summary for programs."""
    sys.stdout.write(json.dumps(_plain(content), indent=2, default=str, allow_nan=False) + "\n")


def _plain(content: Any) -> Any:
    """What JSON can say: no number of it is infinite, or none."""
    if isinstance(content, dict):
        return {str(key): _plain(entry) for key, entry in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(entry) for entry in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def places(files: Iterable[Path]) -> list[str]:
    """Spell files in full, so that a program finds them from wherever it runs."""
    return [str(file.absolute()) for file in files]


class Shown(NamedTuple):
    """How much of the result to show: tables, or JSON, or nothing."""

    quiet: bool
    as_json: bool
    top: int | None
    everything: bool

    def rows(self, usual: int) -> int | None:
        """Rows of a table that usually has so many; None for all."""
        return None if self.everything else self.top or usual


def shown(quiet: bool, as_json: bool, top: int | None, everything: bool) -> Shown:
    """Check what is asked to be shown, before the work begins."""
    if everything and top is not None:
        raise SpecError("bad_argument", f"--all is given with --top {top}", hint="give one")
    return Shown(quiet, as_json, top, everything)


def keep_interrupt(fault: sys.UnraisableHookArgs) -> None:
    """Send an interrupt again that hit where Python can only print and forget it, as in a weak reference."""
    if isinstance(fault.exc_value, KeyboardInterrupt):
        again = threading.Timer(0.05, _thread.interrupt_main)  # at once it would be lost in this very hook
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(fault)
