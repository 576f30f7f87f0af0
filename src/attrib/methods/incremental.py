"""What touches add, from a model of when touches and outcomes come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.durations import parse_duration
from attrib.errors import SpecError, brief, warn
from attrib.io.text import clean
from attrib.methods.base import (
    Cells,
    Credits,
    Draw,
    HasTallies,
    Method,
    check_journeys,
    sums_for,
    totals_by_game,
)
from attrib.methods.covariates import Covariates
from attrib.methods.discrete import Discrete
from attrib.methods.histories import SECONDS_A_DAY, Histories, Setting, setting_of
from attrib.methods.latent import Latent
from attrib.values import MOST_DRAWS, check_seed, whole_number

if TYPE_CHECKING:
    from attrib.engines.base import Tallies
    from attrib.engines.rows import Rows

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
CREDITED = ("shapley", "removal")
HAZARDS = ("latent", "glm", "boosting")
LITTLE = 1e-9
SHOWN = 10  # names in a warning


class Engine(Protocol):
    """A model of when events come, and replays in it. Weights are by bucket."""

    def find(
        self, setting: Setting, weight: Floats, before: Any, pool: Executor | None,
        tell: Callable[[float], None] | None,
    ) -> list[Any]:  # fmt: skip
        """Models, one for each fold; those from ``before`` are where a search may begin."""
        ...

    def replayed(self, setting: Setting, models: Any, weight: Floats, pool: Executor | None) -> tuple[Floats, Floats]:
        """What players add, and its sampling variance: [players, games, conversions and value]."""
        ...

    def effects(self, setting: Setting, models: Any, channel: list[str]) -> pl.DataFrame:
        """What was found, one row each."""
        ...


@dataclass(frozen=True)
class Incremental(Method):
    r"""Credit by what touches add: customers' lives are replayed without them, at rates that a model tells.

    Touches of each channel, and outcomes, come at rates that depend on what happened to the customer before. With
    ``hazards="latent"`` each customer has a lasting type and a mood that changes at random, neither of which is seen;
    both stand for the intent that brings both touches and conversions: only what fades after a touch counts as its
    effect. With ``"glm"`` or ``"boosting"`` estimators of scikit-learn learn the rates of each period from the history
    of the customer and from covariates, which may tell of intent.

    Parameters
    ----------
    credited : {"shapley", "removal"}
        Shapley values of the replayed conversions, or what is lost with one player gone and all others there.
    hazards : {"latent", "glm", "boosting"}
        Where rates come from: latent intent, Poisson regressions with a ridge penalty, or gradient-boosted trees. The
        last two need ``attrib[lifecycle]``.
    types, moods : int
        Latent types of customers, up to 12, and latent moods, up to 4; 1: customers do not change. ``"latent"`` only.
    decays : str or sequence of str
        Times in which a touch fades to 1/e of its effect. Of several the likeliest is taken.
    period : str
        Rates are constant within it until something happens. Not for ``"latent"``.
    covariates : frame, str or Path, optional
        What is known of customers: ``customer_id``, optionally ``timestamp`` from when a row holds (the first holds
        before, too), and numbers, booleans or texts. What is missing, as of customers without a row, has an indicator
        of its own. Not for ``"latent"``.
    sample : int, optional
        Customers who are learned from and replayed, drawn by their ids' hashes; credit is scaled up from their
        conversions to all. None: 2,000 with ``"boosting"``, 20,000 with ``"glm"``. Not for ``"latent"``.
    penalty : float
        ``"latent"``: how sure an effect must be, in standard errors; weaker ones are taken for none, 0: keep them all.
        Otherwise the strength of the ridge penalty, on coefficients of standardised features or on leaves.
    folds : int
        Cross-fitting: customers of each part of the buckets are replayed with the parameters that the other parts give.
        1: all with the parameters of all.
    permutations : int
        Orders of the players for each customer, an even number: each order comes with its reverse. With
        ``credited="removal"`` half as many draws of what was not seen are made.
    seed : int
        Of the first guess and of all draws.
    tolerance : float
        The search ends when three steps raise the penalised log-likelihood by less than this, per event. ``"latent"``
        only.
    steps : int
        Most steps of a search; beyond, there is a warning. ``"latent"`` only.

    Raises
    ------
    SpecError
        ``bad_parameter``, or ``bad_duration``; ``covariates_latent``, ``sample_latent``; ``missing_extra`` where
        scikit-learn is not installed.
    DataError
        ``missing_column``, ``bad_covariate``, ``doubled_covariates``, or as for any table.

    Warns
    -----
    AttribWarning
        Where channels are credited with exactly 0, with their names: their effect was not told from none, or a type of
        customers took it in, as it does where touches come at times as good as random.

    Notes
    -----
    **Latent intent.** In stage s, a customer of type i in mood a has process p (touches of a channel, or an outcome) at
    the rate

    .. math:: b_{ps}\, u_{pi}\, v_{pa}\, w_{sa} \Bigl(1 + \sum_c \beta_{psc} \sum_{t_c < t} e^{-(t - t_c) / d}\Bigr)

    with sums over the earlier events of each kind c: touches of a channel, or an outcome. They act on the milestone of
    the stage and on the target, and on touches to come: an ad that makes people search, a visit that is followed up.
    The parameters maximise a penalised likelihood by EM; then effects that are left are fitted again without the
    penalty. Given the states of a customer, drawn from their distribution given all events, each event tells how much
    of a unit exponential its process has used up; without a player all follows from the same exponentials.

    **Periods.** A life is cut into periods from the first event, and at events. For each stretch the features are: the
    logarithm of 1 + the faded count of events of each kind, twice (fading with ``decays``, and within 60 days), of
    1 + the days since the first event; the covariates when it begins; the stage. Touches of a channel have one model,
    an outcome one for each stage in which touches act on it and one for the others. All stretches that end in an
    event are learned from, and a part of the others, drawn by key, with weights. Under each process lies a sheet of
    points; those below the rate are events (thinning). The log says which were, so a world without a player has the
    same points and its own rates. Its exposures and outcomes are those of that world; the slowly fading counts of
    touches stay those of the log: they tell who the customer is. No rate is higher than any in what was learned from.
    Effects may be negative here.

    Of both: events before a customer's first are not known, and the first itself is taken as given. Without a stage
    model, the stages are those of `attrib.methods.histories`: outcomes that more customers have than the target come
    before it. In a world without a player its touches reach nobody; the world with everybody on is the log itself, so
    credit and baseline add up to what was observed. In the resolved view a player is a channel in one stage.

    It rests on assumptions: given type, mood and stage (or the features), nothing else brings touches and conversions
    close together in time; effects fade at one rate, and all touches are in the log. Intent that comes and goes as fast
    as effects fade is credited to touches, unless covariates tell of it. Intervals come from the jackknife over 20
    groups of buckets, with the decay and the choice of effects of all the data. ``conversions_se`` holds the error of
    the draws, and of the sample of customers.

    How near it is to the truth was measured in one family of markets, that of `attrib.synth`, whose form is the one
    assumed here (latent classes and states, effects that add and fade exponentially); in markets of other forms it was
    last or near it in shares in three of four (docs/choosing-a-method.md).

    References
    ----------
    Du, Zhong, Nair, Cui & Shou (2019), Causally driven incremental multi-touch attribution using a recurrent neural
    network (credit from counterfactual conversions). Zhang, Wei & Ren (2014), Multi-touch attribution in online
    advertising with survival theory (additive hazards, EM). Abhishek, Fader & Hosanagar (2012), Media exposure through
    the funnel (hidden states of customers). Varadhan & Roland (2008), Simple and globally convergent methods for
    accelerating the convergence of any EM algorithm. Anderson (2007), A modified next reaction method. Castro, Gómez &
    Tejada (2009), Polynomial calculation of the Shapley value based on sampling.

    Examples
    --------
    >>> import attrib
    >>> data = attrib.synth.generate(customers=300, seed=1)
    >>> journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes)
    >>> table = attrib.Incremental(types=2, moods=1, decays="7d").credit(journeys)
    >>> linear = attrib.Linear().credit(journeys)
    >>> abs(table["conversions"].sum() - linear["conversions"].sum()) < 1e-6
    True
    """

    credited: str = "shapley"
    hazards: str = "latent"
    types: int = 4
    moods: int = 4
    decays: str | tuple[str, ...] = ("3d", "7d", "14d")
    period: str = "1d"
    covariates: Any = None
    sample: int | None = None
    penalty: float = 2.0
    folds: int = 1
    permutations: int = 4
    seed: int = 0
    tolerance: float = 1e-5
    steps: int = 300

    def __post_init__(self) -> None:
        if self.credited not in CREDITED:
            raise SpecError(
                "bad_parameter",
                f"credited = {brief(self.credited)} is neither of {', '.join(CREDITED)}",
                hint="the default",
            )
        if self.hazards not in HAZARDS:
            raise SpecError(
                "bad_parameter",
                f"hazards = {brief(self.hazards)} is none of {', '.join(HAZARDS)}",
                hint="the default: latent",
            )
        if isinstance(self.decays, list):
            object.__setattr__(self, "decays", tuple(self.decays))
        if not len(self._days()) or self._days().min() <= 0:
            raise SpecError("bad_parameter", f"decays = {brief(self.decays)} are not times above 0", hint='e.g. "7d"')
        for name, high in (("penalty", 100.0), ("tolerance", 1.0)):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not 0 <= value <= high or (name == "tolerance" and value == 0):
                raise SpecError("bad_parameter", f"{name} = {brief(value)} is not a number from 0 to {high:g}")
        for name, low, most in (("types", 1, 12), ("moods", 1, 4), ("folds", 1, 20), ("steps", 1, None)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), low, most))
        object.__setattr__(self, "permutations", whole_number("permutations", self.permutations, 2, MOST_DRAWS))
        if self.permutations % 2:
            raise SpecError("bad_parameter", f"permutations = {self.permutations} is odd", hint="each has its reverse")
        object.__setattr__(self, "seed", check_seed(self.seed))
        self._check_periods()

    def _check_periods(self) -> None:
        """Check the parameters of the hazards by period; the latent model has none of them."""
        period = parse_duration(self.period, "period")
        if period is None or period.total_seconds() <= 0:
            raise SpecError("bad_parameter", f"period = {brief(self.period)} is not a time above 0", hint='e.g. "1d"')
        if self.sample is not None:
            object.__setattr__(self, "sample", whole_number("sample", self.sample, 1))
        if self.covariates is not None:
            object.__setattr__(self, "covariates", Covariates.of(self.covariates))
        if self.hazards != "latent":
            return
        if self.covariates is not None:
            raise SpecError(
                "covariates_latent", "the model of latent intent has no covariates", hint='use hazards="glm"'
            )
        if self.sample is not None:
            raise SpecError(
                "sample_latent",
                "the model of latent intent looks at all customers",
                hint='leave sample out, or use hazards="glm"',
            )

    def _days(self) -> Floats:
        """Times of fading, in days."""
        texts = self.decays if isinstance(self.decays, tuple) else (self.decays,)
        spans = [parse_duration(one, "decays") for one in texts]
        if None in spans:
            raise SpecError(
                "bad_parameter", f"decays = {brief(self.decays)}: unlimited effects never fade", hint='e.g. "7d"'
            )
        return np.array([span.total_seconds() / SECONDS_A_DAY for span in spans if span is not None])

    def _needs(self) -> tuple[()]:
        return ()

    def _reads(self) -> tuple[Histories]:
        return (Histories("incremental"),)

    def _jackknife(self, _cells: Cells) -> bool:
        return True

    def _trial(self) -> Incremental:
        return replace(self, permutations=2, folds=1, steps=min(self.steps, 3))

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        rows = tallies.rows[self._reads()[0]]
        weights = draw.weights_of(len(rows.units))
        shape = (len(weights), len(cells.game))
        conversions, value = np.zeros(shape), np.zeros(shape)
        error, value_error = np.zeros(shape), np.zeros(shape)
        engine = self._engine()
        with _threads(tallies.workers) as pool:
            setting, models = self._models(engine, rows, tallies, pool)
            for r, weight in enumerate(weights):
                some = models
                if not draw.exact and not (weight == 1.0).all():
                    some = engine.find(setting, weight, models, pool, None)
                added, noise = engine.replayed(setting, some, weight, pool)
                found = added[cells.player, cells.game], np.sqrt(noise[cells.player, cells.game])
                conversions[r], value[r] = found[0].T
                error[r], value_error[r] = found[1].T
                if tallies.progress is not None and len(weights) > 1:
                    tallies.progress(f"fitting {self.label}", (r + 1) / len(weights), 1.0)
        if draw.exact:
            self._warn_of_zeros(tallies, cells, conversions[0], draw)
        left, left_value = (
            totals_by_game(tallies, name, draw) - _by_game(credit, cells, tallies.n_games)
            for name, credit in (("conversions", conversions), ("value", value))
        )
        if draw.exact and (left < -LITTLE * (1 + np.abs(conversions).sum())).any():
            warn(
                f"{self.label}: less than nothing is left as the baseline of {int((left < 0).sum())} games; more of "
                "their conversions are without a touch than the model expects without any channel"
            )
        return Credits(conversions, value, None, error, value_error, left, left_value)

    def _warn_of_zeros(self, tallies: Tallies, cells: Cells, conversions: Floats, draw: Draw) -> None:
        """Name the players with exactly no credit in any game: no effect was found, or none could be."""
        none = np.setdiff1d(cells.player, cells.player[conversions != 0])
        if not len(none) or not totals_by_game(tallies, "conversions", draw).any():
            return
        names = [" · ".join(clean(str(part), 40) for part in row) for row in tallies.players[none[:SHOWN]].rows()]
        more = f" and {len(none) - SHOWN:,} more" if len(none) > SHOWN else ""
        warn(
            f"{self.label}: {len(none):,} of {len(np.unique(cells.player)):,} channels are credited with exactly 0 "
            f"conversions: {', '.join(names)}{more}. That is no proof that they do nothing: an effect that data do not "
            "tell from none counts as none, and where touches come at times as good as random, or only to a lasting "
            "kind of customers (a weekly mail to subscribers), the kind of customer takes the effect in. Set beside it "
            "Markov(order=1), and judge these channels by a lift test"
        )

    def _engine(self) -> Engine:
        """The engine of these hazards."""
        removal = self.credited == "removal"
        if self.hazards == "latent":
            return Latent(
                self._days(), self.penalty, self.folds, self.permutations, removal, self.seed, self.types, self.moods,
                self.tolerance, self.steps, self.label,
            )  # fmt: skip
        period = parse_duration(self.period, "period")
        assert period is not None, "checked before"
        return Discrete(
            self._days(), self.penalty, self.folds, self.permutations, removal, self.seed, self.hazards,
            period.total_seconds() / SECONDS_A_DAY, self.covariates, self.sample,
        )  # fmt: skip

    def _models(self, engine: Engine, rows: Rows, tallies: Tallies, pool: Executor | None) -> tuple[Setting, list[Any]]:
        """Histories, and a model for each fold; both are remembered."""
        if "setting" not in rows.memo:
            rows.memo["setting"] = setting_of(rows, tallies, self._reads()[0].method)
        setting: Setting = rows.memo["setting"]
        key = (self, "models")
        if key not in rows.memo:

            def tell(share: float) -> None:
                if tallies.progress is not None:
                    tallies.progress(f"fitting {self.label}", share, 1.0)

            rows.memo[key] = engine.find(setting, np.ones(len(rows.units)), None, pool, tell)
        return setting, rows.memo[key]

    def fitted(self, journeys: HasTallies) -> pl.DataFrame:
        """Effects that were found.

        Parameters
        ----------
        journeys : Journeys
            From :meth:`attrib.Journeys.from_events`.

        Returns
        -------
        polars.DataFrame
            With ``hazards="latent"`` one row an effect that is not 0: ``fold``; ``stage`` in which it was found and
            ``on``, an outcome, or the touches of a channel (then in every stage, ``stage`` is null); ``source``: the
            channel or outcome whose events have it; ``lift``: what one adds to the rate at once, in multiples of the
            rate without; ``days``: until 1/e is left. With ``"glm"`` one row a coefficient that is not 0: ``fold``,
            ``stage`` (null: more than one), ``on``; ``feature``, such as a channel and the days in which its touches
            fade; ``coefficient``: what one more of it (of the logarithm of 1 + a count) adds to that of the rate.

        Raises
        ------
        SpecError
            ``no_coefficients`` for trees.
        SolveError
            ``no_times`` for path tables; ``histories_by``; ``stage_column``.

        Examples
        --------
        >>> import attrib
        >>> data = attrib.synth.generate(customers=300, seed=1)
        >>> journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes)
        >>> attrib.Incremental(types=2, moods=1, decays="7d").fitted(journeys).columns
        ['fold', 'stage', 'on', 'source', 'lift', 'days']
        """
        if self.hazards == "boosting":
            raise SpecError("no_coefficients", "boosted trees have no coefficients", hint='use "glm" or "latent"')
        check_journeys(journeys)
        tallies = sums_for(journeys, [self])
        rows = tallies.rows[self._reads()[0]]
        engine = self._engine()
        with _threads(tallies.workers) as pool:
            setting, models = self._models(engine, rows, tallies, pool)
        names = tallies.players[setting.channels].select(pl.exclude("stage")).cast(pl.String).fill_null("(none)")
        channel = names.select(pl.concat_str(pl.all(), separator=": ")).to_series().to_list()
        return engine.effects(setting, models, channel)


def _by_game(credit: Floats, cells: Cells, games: int) -> Floats:
    """Sums of credit by game, [R, games]."""
    out = np.zeros((len(credit), games))
    for r, row in enumerate(credit):
        out[r] = np.bincount(cells.game, row, games)
    return out


@contextmanager
def _threads(workers: int) -> Iterator[Executor | None]:
    """A pool, where there is more than one thread to use."""
    if workers == 1:
        yield None
        return
    with ThreadPoolExecutor(workers) as pool:
        yield pool
