"""The words of docs/benchmarks.md; its numbers come from the results."""

HEAD = """\
# Benchmarks

Written by `python -m benchmarks.page` from `benchmarks/results/*.csv`, the last runs that were kept; change those, not
this page.

**How to read it.** Times are medians, after a round that loads and compiles. CPU seconds count all threads and are what
to compare, since wall time depends on what else the machine does: where a run was made on a busy machine, the load
average stands beside it. A ratio is of two CPU times of the same run on the same machine, measured in turn; absolute
times differ from machine to machine. Peak memory is that of the whole process, libraries (about 0.2 GB for attrib) and
input included. A time counts only after its answer was checked.
"""

END_TO_END = """\
From two parquet files to per-stage credit by ten methods (five rules, time decay, Shapley, Markov
chains of order 1 to 3) in five stages, with the credit checked to add up to the conversions. The ratio is to a bare
scan of three columns of the touchpoints: what no program that reads them can go below. With intervals means 1,000
replicates of each. Sums differ by: the largest relative difference of a method's credit, added up, to the conversions.
"""

GOALS = """\
Set before the measurements, for a machine of two cores; judged by the results below, whatever they say. Solving,
scoring and start-up go by wall time, all else by CPU time.
"""

PROFILE = """\
The CPU time of end to end on one thread of ours, by step: polars decodes parquet, rows are checked, columns
become codes, rows are put in order, customers' events are cut into journeys, journeys are summed, methods are solved
and their table is made. Polars decodes on threads of its own.
"""

INGEST = """\
From files to partitions of ordered events in memory, without any tally, beside a bare scan of three columns of
the touchpoints in the same format. Outcomes are read too, so that a touch bears the cost of its part of them.
"""

INPUTS = """\
The same events in other files, to per-stage credit of all methods: how they lie on disk changes no number. Compressed
CSV has text where parquet has numbers and times, and is decompressed twice: a cut-off end is an error.
"""

TALLY = """\
From journeys that are in memory already to the sums that methods need, on one thread; first what it costs to cut
events into journeys. End to end, both are done once for all methods together.
"""

MEMORY = """\
The peak memory of end to end (intervals off) under a memory limit. The limit is for events and sums; libraries,
compiled kernels and the batches that polars decodes come on top, so that a floor remains whatever the limit. Rows that
arrive in order are never held.
"""

REPLAY = """\
What ten simulated channels truly add (`attrib.synth.counterfactual`): Shapley values of the game whose worth is what
happens in each of the 1,024 worlds with some channels off, and removals, with the standard errors, for purchases and
each stage. A life that no channel touches differently is not lived twice, so fewer lives are simulated than there are
worlds. With pairs of stage and channel as players, orders are sampled for customers to whom more than ten matter.
"""

SCORING = """\
Models that are fitted already score customers whose features are in memory: chances to leave (classifiers, Cox), to
refer, to be alive, expected purchases, order values and lifetime values. Libraries get one thread each. Some customers
were scored alone too, to the same numbers, else the measurement would have ended.
"""

START_UP = """\
Medians of processes that start, do this, and end; the bare interpreter among them.
"""

ENGINES = """\
The same events, shuffled, in two files, to per-stage credit of seven methods (Markov of order 3) and the funnel,
by the local engine and by Spark `local[2]` on the same machine. CPU counts Java and the Python workers. Both gave the
same table to the last digit, else the measurement would have ended.
"""

SPARK = """\
### Where Spark starts to pay

Worked out from these numbers, not measured: between {small:,} and {large:,} touchpoints the local engine takes
{local:.2g} µs of CPU a touch and Spark {spark:.2g}, {times:.2g} times as much (rows are decoded by Java, shuffled
through disk, and handed over to Python), and {fixed:.2g} s a run whatever the size (of wall time, so more on a busy
machine). If its cores shared the work perfectly, which favours Spark, a cluster would draw level with one machine from
so many touchpoints on (a session's start not counted):
"""

SOLVING = """\
What the mathematics alone cost in a warm process, the sums in hand: the credit of a method as numbers, or the whole
question where it is not credit without intervals. Beside it the wall time from the file (path tables, or events where
there are games) to the table. Where there are games, states and transitions are those of all of them.
"""

GROWTH = """\
From two parquet files to per-stage credit (last touch, linear, Shapley, one Markov chain), one size growing
at a time. Cost goes with the power of the size: at exponent 1, ten times the size costs ten times as much. Fixed costs
flatten the lower end, so the exponent of the last step alone stands beside the fitted one.
"""

PEERS = """\
Two tasks, from data in memory to the credit of one method, every package in its own process and in turn with the
others. The ratio says how many times the CPU time of attrib a package takes: below 1 it is faster than attrib.

- **Path table**: one journey a row; paths are cut into channels inside the clock by all packages.
- **Event log**: the same journeys as events: customer (a whole number), time, channel, and a flag on the touch at which
  the customer converts; rows shuffled, a frame of polars or pandas, whichever the package is at home in. attrib and
  marketing-attribution-models read it as it is, without a lookback, since only attrib has one. The others read paths,
  so what their users write first is inside the clock, in pandas: rows are sorted by customer and time, a journey ends
  at a conversion or with its customer, its channels are joined, equal paths are added up. Channels are joined as slices
  of one list, the fastest way that we found, and that is what counts; beside it stands ChannelAttribution after the
  more common, slower `groupby(…).agg(" > ".join)`.

What it does not say: attrib was given no intervals, which no other package has; and it walks its input once for all
methods that are asked for together, while here each method pays for a walk of its own. Where answers differ, they
are answers to another question (the points are percentage points of a channel's share, on a small table), so there the
ratio compares what users get under one name, not one computation.
"""

REPEAT = """\
## To repeat it

| Command | |
|---|---|
| `make bench` | every suite but the other packages, at 10⁶ touchpoints; minutes |
| `make bench-peers` | other packages, in the environment `.peers`; `ARGS="--journeys 1e5 1e6"` for the larger table |
| `make bench-full` | all of it, to 10⁸ touchpoints and the largest chains; for the night |
| `python -m benchmarks.SUITE` | one suite, by the name of its module in `benchmarks/` |
| `make bench-gate BASE=main` | is HEAD slower than that revision? |

All data are generated, from the seeds above. ChannelAttribution is under the GPL, so nothing here installs it. To
include it, put it (and matplotlib, which it imports) into an environment of your own:
`make bench-peers CHANNELATTRIBUTION=/path/to/its/bin/python`.
"""
