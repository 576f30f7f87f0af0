"""Journeys: a recipe, not a heap of arrays. It says where events are and how journeys are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from attrib.arguments import (
    ONE_TARGET,
    check_engine,
    check_identities,
    check_limits,
    check_lookback,
    check_names,
    check_roles,
    distinct_names,
    open_events,
)  # fmt: skip
from attrib.diagnostics.cells import first_cells
from attrib.diagnostics.columns import currency_column, unread_path_columns
from attrib.durations import parse_duration
from attrib.engines.base import Engine, Memory, Recipe
from attrib.engines.events import check_recipe
from attrib.engines.paths import MONEY, PathRecipe
from attrib.errors import DataError, SpecError, brief
from attrib.io import days
from attrib.io.path_columns import columns_given, columns_wanted
from attrib.io.sources import InlineOutcome, Source, open_table
from attrib.io.tables import in_neither
from attrib.io.text import clean
from attrib.kernels.codes import REPEATS
from attrib.needs import Totals
from attrib.refunds import NET, Refunding
from attrib.schemas import CHANNEL, STAGE, VALUE
from attrib.showing import html_of
from attrib.stages import StageColumn, StageModel, resolve_stages
from attrib.values import check_choice, whole_number
from attrib.views.asking import Views


class Journeys(Views):
    """Customers' journeys towards one outcome, or through stages.

    Make them with :meth:`from_events` or :meth:`from_paths`. Nothing is read before it is needed, and what was
    summed once is remembered.

    Examples
    --------
    >>> import attrib
    >>> from datetime import datetime
    >>> touches = pl.DataFrame(
    ...     {
    ...         "customer_id": [1, 1, 2],
    ...         "timestamp": [datetime(2025, 1, 1), datetime(2025, 1, 2), datetime(2025, 1, 1)],
    ...         "channel": ["ad", "mail", "ad"],
    ...     }
    ... )
    >>> orders = pl.DataFrame({"customer_id": [1], "timestamp": [datetime(2025, 1, 3)], "outcome": ["purchase"]})
    >>> journeys = attrib.Journeys.from_events(touches, orders, target="purchase")
    >>> journeys.to_frame().select("customer_id", "status", "path").rows()
    [(1, 'converting', 'ad > mail'), (2, 'null', 'ad')]
    """

    def __init__(self, recipe: Recipe | PathRecipe, engine: Engine, sources: Sequence[Source]) -> None:
        self._recipe = recipe
        self._sources = tuple(sources)
        self._memory = Memory()
        self.engine = engine

    @classmethod
    def from_events(
        cls,
        touchpoints: Any,
        outcomes: Any,
        *,
        target: str | None = "purchase",
        lookback: str | timedelta | Mapping[str, str | timedelta | None] | None = "30d",
        max_gap: str | timedelta | None = None,
        maturity: str | timedelta | None = None,
        prefer: str | Sequence[str] = (),
        repeats: str = "keep",
        max_touches: int | None = None,
        after_conversion: str = "reset",
        duplicates: str = "drop",
        day_of_outcome: str = "auto",
        stages: str | Path | StageModel | StageColumn | None = None,
        view: str = "advance",
        by: str | Sequence[str] = (),
        player: str | Sequence[str] = (CHANNEL,),
        columns: Mapping[str, str | Mapping[str, str]] | None = None,
        identities: Any = None,
        max_component: int = 50,
        max_players: int = 10_000,
        max_rejects: float = 0.05,
        refunds: str = NET,
        count_refunded: bool = False,
        engine: Engine | str | None = None,
    ) -> Journeys:
        """Journeys from touchpoints and outcomes (docs/semantics.md, sections 1 to 3).

        Parameters
        ----------
        touchpoints : polars.DataFrame, polars.LazyFrame, pandas.DataFrame, pyarrow.Table, str or Path
            Columns ``customer_id``, ``timestamp``, ``channel``; optional ``sequence``, ``event_id``, ``cluster``,
            ``interaction`` and those that ``by`` and ``player`` name. Where ``player`` names other columns there need
            be no ``channel``: the first of them stands for it. A text is a file, folder or glob of parquet or CSV
            files.
        outcomes : the same, or InlineOutcome
            Columns ``customer_id``, ``timestamp``, ``outcome``; optional ``value`` (1.0 without), ``event_id``,
            ``order_id``.
        target : str or None
            The outcome that ends a journey; not used with stages in the advance view.
        lookback : str, timedelta, None, or mapping of str to these
            Longest time from a touch to the conversion, such as ``"30d"``; ``"unlimited"`` or None for no limit. Or
            one an interaction, ``{"click": "30d", "impression": "1d"}``, with ``"*"`` for those not listed and for
            null: without it touches of these are rejected rows.
        max_gap : str, timedelta or None
            A longer pause between touches splits a journey; each earlier part is a null journey.
        maturity : str, timedelta or None
            Null journeys younger than this at the end of the data are open: neither won nor lost yet.
        prefer : str or sequence of str
            Interactions, the most preferred first: where a journey has touches of one of them, only those of the
            first that it has stay.
        repeats : {"keep", "collapse", "first", "last"}
            Every exposure; runs of a player as one; each player once, first or last.
        max_touches : int, optional
            Most touches of a journey: its latest ones stay. A bound for crawlers and shared devices.
        after_conversion : {"reset", "keep"}
            ``reset``: a conversion ends a journey, and its touches serve that conversion only. ``keep``: a touch
            serves every later conversion within the lookback.
        duplicates : {"drop", "keep"}
            Touchpoints equal in every column read, and outcomes with a repeated ``event_id``.
        day_of_outcome : {"auto", "end", "start"}
            Where outcomes stand that carry a date without a time of day, beside touchpoints that have one: at the end
            of their day, or at its midnight. ``auto``: at the end where it is clear that they carry dates; ``end``
            also where most touchpoints stand at midnight, too.
        stages : str, Path, StageModel, StageColumn or None
            A preset (``attrib.STAGES``), a TOML file, or a model.
        view : {"advance", "resolved"}
            With stages: a game a stage, or one outcome credited to (stage, channel).
        by : str or sequence of str
            Columns that partition journeys into games.
        player : str or sequence of str
            Touchpoint columns that make up who gets credit.
        columns : mapping of str to str, optional
            Our names to yours, for both tables; under the keys ``touchpoints`` and ``outcomes`` for one of them.
        identities : frame, str or Path, optional
            Links between ids of both tables, columns ``id`` and ``other_id``: linked ids are one customer, called by
            the smallest of them. As if both tables had named that customer.
        max_component : int
            Most ids that links join to one customer; larger groups stay apart, with a warning.
        max_players : int
            Most distinct players allowed.
        max_rejects : float
            Largest share of rows of a table that may be rejected.
        refunds : {"net", "keep"}
            Outcome rows of negative value: ``"net"`` lowers the outcome row that each belongs to (that of its
            ``order_id``, else the latest earlier one), and one that has nothing left is no conversion; ``"keep"`` takes
            them for outcomes like others.
        count_refunded : bool
            Whether an outcome refunded in full stays a conversion, with value 0.
        engine : LocalEngine, SparkEngine or {"local", "spark"}, optional
            Threads, memory limit, spill folder and progress; or Spark, and then tables are Spark's (docs/spark.md).

        Returns
        -------
        Journeys

        Raises
        ------
        SpecError
            If an argument is not what it must be.
        DataError
            If a table lacks columns or has columns of the wrong type.
        """
        resolved = resolve_stages(stages)
        check_choice("repeats", repeats, REPEATS)
        check_choice("duplicates", duplicates, ("drop", "keep"))
        check_choice("after_conversion", after_conversion, ("reset", "keep"))
        if max_touches is not None:
            max_touches = whole_number("max_touches", max_touches, 1, key="bad_value")
        check_choice("day_of_outcome", day_of_outcome, days.CHOICES)
        check_choice("view", view, ("advance", "resolved"))
        by, player = distinct_names("by", by), distinct_names("player", player)
        prefer = distinct_names("prefer", prefer, "interactions")
        check_roles(by, player)
        if isinstance(resolved, StageColumn) and view == "advance":
            raise SpecError(
                "stage_column_view", "stages from a column have no milestones to advance by", hint='view="resolved"'
            )
        if target is not None and (not isinstance(target, str) or not target.strip()):
            raise SpecError("bad_value", f"target = {brief(target)} is not the name of one outcome", hint=ONE_TARGET)
        if target is None and (resolved is None or view == "resolved"):
            raise SpecError("no_target", "target is missing", hint='name the outcome that ends a journey: "purchase"')
        max_players, max_rejects = check_limits(max_players, max_rejects)
        mapping = check_names(columns, (*by, *player))
        if isinstance(resolved, StageColumn) and resolved.column != STAGE:
            mapping[STAGE] = resolved.column
        runner = check_engine(engine)
        open_with = getattr(runner, "open_table", open_table)
        linked = check_identities(identities, max_component, runner)
        touch_source, outcome_source, inline = open_events(
            touchpoints, outcomes, mapping, by, open_with, linked, player
        )
        for column in by:
            if column not in touch_source.schema and column not in outcome_source.schema:
                in_neither(column, touch_source, outcome_source)
        recipe = Recipe(
            touch_source, outcome_source, inline, target, check_lookback(lookback),
            parse_duration(max_gap, "max_gap"), parse_duration(maturity, "maturity"), prefer, repeats, duplicates,
            resolved, view, by, player, max_players, max_rejects, max_touches, after_conversion,
            tuple(linked.notes()) if linked else (), Refunding(refunds, count_refunded), day_of_outcome,
            linked,
        )  # fmt: skip
        check_recipe(recipe)
        sources = (touch_source, *(() if inline else (outcome_source,)), *((linked.source,) if linked else ()))
        return cls(recipe, runner, sources)

    @classmethod
    def from_paths(
        cls,
        table: Any,
        *,
        path: str = "path",
        sep: str = " > ",
        conversions: str = "total_conversions",
        value: str | None = "total_conversion_value",
        nulls: str | None = "total_null",
        max_players: int = 10_000,
        max_rejects: float = 0.05,
        engine: Engine | str | None = None,
    ) -> Journeys:
        """Journeys from a table of paths with their counts.

        Parameters
        ----------
        table : polars.DataFrame, polars.LazyFrame, pandas.DataFrame, pyarrow.Table, str or Path
            One row a path. A path without touches holds unattributed conversions.
        path, conversions : str
            Columns of the path and of its conversions. A path is a text, or a list of channels such as ``players`` of
            :meth:`paths`, whose names are taken as they stand.
        sep : str
            What stands between touches of a text; the white space around them does not count.
        value, nulls : str or None
            Columns of the summed value and of the journeys that did not convert; a default that is absent means
            1.0 a conversion, and no nulls. A column that is not read and looks like one of them is warned of, and so
            are rows that count neither a conversion nor a null: where a row is a journey, nulls are 1 - conversions.
        max_players, max_rejects, engine
            As in :meth:`from_events`.

        Returns
        -------
        Journeys

        Raises
        ------
        SpecError
            ``bad_separator`` for an empty ``sep``, ``bad_columns`` for one column in two roles.
        DataError
            ``missing_columns``, ``wrong_type``.
        """
        if not isinstance(sep, str) or not sep:
            raise SpecError("bad_separator", f"sep = {brief(sep)} separates nothing", hint='e.g. sep=" > "')
        given = columns_given(path, conversions, value, nulls)
        max_players, max_rejects = check_limits(max_players, max_rejects)
        runner = check_engine(engine)
        source = getattr(runner, "open_paths", open_table)(table, "paths")
        wanted = columns_wanted(source, given)
        found = tuple(unread_path_columns(source.schema, given, wanted, first_cells(source)))
        money = currency_column({c: t for c, t in source.schema.items() if c not in wanted.values()})
        if money is not None and VALUE in wanted:
            wanted[MONEY] = money
        frame = source.frame.select(pl.col(theirs).alias(ours) for ours, theirs in wanted.items())
        schema = pl.Schema({ours: source.schema[theirs] for ours, theirs in wanted.items()})
        named = replace(source, frame=frame, schema=schema)
        return cls(PathRecipe(named, sep, max_players, max_rejects, wanted, found, source), runner, (source,))

    def __repr__(self) -> str:
        """Where the journeys come from, and their counts once they are known."""
        where = " + ".join(f"{s.name} ({clean(s.files[0].name, 80) if s.files else s.kind})" for s in self._sources)
        known = self._memory.sums.get((Totals(), False))
        if known is None:
            return f"<Journeys from {where}, not read yet>"
        totals = {name: int(known.counts(name).sum()) for name in ("conversions", "nulls", "unattributed")}
        counts = ", ".join(f"{count:,} {name}" for name, count in totals.items())
        return f"<Journeys from {where}: {counts}>"

    def _repr_html_(self) -> str:
        """Show the same in a notebook."""
        return html_of(repr(self)[1:-1], ())


__all__ = ["DataError", "InlineOutcome", "Journeys"]
