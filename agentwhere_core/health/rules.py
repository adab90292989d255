"""Health: from a few measured facts to a verdict per component, an overall one, and what to do (O1, O3).

One small rule per component turns facts into findings; each finding carries its severity and the remedy. A component is
as bad as its worst finding.

Overall status is the worst component, with two exceptions:

* one venue of several that is down makes the system *degraded*, because trades are routed elsewhere; only when no venue
  works is it critical;
* what never ran yet is *degraded* with a recommendation, not critical: a fresh installation is not broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentwhere_core.domain.enums import HealthStatus, Venue
from agentwhere_core.health.facts import HealthInputs, HealthThresholds, VenueFacts

ALL_WELL = "All systems operational"

Figure = int | float | str | bool | None

_LONG_TRANSACTIONS = (
    "look for long transactions with `psql \"$(agentwhere db url)\" -c 'TABLE pg_stat_activity'`"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, and what to do about it."""

    status: HealthStatus
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One component's verdict, the findings behind it and the figures it was made from.

    ``name`` is ``venue:HYPERLIQUID`` (one per venue), ``database``, ``routing``, ``position_monitor``, ``execution``,
    ``posts`` or ``errors``.
    """

    name: str
    status: HealthStatus
    findings: tuple[Finding, ...]
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The verdict at one moment, worst findings first in ``recommendations``."""

    status: HealthStatus
    components: tuple[ComponentHealth, ...]
    recommendations: tuple[str, ...]
    at: datetime

    def component(self, name: str) -> ComponentHealth:
        """Return one component by name.

        Raises
        ------
        KeyError
            If there is none of that name.
        """
        for item in self.components:
            if item.name == name:
                return item
        raise KeyError(name)


def assess(
    inputs: HealthInputs, now: datetime, thresholds: HealthThresholds | None = None
) -> HealthReport:
    """Return the health report that follows from ``inputs``."""
    limits = thresholds or HealthThresholds()
    venues = [_venue(venue, facts, now, limits) for venue, facts in inputs.venues.items()]
    others = [
        _database(inputs, limits),
        _routing(inputs, limits),
        _position_monitor(inputs, now, limits),
        _execution(inputs, limits),
        _posts(inputs, limits),
        _errors(inputs, limits),
    ]
    components = (*venues, *others)
    return HealthReport(
        status=_overall(venues, others),
        components=components,
        recommendations=_recommendations(components, has_venues=bool(venues)),
        at=now,
    )


def _overall(venues: list[ComponentHealth], others: list[ComponentHealth]) -> HealthStatus:
    """Return the worst status; a venue that is down counts as degraded while another works."""
    statuses = [item.status for item in others]
    if not venues:
        statuses.append(HealthStatus.DEGRADED)
    elif all(item.status is HealthStatus.CRITICAL for item in venues):
        statuses.append(HealthStatus.CRITICAL)
    elif any(item.status is not HealthStatus.HEALTHY for item in venues):
        statuses.append(HealthStatus.DEGRADED)
    return _worst(statuses)


def _recommendations(components: Iterable[ComponentHealth], *, has_venues: bool) -> tuple[str, ...]:
    """Return each finding with its remedy once, the worst first."""
    findings = [finding for item in components for finding in item.findings]
    if not has_venues:
        findings.append(_degraded("no venue is set up", "set AGENTWHERE_VENUES"))
    findings.sort(key=lambda finding: -finding.status.rank)
    said = dict.fromkeys(f"{finding.text}: {finding.remedy}" for finding in findings)
    return tuple(said) or (ALL_WELL,)


def _venue(
    venue: Venue, facts: VenueFacts, now: datetime, limits: HealthThresholds
) -> ComponentHealth:
    """Judge one venue: reachable, listed, fresh."""
    sync = f"run `agentwhere sync-markets {venue}`"
    age = None if facts.last_synced is None else now - facts.last_synced
    found = []
    if not facts.is_reachable:
        said = f" ({facts.last_error})" if facts.last_error else ""
        remedy = f"check its address and your network, then {sync}"
        found.append(_critical(f"{venue} cannot be reached{said}", remedy))
    if age is None:
        found.append(_degraded(f"{venue} was never synced", sync))
    elif facts.active_markets == 0:
        found.append(_critical(f"{venue} lists no active market", sync))
    if age is not None and age > limits.market_data_warn:
        judge = _critical if age > limits.market_data_critical else _degraded
        found.append(judge(f"{venue} market data is {_span(age)} old", sync))
    figures = {
        "active_markets": facts.active_markets,
        "is_reachable": facts.is_reachable,
        "last_synced": _iso(facts.last_synced),
        "age_s": _seconds(age),
        "last_error": facts.last_error,
    }
    return _component(f"venue:{venue}", found, figures)


def _database(inputs: HealthInputs, limits: HealthThresholds) -> ComponentHealth:
    """Judge the database: it answers, and quickly."""
    facts, found = inputs.database, []
    if not facts.is_reachable:
        remedy = "start it with `agentwhere up`, or check DATABASE_URL"
        found.append(_critical("the database cannot be reached", remedy))
    elif facts.response_ms is not None and facts.response_ms >= limits.database_ms:
        text = f"the database took {facts.response_ms:.0f} ms (target {limits.database_ms:g})"
        judge = _critical if facts.response_ms >= limits.database_critical_ms else _degraded
        found.append(judge(text, _LONG_TRANSACTIONS))
    figures = {"is_reachable": facts.is_reachable, "response_ms": facts.response_ms}
    return _component("database", found, figures)


def _routing(inputs: HealthInputs, limits: HealthThresholds) -> ComponentHealth:
    """Judge routing: quick, and mostly successful. No decision in the window is no fault."""
    facts, found = inputs.routing, []
    if facts.avg_ms is not None and facts.avg_ms >= limits.routing_ms:
        text = f"routing takes {facts.avg_ms:.0f} ms on average (target {limits.routing_ms:g})"
        found.append(
            _degraded(
                text, "see its durations with `agentwhere status`, and look for a slow database"
            )
        )
    if facts.success_rate is not None and facts.success_rate < limits.routing_success:
        text = f"only {facts.success_rate:.1%} of {facts.decisions} routing decisions found a venue"
        found.append(_degraded(text, "see why with `agentwhere route TOKEN --explain`"))
    figures = {
        "decisions": facts.decisions,
        "success_rate": facts.success_rate,
        "avg_ms": facts.avg_ms,
        "p95_ms": facts.p95_ms,
    }
    return _component("routing", found, figures)


def _position_monitor(
    inputs: HealthInputs, now: datetime, limits: HealthThresholds
) -> ComponentHealth:
    """Judge the position monitor: it runs, in time, and its prices are current."""
    facts, found = inputs.monitor, []
    start = "check that the schedule position_monitoring is on, or run `agentwhere cycle`"
    silence = None if facts.last_run_at is None else now - facts.last_run_at
    if silence is None:
        found.append(_degraded("the position monitor never ran", start))
    elif silence > limits.monitor_silent:
        is_blind = facts.open_positions > 0 and silence > limits.monitor_silent_critical
        judge = _critical if is_blind else _degraded
        found.append(judge(f"the position monitor last ran {_span(silence)} ago", start))
    if facts.latency_s is not None and facts.latency_s >= limits.monitor_s:
        text = f"the position monitor took {facts.latency_s:.0f} s (target {limits.monitor_s:g})"
        found.append(_degraded(text, "see which venue answers late with `agentwhere status`"))
    if facts.stale_marks:
        text = f"{facts.stale_marks} of {facts.open_positions} open positions have a stale price"
        found.append(_degraded(text, "see which with `agentwhere positions`"))
    figures = {
        "last_run_at": _iso(facts.last_run_at),
        "latency_s": facts.latency_s,
        "open_positions": facts.open_positions,
        "stale_marks": facts.stale_marks,
    }
    return _component("position_monitor", found, figures)


def _execution(inputs: HealthInputs, limits: HealthThresholds) -> ComponentHealth:
    """Judge execution: intents fill, none is in doubt, and nothing is switched off."""
    facts, found = inputs.execution, []
    if facts.rate is not None and facts.rate <= limits.execution_rate:
        text = f"{facts.filled} of {facts.intents} intents were filled ({facts.rate:.1%})"
        is_many = facts.intents >= limits.execution_sample
        is_low = is_many and facts.rate < limits.execution_rate_critical
        judge = _critical if is_low else _degraded
        found.append(judge(text, "see the reasons with `agentwhere status`"))
    if facts.in_doubt:
        text = f"{facts.in_doubt} orders have an unknown outcome and block their tokens"
        found.append(_degraded(text, "run `agentwhere cycle`, which looks them up at their venue"))
    if facts.kill_switches:
        text = f"{facts.kill_switches} kill switches are engaged"
        found.append(
            _degraded(
                text, "see `agentwhere kill-switch list`; release each once its cause is understood"
            )
        )
    figures = {
        "intents": facts.intents,
        "filled": facts.filled,
        "rate": facts.rate,
        "in_doubt": facts.in_doubt,
        "kill_switches": facts.kill_switches,
    }
    return _component("execution", found, figures)


def _posts(inputs: HealthInputs, limits: HealthThresholds) -> ComponentHealth:
    """Judge classification: no post waits for long."""
    facts, found = inputs.posts, []
    age = facts.oldest_pending_age
    if age is not None and age > limits.post_age:
        text = f"{facts.pending} posts wait for the classifier, the oldest for {_span(age)}"
        found.append(
            _degraded(
                text, "check the language model's address and key, then run `agentwhere cycle`"
            )
        )
    if facts.unreachable:
        text = f"the language model gave no answer about {facts.unreachable} of {facts.pending} waiting posts"
        found.append(
            _degraded(text, "check its address, key and credit, then run `agentwhere cycle`")
        )
    if facts.unpaid:
        text = f"the language model's daily budget is used up, {facts.unpaid} posts wait for it"
        found.append(
            _degraded(text, "wait until midnight UTC, or raise AGENTWHERE_LLM_DAILY_BUDGET_USD")
        )
    figures = {
        "pending": facts.pending,
        "oldest_pending_age_s": _seconds(age),
        "unreachable": facts.unreachable,
        "unpaid": facts.unpaid,
    }
    return _component("posts", found, figures)


def _errors(inputs: HealthInputs, limits: HealthThresholds) -> ComponentHealth:
    """Judge the number of recorded errors."""
    count, found = inputs.recent_errors, []
    if count > limits.errors:
        judge = _critical if count > limits.errors_critical else _degraded
        found.append(judge(f"{count} recent errors", "read them with `agentwhere status`"))
    return _component("errors", found, {"recent": count})


def _component(
    name: str, findings: Iterable[Finding], figures: Mapping[str, Figure]
) -> ComponentHealth:
    """Put findings together; the worst one gives the status."""
    found = tuple(findings)
    return ComponentHealth(name, _worst(finding.status for finding in found), found, figures)


def _worst(statuses: Iterable[HealthStatus]) -> HealthStatus:
    return max(statuses, key=lambda status: status.rank, default=HealthStatus.HEALTHY)


def _degraded(text: str, remedy: str) -> Finding:
    return Finding(HealthStatus.DEGRADED, text, remedy)


def _critical(text: str, remedy: str) -> Finding:
    return Finding(HealthStatus.CRITICAL, text, remedy)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else round(span.total_seconds())


def _span(span: timedelta) -> str:
    """Say a duration in its natural unit."""
    seconds = span.total_seconds()
    for unit, length in (("days", 172_800), ("h", 7200), ("min", 120)):
        if seconds >= length:
            return f"{seconds / {'days': 86_400, 'h': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"
