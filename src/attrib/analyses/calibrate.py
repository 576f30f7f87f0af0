"""attrib.calibrate: what lift tests say of a model's credit, and the credit that both together support."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from attrib.analyses.credit_tables import PLAYER, advances, as_in, credit_table, names_of
from attrib.analyses.multipliers import Posterior
from attrib.diagnostics.columns import OF_LIFT_TESTS, unread
from attrib.diagnostics.customers import equal_rows
from attrib.diagnostics.finding import tell
from attrib.diagnostics.names import near_matches, shown, some
from attrib.errors import DataError, SpecError, brief, warn
from attrib.io.amounts import is_text, number
from attrib.io.checks import MOST_BESIDE
from attrib.io.collecting import collect_table
from attrib.io.looks import what_they_look_like
from attrib.io.mapping import read_columns
from attrib.io.tables import check_types
from attrib.io.text import clean
from attrib.schemas import CONVERSIONS, KIND, KINDS, METHOD, OUTCOME, SHARE, STAGE, VALUE, require_columns
from attrib.showing import Shown
from attrib.values import check_share

UNATTRIBUTED, BASELINE = KINDS[1:]
INCREMENT, STANDARD_ERROR = "increment", "standard_error"
SPELLINGS = ("se", "increment_se")  # of the standard error
TAU = math.log(2.0)
DOUBT, FAR = 0.05, 3.0  # tests that differ more than by chance; how many errors the credit may be off before it is told
SHOWN = 5  # tests in a warning


@dataclass(frozen=True, slots=True, repr=False)
class Calibrated(Shown):
    """What :func:`calibrate` found.

    Attributes
    ----------
    tests : polars.DataFrame
        Before and after, one row a tested group and method: the key columns of the tests, ``method``, ``tests`` (their
        number), ``tested`` and ``tested_se`` (their precision-weighted mean), ``credit`` and ``credit_se`` of the model
        (from its interval), ``z`` = (tested − credit) / (both errors together), the posterior ``multiplier`` with
        ``multiplier_low``, ``…_high``, and ``calibrated`` with ``calibrated_low``, ``…_high``: conversions. Last, of
        several tests of one group, whether they agree: Cochran's ``q`` = Σ (increment − tested)² / standard error²,
        its ``q_p`` (chance of as much or more if all measure one increment; chi-squared, tests − 1 degrees of freedom)
        and ``i_squared`` = (q − (tests − 1)) / q, at least 0: the part of their spread that is no chance. Null for one.
    credit : polars.DataFrame
        The credit table's keys, ``kind``, ``method``, ``conversions``, ``value``, ``share``, all calibrated, and
        ``conversions_low``, ``…_high``, ``value_low``, ``…_high``. Channels without a test keep their credit, with the
        width of the prior. What the calibrated credit leaves of a game's conversions is its ``baseline`` row.
    """

    tests: pl.DataFrame
    credit: pl.DataFrame


def calibrate(
    credit: Any,
    lift_tests: Any,
    *,
    tau: float = TAU,
    level: float = 0.95,
    outcome: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Calibrated:
    """Combine a model's credit with the results of lift tests.

    Each tested channel's credit is wrong by a factor k: a priori log k ~ normal(0, ``tau``); the mean result of its
    tests ~ normal(k × credit, standard error); the credit itself ~ normal(what the method would find in endless data,
    its standard error). The posterior of k is computed by quadrature, that of the calibrated credit k × credit is the
    mixture over k of normal distributions. Points are posterior medians, so that a test that says nothing changes
    nothing; intervals hold the middle ``level`` of the posterior.

    Parameters
    ----------
    credit : polars.DataFrame, or another table
        Of :func:`attrib.credit`, of the time, the market and the outcome that the tests are of, best with intervals:
        without them the credit's own error is taken as 0.
    lift_tests : polars.DataFrame, polars.LazyFrame, pandas.DataFrame, pyarrow.Table, str or Path
        One row a test: the player's columns (``channel``), ``stage`` and ``by`` columns as far as a test was of one of
        them (else it is of all together), ``increment`` (conversions more than in the control group, scaled to the
        credit's time and market; 0 and less are results like others) and ``standard_error`` (or ``se``) of it, above 0.
        Several tests of one channel are independent. Other columns are ignored, save ``outcome``.
    tau : float
        Standard deviation of log k: by default log 2, so that a third of all credit is wrong by more than a factor
        of two.
    level : float
        Level of the credit's intervals, and of the posterior's.
    outcome : str, optional
        Which of the tests' outcomes the credit is of, where they have a column ``outcome`` with more than one.
    columns : mapping of str to str, optional
        Our names to those of ``lift_tests``.

    Returns
    -------
    Calibrated
        Frames ``tests`` and ``credit``. The credit still describes increments only as far as the tests do: of a
        channel without a test it is the model's, and k says nothing of it.

    Raises
    ------
    SpecError
        ``bad_parameter``; ``outcome_not_given``.
    DataError
        ``missing_columns``, ``bad_lift_tests``, ``unknown_player``, ``stage_not_given`` for tests without a stage
        where each stage counts conversions of its own, ``bad_credit_table``.

    Warns
    -----
    AttribWarning
        Where the credit has no intervals, where credit is not positive (no factor reaches the test), and where
        calibrated credit and unattributed conversions exceed all conversions; where tests contradict each other
        (``q_p`` below 0.05), or the credit (``z`` beyond 3).

    References
    ----------
    Cochran (1954), The combination of estimates from different experiments, Biometrics 10:101-129. Higgins & Thompson
    (2002), Quantifying heterogeneity in a meta-analysis, Statistics in Medicine 21:1539-1558.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["ad > mail", "mail"], "total_conversions": [400, 200], "total_null": [600, 200]})
    >>> table = attrib.credit(attrib.Journeys.from_paths(paths), attrib.Linear())
    >>> tests = pl.DataFrame({"channel": ["ad"], "increment": [90.0], "standard_error": [30.0]})
    >>> found = attrib.calibrate(table, tests)
    >>> found.tests.select("channel", pl.col("credit", "tested", "calibrated").round(0)).rows()
    [('ad', 200.0, 90.0, 97.0)]
    """
    tau, level = _positive(tau), check_share("level", level)
    table = credit_table(credit)
    keys = table.columns[: table.columns.index(KIND)]
    tests = _lift_tests(lift_tests, table, keys, outcome, columns)
    own = [key for key in keys if key in tests.columns]
    players = _with_errors(table.filter(pl.col(KIND) == PLAYER), level)
    groups = (
        players.group_by(*own, METHOD, maintain_order=True)
        # cells of one channel move together more often than not: their errors add
        .agg(pl.col(CONVERSIONS).sum().alias("credit"), pl.col("__se").sum().alias("credit_se"))
        .join(tests, on=own, how="left", nulls_equal=True, maintain_order="left")
    )
    posteriors = [
        Posterior.of(tau, row["credit"], row["credit_se"], row["tested"], row["tested_se"])
        for row in groups.iter_rows(named=True)
    ]
    groups = groups.with_columns(_columns(posteriors, level)).with_row_index("__group")
    shown = groups.filter(pl.col("tests").is_not_null()).with_columns(
        z=(pl.col("tested") - pl.col("credit")) / _hypotenuse("tested_se", "credit_se")
    )
    flat = shown.filter(pl.col("credit") <= 0)
    if flat.height:
        warn(f"credit is 0 or less, and no factor takes it to the tested increment, of {names_of(flat.select(own))}")
    _warn_of_contradictions(tests, shown, own)
    about = shown.select(
        *own, METHOD, "tests", "tested", "tested_se", "credit", "credit_se", "z", "multiplier", "multiplier_low",
        "multiplier_high", "calibrated", "calibrated_low", "calibrated_high", "q", "q_p", "i_squared",
    )  # fmt: skip
    cells = players.join(
        groups.select(*own, METHOD, "__group", "credit", "calibrated"),
        on=[*own, METHOD], how="left", nulls_equal=True, maintain_order="left",
    )  # fmt: skip
    return Calibrated(about, _calibrated(table, cells, posteriors, level))


def _hypotenuse(one: str, other: str) -> pl.Expr:
    """Root of the sum of squares, which may be larger than any float."""
    larger = pl.max_horizontal(one, other)
    return larger * ((pl.col(one) / larger) ** 2 + (pl.col(other) / larger) ** 2).sqrt()


def _positive(tau: Any) -> float:
    if isinstance(tau, bool) or not isinstance(tau, (int, float)) or not 0 < tau <= 10:
        raise SpecError("bad_parameter", f"tau = {brief(tau)} is not a number above 0, at most 10", hint="e.g. 0.7")
    return float(tau)


def _lift_tests(
    lift_tests: Any, table: pl.DataFrame, keys: list[str], outcome: str | None, columns: Mapping[str, str] | None
) -> pl.DataFrame:
    """One row a tested group: its key columns, ``tests``, ``tested``, ``tested_se``."""
    columns = read_columns(columns)
    frame = collect_table(lift_tests, "lift_tests", columns)
    theirs = [columns.get(name, name) for name in frame.columns]
    spelled = [name for name in SPELLINGS if name in frame.columns]
    if STANDARD_ERROR not in frame.columns and spelled:
        frame = frame.rename({spelled[0]: STANDARD_ERROR})
    player = _player_columns(table, keys)
    hint = "map your names to ours with columns"
    require_columns("lift_tests", frame.columns, [*player, INCREMENT, STANDARD_ERROR], hint=hint, shown=theirs)
    frame = _of_outcome(frame, outcome)
    own = [key for key in keys if key in frame.columns]
    for finding in unread(
        "lift_tests", frame.schema, (*own, *SPELLINGS, INCREMENT, STANDARD_ERROR, OUTCOME), OF_LIFT_TESTS,
        frame.get_column,
    ):  # fmt: skip
        tell(finding)
    twice = equal_rows(frame, "lift_tests")
    if twice is not None:
        tell(twice)
    if STAGE in keys and STAGE not in own and advances(table):
        raise DataError(
            "stage_not_given",
            "lift_tests has no column stage, and each stage of the credit counts conversions of its own",
            hint="say with a column stage whose milestone each test measured",
        )
    frame = _checked(frame, columns)
    frame = frame.select(
        *(as_in(table.schema[key], frame[key], key, "lift_tests").alias(key) for key in own),
        INCREMENT,
        STANDARD_ERROR,
    )
    players = table.filter(pl.col(KIND) == PLAYER).select(own).unique()
    unknown = frame.select(own).unique().join(players, on=own, how="anti", nulls_equal=True).sort(own)
    if unknown.height:
        near = [
            f"{shown(name)} for {shown(alike[0])}"
            for key in own
            if unknown.schema[key] == pl.String
            for name, alike in near_matches(unknown[key].drop_nulls(), players[key].drop_nulls())
        ]
        differs = f"; spelled nearly alike: {some(near)}" if near else ""
        raise DataError(
            "unknown_player",
            f"{unknown.height:,} tested ({', '.join(own)}) are not in the credit table: {names_of(unknown)}{differs}",
            hint=f"it has {names_of(players.sort(own))}",
        )
    unit = pl.col(STANDARD_ERROR).min()  # so that no square is too large, or nothing
    weight = (pl.col(STANDARD_ERROR) / unit) ** -2
    mean = (pl.col(INCREMENT) * (weight / weight.sum())).sum()
    groups = frame.group_by(own, maintain_order=True).agg(
        tests=pl.len(), tested=mean, tested_se=unit * weight.sum() ** -0.5,
        q=(((pl.col(INCREMENT) - mean) / pl.col(STANDARD_ERROR)) ** 2).sum(),
        results=pl.struct(INCREMENT, STANDARD_ERROR),
    )  # fmt: skip
    return _with_agreement(groups)


def _with_agreement(groups: pl.DataFrame) -> pl.DataFrame:
    """Cochran's Q with its chance and I², null for a test alone."""
    from scipy.special import chdtrc

    several = pl.col("tests") > 1
    freedom = (groups["tests"].cast(pl.Float64) - 1).to_numpy()
    chance = pl.Series("q_p", chdtrc(freedom.clip(1), groups["q"].to_numpy()))
    inconsistent = pl.when(pl.col("q") > 0).then((1 - (pl.col("tests").cast(pl.Float64) - 1) / pl.col("q")).clip(0))
    return groups.with_columns(chance, inconsistent.otherwise(0.0).alias("i_squared")).with_columns(
        pl.when(several).then(name) for name in ("q", "q_p", "i_squared")
    )


def _warn_of_contradictions(tests: pl.DataFrame, shown: pl.DataFrame, own: list[str]) -> None:
    """Say which tests differ from each other, and from the credit, by more than chance."""
    apart = tests.filter(pl.col("q_p") < DOUBT).sort("q_p")
    for row in apart.head(SHOWN).iter_rows(named=True):
        listed = ", ".join(f"{one[INCREMENT]:g} ± {one[STANDARD_ERROR]:g}" for one in row["results"][:SHOWN])
        listed += f" and {row['tests'] - SHOWN:,} more" if row["tests"] > SHOWN else ""
        name = names_of(pl.DataFrame([{key: row[key] for key in own}], schema=tests.select(own).schema))
        warn(
            f"the {row['tests']:,} lift tests of {name} contradict each other: {listed} (Q = {row['q']:.3g}, p = "
            f"{row['q_p']:.2g}, I² = {row['i_squared']:.0%}); their mean is taken as if they measured one increment, "
            "and its error is too small: see whether they are of one time, market and unit, and leave out what is not"
        )
    if apart.height > SHOWN:
        warn(f"the lift tests of {apart.height - SHOWN:,} more groups contradict each other: see q_p in .tests")
    far = shown.filter(pl.col("z").abs() > FAR, pl.col("credit") > 0).sort(pl.col("z").abs(), descending=True)
    if far.height:
        listed = ", ".join(
            f"{names_of(far[at].select(own))} by {clean(str(far[METHOD][at]), 40)} (credit {far['credit'][at]:.4g}, "
            f"tested {far['tested'][at]:.4g}, z = {far['z'][at]:.1f})"
            for at in range(min(SHOWN, far.height))
        )
        more = f" and {far.height - SHOWN:,} more" if far.height > SHOWN else ""
        warn(
            f"lift tests contradict the credit by more than {FAR:g} errors: {listed}{more}; see whether both are of "
            "the same outcome, time, market and unit (conversions, not money) before you take their mixture"
        )


def _player_columns(table: pl.DataFrame, keys: list[str]) -> list[str]:
    """Key columns that are the player's own: null in the rows of no player, save a stage."""
    others = table.filter(pl.col(KIND) != PLAYER)
    named = [key for key in keys if key != STAGE and not others[key].is_not_null().any()]
    return named or [key for key in keys if key != STAGE]


def _of_outcome(frame: pl.DataFrame, outcome: str | None) -> pl.DataFrame:
    if OUTCOME not in frame.columns:
        return frame
    found = [str(name) for name in frame[OUTCOME].unique().sort().to_list()]
    if outcome is None and len(found) > 1:
        raise SpecError(
            "outcome_not_given",
            f"lift_tests is of {len(found):,} outcomes: {', '.join(clean(name, 40) for name in found[:10])}",
            hint=f'say which the credit is of: outcome="{clean(found[0], 40)}"',
        )
    chosen = frame if outcome is None else frame.filter(pl.col(OUTCOME).cast(pl.String) == outcome)
    if not chosen.height and frame.height:
        raise SpecError(
            "outcome_not_given",
            f"lift_tests has no test of {brief(outcome)}",
            hint=f"its outcomes: {', '.join(found[:10])}",
        )
    return chosen


def _checked(frame: pl.DataFrame, columns: Mapping[str, str] | None) -> pl.DataFrame:
    """The tests with their numbers as such: a finite increment, and a finite standard error above 0, in every row."""
    if not frame.height:
        raise DataError("bad_lift_tests", "lift_tests has no row", hint="give one row a test")
    check_types("lift_tests", frame.schema, {INCREMENT: "number", STANDARD_ERROR: "number"})
    read = frame.with_columns(number(name, frame.schema[name]) for name in (INCREMENT, STANDARD_ERROR))
    finite = {name: pl.col(name).is_finite().fill_null(value=False) for name in (INCREMENT, STANDARD_ERROR)}
    wrong = {
        f"{INCREMENT} is not a finite number": (INCREMENT, ~finite[INCREMENT]),
        f"{STANDARD_ERROR} is not a finite number above 0": (
            STANDARD_ERROR,
            ~(finite[STANDARD_ERROR] & (pl.col(STANDARD_ERROR) > 0)),
        ),
    }
    broken, looks = [], ""
    for what, (name, rule) in wrong.items():
        rows = read.select(rule).to_series()
        if rows.any():
            at = int(rows.arg_max() or 0)
            found = frame[name][at]
            if is_text(frame.schema[name]):
                texts, others = frame.filter(rows)[name], frame.filter(~rows)[name].head(MOST_BESIDE)
                theirs = (columns or {}).get(name, name)
                looks = looks or what_they_look_like("value_unparseable", texts, beside=others, column=theirs)
            shown_as = "none" if found is None else repr(clean(found, 40))
            broken.append(f"{what} in {int(rows.sum()):,} of {frame.height:,} rows, e.g. row {at:,} has {shown_as}")
    if broken:
        hint = looks or "mend these rows, or leave these tests out: a test without its error says little"
        raise DataError("bad_lift_tests", f"lift_tests: {'; '.join(broken)}", hint=hint)
    return read


def _with_errors(players: pl.DataFrame, level: float) -> pl.DataFrame:
    """Standard errors of conversions and value, from their intervals."""
    from scipy.special import ndtri

    width = 2 * float(ndtri((1 + level) / 2))
    missing = [name for name in (CONVERSIONS, VALUE) if f"{name}_low" not in players.columns]
    if missing:
        warn("the credit has no intervals: its own error is taken as 0, and calibrated intervals are too narrow")
    return players.with_columns(
        (
            pl.lit(0.0)
            if name in missing
            else ((pl.col(f"{name}_high") - pl.col(f"{name}_low")) / width).fill_null(0.0).clip(0.0)
        ).alias(alias)
        for name, alias in ((CONVERSIONS, "__se"), (VALUE, "__value_se"))
    ).with_columns(pl.col(CONVERSIONS, VALUE).fill_null(0.0))


def _columns(posteriors: list[Posterior], level: float) -> list[pl.Series]:
    tail = (1 - level) / 2
    found = [(*p.factors((0.5, tail, 1 - tail)), *p.quantiles((0.5, tail, 1 - tail))) for p in posteriors]
    names = [f"{name}{end}" for name in ("multiplier", "calibrated") for end in ("", "_low", "_high")]
    return [pl.Series(name, [row[i] for row in found], pl.Float64) for i, name in enumerate(names)]


def _calibrated(table: pl.DataFrame, cells: pl.DataFrame, posteriors: list[Posterior], level: float) -> pl.DataFrame:
    """The credit table after calibration, with what is left as the baseline of each game."""
    tail = (1 - level) / 2
    rows = []
    alone = cells.group_by("__group").len().filter(pl.col("len") == 1)["__group"].to_list()
    single = set(alone)
    for cell in cells.iter_rows(named=True):
        posterior, credit = posteriors[cell["__group"]], cell["credit"]
        row: dict[str, float] = {}
        for name, error in ((CONVERSIONS, "__se"), (VALUE, "__value_se")):
            scale = cell[name] / credit if credit else 0.0
            # the tests narrow the credit's own error only where the group is this cell
            own = None if name == CONVERSIONS and cell["__group"] in single else cell[error]
            low, high = posterior.quantiles((tail, 1 - tail), scale, own)
            row |= {name: scale * cell["calibrated"], f"{name}_low": low, f"{name}_high": high}
            row[f"__{name}_sd"] = posterior.sd_of(scale, own)
        rows.append(row)
    keys = table.columns[: table.columns.index(KIND)]
    numbers = pl.DataFrame(rows, schema={
        f"{name}{end}": pl.Float64 for name in (CONVERSIONS, VALUE) for end in ("", "_low", "_high")
    } | {f"__{name}_sd": pl.Float64 for name in (CONVERSIONS, VALUE)})  # fmt: skip
    after = cells.select(*keys, KIND, METHOD).hstack(numbers)
    games = [key for key in keys if key not in _player_columns(table, keys) and (key != STAGE or advances(table))]
    whole = _games(table, games)
    rest = table.filter(pl.col(KIND) == UNATTRIBUTED)
    sums = pl.concat([after, rest.select(*keys, KIND, METHOD, CONVERSIONS, VALUE)], how="diagonal")
    left = whole.join(
        sums.group_by(*games, METHOD).agg(
            pl.col(CONVERSIONS, VALUE).sum().name.suffix("__given"),
            *((pl.col(f"__{name}_sd") ** 2).sum().sqrt().alias(f"__{name}_sd") for name in (CONVERSIONS, VALUE)),
        ),
        on=[*games, METHOD], how="left", nulls_equal=True,
    ).with_columns(pl.lit(BASELINE, table.schema[KIND]).alias(KIND))  # fmt: skip
    baseline = left.with_columns(pl.col(n) - pl.col(f"{n}__given") for n in (CONVERSIONS, VALUE))
    baseline = _around(baseline, level)
    short = baseline.filter(pl.col(CONVERSIONS) < 0)
    if short.height:
        warn(
            f"calibrated credit exceeds all conversions in {short.height:,} of {baseline.height:,} games and methods: "
            "their baseline is negative; tests and data are hardly of the same time and market"
        )
    bounds = [f"{name}_{side}" for name in (CONVERSIONS, VALUE) for side in ("low", "high")]
    held = [name for name in bounds if name in rest.columns]
    rows_of_all = pl.concat(
        [
            after.select(*keys, KIND, METHOD, CONVERSIONS, VALUE, *bounds),
            rest.select(*keys, KIND, METHOD, CONVERSIONS, VALUE, *held),
            baseline.select(*games, KIND, METHOD, CONVERSIONS, VALUE, *bounds),
        ],
        how="diagonal",
    )
    shares = rows_of_all.join(
        whole.select(*games, METHOD, pl.col(CONVERSIONS).alias("__whole")),
        on=[*games, METHOD],
        how="left",
        nulls_equal=True,
    ).with_columns(pl.when(pl.col("__whole") > 0).then(pl.col(CONVERSIONS) / pl.col("__whole")).alias(SHARE))
    order = table.select(pl.col(METHOD).unique(maintain_order=True))[METHOD]
    place = pl.col(METHOD).replace_strict(order, range(len(order)), return_dtype=pl.Int64)
    return shares.sort(*keys, KIND, place, nulls_last=False, maintain_order=True).select(
        *keys, KIND, METHOD, CONVERSIONS, VALUE, SHARE, *bounds
    )


def _games(table: pl.DataFrame, games: list[str]) -> pl.DataFrame:
    """All conversions and value of each game and method."""
    return table.group_by(*games, METHOD, maintain_order=True).agg(pl.col(CONVERSIONS, VALUE).sum())


def _around(rows: pl.DataFrame, level: float) -> pl.DataFrame:
    """Normal intervals about what is left: its error is that of the sum of the calibrated credit."""
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    return rows.with_columns(
        (pl.col(name) + sign * z * pl.col(f"__{name}_sd")).alias(f"{name}_{side}")
        for name in (CONVERSIONS, VALUE)
        for side, sign in (("low", -1), ("high", 1))
    )
