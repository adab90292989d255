"""Checks: one fact each, judged by the very rules that the health report uses, so that the two always agree.

A check asks the rules about a system that is well in every respect but the one in question. A degraded verdict is a
warning, a critical one an error; neither stops a run. A failed check opens an alert (see `alerts`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import dagster as dg

from agentwhere_core.domain.enums import HealthStatus, Venue
from agentwhere_core.health.facts import (
    DatabaseFacts,
    ExecutionFacts,
    HealthInputs,
    HealthThresholds,
    MonitorFacts,
    PostsFacts,
    RoutingFacts,
    VenueFacts,
)
from agentwhere_core.health.rules import ComponentHealth, assess
from agentwhere_dagster.assets.markets import SYNCED_VENUES, market_list_name
from agentwhere_dagster.materialize import INCIDENT
from agentwhere_dagster.resources import AgentWhere

Narrow = Callable[[HealthInputs, datetime], HealthInputs | None]


@dataclass(frozen=True, slots=True)
class Check:
    """One question about one asset.

    Parameters
    ----------
    asset, name, description
        As the UI shows them.
    component
        The component of the health report whose rule judges.
    narrow
        Keeps the fact in question and makes everything else well; None where there is nothing to judge.
    follows_from
        Incidents of whose alerts a failure would be a mere consequence: while one is open, it is not told.
    """

    asset: str
    name: str
    description: str
    component: str
    narrow: Narrow
    follows_from: tuple[str, ...] = ()

    def judge(
        self, inputs: HealthInputs, now: datetime, limits: HealthThresholds
    ) -> dg.AssetCheckResult:
        """Return the rules' verdict on the fact in question."""
        narrowed = self.narrow(inputs, now)
        if narrowed is None:
            return self._result(passed=True, description="The venue is not enabled.")
        health = assess(narrowed, now, limits).component(self.component)
        if not health.findings:
            return self._result(passed=True, figures=health)
        return self._result(
            passed=False,
            is_critical=health.status is HealthStatus.CRITICAL,
            description="; ".join(f"{found.text}: {found.remedy}" for found in health.findings),
            figures=health,
        )

    def _result(
        self,
        *,
        passed: bool,
        is_critical: bool = False,
        description: str | None = None,
        figures: ComponentHealth | None = None,
    ) -> dg.AssetCheckResult:
        severity = dg.AssetCheckSeverity.ERROR if is_critical else dg.AssetCheckSeverity.WARN
        known = figures.figures.items() if figures is not None else ()
        told = {name: value for name, value in known if value is not None}
        if self.follows_from:
            told[INCIDENT] = " ".join(self.follows_from)
        return dg.AssetCheckResult(
            passed=passed,
            asset_key=self.asset,
            check_name=self.name,
            severity=severity,
            description=description,
            metadata=told,
        )


WELL = HealthInputs(venues={}, database=DatabaseFacts(is_reachable=True))


def _venue_checks(venue: Venue) -> Iterator[Check]:
    asset, component, title = market_list_name(venue), f"venue:{venue}", venue.value.title()

    def freshness(facts: VenueFacts, _now: datetime) -> VenueFacts:
        return VenueFacts(last_synced=facts.last_synced, active_markets=1)

    def count(facts: VenueFacts, now: datetime) -> VenueFacts:
        return VenueFacts(last_synced=now, active_markets=facts.active_markets)

    def reachable(facts: VenueFacts, now: datetime) -> VenueFacts:
        return replace(facts, last_synced=now, active_markets=1)

    for name, description, keep in (
        ("is_fresh", f"The market list of {title} is recent enough to route by.", freshness),
        ("lists_markets", f"{title} lists markets that trade.", count),
        ("is_reachable", f"The last call to {title} succeeded.", reachable),
    ):
        yield Check(asset, name, description, component, _only_venue(venue, keep))


def _only_venue(venue: Venue, keep: Callable[[VenueFacts, datetime], VenueFacts]) -> Narrow:
    def narrow(inputs: HealthInputs, now: datetime) -> HealthInputs | None:
        facts = inputs.venues.get(venue)
        return None if facts is None else replace(WELL, venues={venue: keep(facts, now)})

    return narrow


def _routing_time(inputs: HealthInputs, _now: datetime) -> HealthInputs:
    return replace(WELL, routing=replace(inputs.routing, success_rate=None))


def _routing_success(inputs: HealthInputs, _now: datetime) -> HealthInputs:
    facts = inputs.routing
    return replace(
        WELL, routing=RoutingFacts(decisions=facts.decisions, success_rate=facts.success_rate)
    )


def _monitor_latency(inputs: HealthInputs, now: datetime) -> HealthInputs:
    return replace(WELL, monitor=MonitorFacts(last_run_at=now, latency_s=inputs.monitor.latency_s))


def _monitor_runs(inputs: HealthInputs, _now: datetime) -> HealthInputs:
    facts = inputs.monitor
    return replace(
        WELL,
        monitor=MonitorFacts(last_run_at=facts.last_run_at, open_positions=facts.open_positions),
    )


def _stale_marks(inputs: HealthInputs, now: datetime) -> HealthInputs:
    facts = inputs.monitor
    return replace(
        WELL,
        monitor=MonitorFacts(
            last_run_at=now, open_positions=facts.open_positions, stale_marks=facts.stale_marks
        ),
    )


def _execution_rate(inputs: HealthInputs, _now: datetime) -> HealthInputs:
    facts = inputs.execution
    return replace(WELL, execution=ExecutionFacts(intents=facts.intents, filled=facts.filled))


def _in_doubt(inputs: HealthInputs, _now: datetime) -> HealthInputs:
    return replace(WELL, execution=ExecutionFacts(in_doubt=inputs.execution.in_doubt))


def _database(inputs: HealthInputs, _now: datetime) -> HealthInputs:
    return replace(WELL, database=inputs.database)


def _backlog(inputs: HealthInputs, _now: datetime) -> HealthInputs:
    facts = inputs.posts
    return replace(WELL, posts=PostsFacts(facts.pending, facts.oldest_pending_age))


CHECKS = (
    *(check for venue in SYNCED_VENUES for check in _venue_checks(venue)),
    Check(
        "classified_posts",
        "backlog_is_short",
        "No post waits for the classifier for long.",
        "posts",
        _backlog,
        follows_from=("classifier:outage", "classifier:budget"),
    ),
    Check(
        "routing_decisions",
        "is_quick",
        "A routing decision takes less than its limit on average, 100 ms by default.",
        "routing",
        _routing_time,
    ),
    Check(
        "routing_decisions",
        "finds_venues",
        "Most signals find a venue.",
        "routing",
        _routing_success,
    ),
    Check(
        "orders",
        "execution_rate",
        "More intents are filled than the limit, 95 % by default.",
        "execution",
        _execution_rate,
    ),
    Check(
        "orders",
        "nothing_in_doubt",
        "No order's outcome is unknown.",
        "execution",
        _in_doubt,
    ),
    Check(
        "positions",
        "monitor_runs",
        "The position monitor runs at its rhythm.",
        "position_monitor",
        _monitor_runs,
    ),
    Check(
        "positions",
        "monitor_latency",
        "The position monitor takes less than its limit, 30 s by default.",
        "position_monitor",
        _monitor_latency,
    ),
    Check(
        "positions",
        "marks_are_fresh",
        "Every open position has a recent price.",
        "position_monitor",
        _stale_marks,
    ),
    Check(
        "health_report",
        "database_responds",
        "The database answers within its limit, 50 ms by default.",
        "database",
        _database,
    ),
)


def _checks_of(asset: str, several: tuple[Check, ...]) -> dg.AssetChecksDefinition:
    by_name = {check.name: check for check in several}

    @dg.multi_asset_check(
        name=f"{asset}_checks",
        specs=[
            dg.AssetCheckSpec(check.name, asset=asset, description=check.description)
            for check in several
        ],
        can_subset=True,
    )
    def evaluate(
        context: dg.AssetCheckExecutionContext, agent_where: AgentWhere
    ) -> Iterator[dg.AssetCheckResult]:
        from agentwhere_flow.contact import ensure_contact
        from agentwhere_flow.health import measure

        system = agent_where.system()
        ensure_contact(system, system.clock())
        now = system.clock()
        inputs = measure(system, now)
        for key in sorted(context.selected_asset_check_keys, key=lambda key: key.name):
            yield by_name[key.name].judge(inputs, now, system.settings.health)

    return evaluate


def _by_asset(check: Check) -> str:
    return check.asset


REPLAYS = dg.AssetCheckSpec(
    "replays_equal",
    asset="routing_decisions",
    description="Decisions of the last day, made again from what was kept of them, come out the same.",
)


@dg.asset_check(asset=REPLAYS.asset_key, name=REPLAYS.name, description=REPLAYS.description)
def replays_equal(agent_where: AgentWhere) -> dg.AssetCheckResult:
    """Make a sample of decisions again; one that differs is an error, since its record explains something else."""
    from agentwhere_flow.replays import replay_sample

    system = agent_where.system()
    sample = replay_sample(system, system.clock())
    different = [found for found in sample if not found.is_equal]
    return dg.AssetCheckResult(
        passed=not different,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(
            f"decision {found.id} differs in {', '.join(found.differences)}: see `agentwhere route --replay {found.id}`"
            for found in different[:5]
        )
        or None,
        metadata={"replayed": len(sample), "different": len(different)},
    )


def described() -> Iterator[tuple[str, str, str]]:
    """Yield asset, name and description of every check."""
    for check in CHECKS:
        yield check.asset, check.name, check.description
    yield REPLAYS.asset_key.to_user_string(), REPLAYS.name, REPLAYS.description or ""


checks: list[Any] = [
    *(_checks_of(asset, tuple(several)) for asset, several in groupby(CHECKS, _by_asset)),
    replays_equal,
]
