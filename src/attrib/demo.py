"""The demonstration: generated customers, a job with its five models, and the usual run of it."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from attrib import job, synth
from attrib.errors import SpecError
from attrib.io import sinks

JOB = """\
# Written by `attrib demo`. Change it and run it again with: attrib run job.toml

[input]
touchpoints = "touchpoints.parquet"
outcomes = "outcomes.parquet"

[journeys]
lookback = "30d"
stages = "five"    # awareness, consideration, decision, loyalty, advocacy
view = "advance"   # which channels move customers out of a stage?

[[models]]
method = "first_touch"

[[models]]
method = "last_touch"

[[models]]
method = "linear"

[[models]]
method = "markov"
order = 1

[[models]]
method = "shapley"

[intervals]
level = 0.95
replicates = 1000
seed = 0

[output]
folder = "out"
"""


def run(
    folder: str | Path,
    *,
    customers: int = 100_000,
    seed: int = 1,
    threads: int | None = None,
    memory_limit: int | str | None = None,
    progress: job.Progress | None = None,
) -> job.Result:
    """Write generated events and a job file into a folder, and run the job.

    Parameters
    ----------
    folder : str or Path
        Made if missing. A folder that holds other data or another job is refused.
    customers, seed : int
        How many customers to generate, and which.
    threads, memory_limit, progress : optional
        See :func:`attrib.job.run`.

    Returns
    -------
    Result

    Raises
    ------
    SpecError
        With key ``demo_folder`` if the demonstration would overwrite something of yours.
    """
    folder = Path(folder)
    file = folder / "job.toml"
    taken = [name for name in ("job.toml", "touchpoints.parquet", "outcomes.parquet") if (folder / name).exists()]
    if taken and (not file.is_file() or file.read_bytes() != JOB.encode()):
        raise SpecError(
            "demo_folder",
            f"{folder} already holds {', '.join(taken)}, and not from an unchanged demo",
            hint=f"choose another --out, or run what is there: attrib run {file}",
        )
    synth.write(customers, seed, folder, threads=threads, progress=progress)
    sinks.write_one(file, _write_job)
    return job.run(job.load(file), threads=threads, memory_limit=memory_limit, progress=progress)


def _write_job(file: IO[bytes]) -> None:
    file.write(JOB.encode())
