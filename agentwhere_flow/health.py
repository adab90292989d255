"""The health report: measure, judge, keep, and say what to do (O1)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.health.facts import DatabaseFacts, HealthInputs, VenueFacts
from agentwhere_core.health.report import to_json
from agentwhere_core.health.rules import ComponentHealth, HealthReport, assess
from agentwhere_flow.report import StepFailedError, Tally, step
from agentwhere_store import health as store

if TYPE_CHECKING:
    from agentwhere_flow.system import System


def measure(system: System, now: datetime) -> HealthInputs:
    """Return the facts that health is judged by; a database that does not answer is one of them.

    Raises
    ------
    ConfigurationError
        If the database has no tables yet.
    """
    from sqlalchemy.exc import OperationalError

    venues, limits = system.settings.venues, system.settings.health
    try:
        with system.engine.begin() as conn:
            database = DatabaseFacts(is_reachable=True, response_ms=store.response_ms(conn))
            if not store.is_set_up(conn):
                raise ConfigurationError("the database has no tables yet: run `agentwhere setup`")
            return HealthInputs(
                venues=store.venue_facts(conn, venues, now),
                database=database,
                routing=store.routing_facts(conn, now, limits.window),
                monitor=store.monitor_facts(conn, now, limits.mark_age),
                execution=store.execution_facts(conn, now, limits),
                posts=store.posts_facts(conn, now),
                recent_errors=store.recent_errors(conn, now, limits.errors_window),
            )
    except OperationalError:
        unknown = {venue: VenueFacts(last_synced=None, active_markets=0) for venue in venues}
        return HealthInputs(venues=unknown, database=DatabaseFacts(is_reachable=False))


def judge(system: System, now: datetime) -> HealthReport:
    """Return the health report of now: the one that everything shows.

    Raises
    ------
    ConfigurationError
        If the database has no tables yet.
    """
    return assess(measure(system, now), now, system.settings.health)


@step("health_report")
def report_health(system: System, now: datetime) -> Tally:
    """Write a health report; a bad one is a result, not a failure.

    Raises
    ------
    ConfigurationError
        If the database has no tables yet.
    StepFailedError
        If the database does not answer, so that no report can be kept.
    """
    from agentwhere_store import operations

    report = judge(system, now)
    database = report.component("database")
    if not database.figures["is_reachable"]:
        raise StepFailedError(
            "; ".join(f"{item.text}: {item.remedy}" for item in database.findings)
        )
    with system.engine.begin() as conn:
        operations.save_health_report(conn, status=report.status, report=to_json(report), at=now)
    return _tally(report)


def _tally(report: HealthReport) -> Tally:
    tally = Tally(rows_in=len(report.components), rows_out=1)
    tally.details |= {
        "status": report.status.value,
        "recommendations": list(report.recommendations),
    }
    tally.table = [_row(component) for component in report.components]
    return tally


def _row(component: ComponentHealth) -> dict[str, str]:
    return {
        "component": component.name,
        "status": component.status.value,
        "what to do": "; ".join(f"{item.text}: {item.remedy}" for item in component.findings),
    }
