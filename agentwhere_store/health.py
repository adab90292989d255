"""Health: what the tables say of how the system is doing, in a few cheap queries."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, text

from agentwhere_core.domain.enums import OrderPurpose, OrderState, PositionStatus, PostState, Venue
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.health.facts import (
    ExecutionFacts,
    HealthThresholds,
    MonitorFacts,
    PostsFacts,
    RoutingFacts,
    VenueFacts,
)
from agentwhere_store import markets as market_store
from agentwhere_store.tables import SCHEMA
from agentwhere_store.tables.ideas import posts
from agentwhere_store.tables.operations import errors, kill_switches, step_runs
from agentwhere_store.tables.routing import venue_routing_history
from agentwhere_store.tables.trading import orders, positions, venue_accounts

CONTACT_WINDOW = timedelta(minutes=30)
"""How long a venue's failure stands while nothing else is known of it."""

CONTACT_STEP = "venue_contact"
_CONTACT_STEPS = ("market_lists", "market_context", CONTACT_STEP)
# Problems of other steps may be one account's own, which says nothing of the venue.
_READING_STEPS = (*_CONTACT_STEPS, "positions")
_MOST_ERRORS = 1000
_MOST_TEXT = 300


def is_set_up(conn: Connection) -> bool:
    """Return whether our tables exist."""
    found = conn.execute(
        text("SELECT to_regclass(:name) IS NOT NULL"), {"name": f"{SCHEMA}.step_runs"}
    )
    return bool(found.scalar_one())


def response_ms(conn: Connection, tries: int = 3) -> float:
    """Return how long the database takes for a trivial query, in milliseconds: the best of ``tries``."""
    seconds = []
    for _ in range(tries):
        began = time.perf_counter()
        conn.execute(text("SELECT 1"))
        seconds.append(time.perf_counter() - began)
    return min(seconds) * 1000


def venue_facts(
    conn: Connection, venues: Collection[Venue], now: datetime
) -> dict[Venue, VenueFacts]:
    """Return what is known of each venue.

    A venue counts as unreachable while its newest failure, not older than `CONTACT_WINDOW`, is newer than its newest
    answer. Steps record failures with the name of the service in front, as `RemoteError` writes it.
    """
    summaries = {summary.venue: summary for summary in market_store.summaries(conn)}
    answers = _last_answers(conn, now)
    failures = conn.execute(
        select(errors.c.at, errors.c.message)
        .where(
            errors.c.step.in_(_READING_STEPS),
            errors.c.at > now - CONTACT_WINDOW,
            errors.c.at <= now,
        )
        .order_by(errors.c.at.desc(), errors.c.id.desc())
        .limit(_MOST_ERRORS)
    ).all()
    facts = {}
    for venue in venues:
        summary, answer = summaries.get(venue), answers.get(venue)
        prefix = f"{venue.lower()}: "
        failure = next((row for row in failures if prefix in row.message), None)
        is_down = failure is not None and (answer is None or failure.at > answer)
        facts[venue] = VenueFacts(
            last_synced=summary.last_synced if summary else None,
            active_markets=summary.active if summary else 0,
            is_reachable=not is_down,
            last_error=failure.message[:_MOST_TEXT] if failure is not None and is_down else None,
        )
    return facts


def has_asked_venues(conn: Connection, run_id: str | None) -> bool:
    """Return whether a run has asked the venues if they are there; False without a run."""
    asked = exists().where(step_runs.c.step == CONTACT_STEP, step_runs.c.run_id == run_id)
    return run_id is not None and bool(conn.execute(select(asked)).scalar_one())


def routing_facts(conn: Connection, now: datetime, window: timedelta) -> RoutingFacts:
    """Return how routing went within ``window``."""
    history = venue_routing_history
    took = history.c.routing_duration_ms
    row = conn.execute(
        select(
            func.count().label("decisions"),
            func.count(history.c.selected_venue).label("found"),
            func.avg(took).label("average"),
            func.percentile_cont(0.95).within_group(took).label("p95"),
        ).where(history.c.created_at > now - window)
    ).one()
    return RoutingFacts(
        decisions=row.decisions,
        success_rate=row.found / row.decisions if row.decisions else None,
        avg_ms=_float(row.average),
        p95_ms=_float(row.p95),
    )


def monitor_facts(conn: Connection, now: datetime, mark_age: timedelta) -> MonitorFacts:
    """Return when the position monitor last came to its end, and what it looks after.

    A run with problems of single accounts or venues came to its end; one that was broken off kept no details.
    """
    last = conn.execute(
        select(step_runs.c.finished_at, step_runs.c.seconds)
        .where(
            step_runs.c.step == "positions",
            or_(step_runs.c.ok, step_runs.c.details != text("'{}'::jsonb")),
        )
        .order_by(step_runs.c.started_at.desc())
        .limit(1)
    ).one_or_none()
    marked = func.coalesce(positions.c.last_marked, positions.c.opened_at)
    held = conn.execute(
        select(
            func.count().label("open"),
            func.count().filter(marked < now - mark_age).label("stale"),
        ).where(positions.c.status == PositionStatus.OPEN.value)
    ).one()
    return MonitorFacts(
        last_run_at=last.finished_at if last else None,
        latency_s=float(last.seconds) if last else None,
        open_positions=held.open,
        stale_marks=held.stale,
    )


def execution_facts(conn: Connection, now: datetime, limits: HealthThresholds) -> ExecutionFacts:
    """Return how entries went that were sent within the window, and what stands in the way of new ones.

    An entry that we declined before sending is a refusal with its reason, not a failed execution; one that is still
    under way is neither. Several attempts of one intent count once.
    """
    has_fill = func.bool_or(orders.c.filled_size > 0)
    has_end = func.bool_or(
        orders.c.state.in_([OrderState.CANCELLED.value, OrderState.REJECTED.value])
    )
    intents = (
        select(has_fill.label("filled"), or_(has_fill, has_end).label("is_over"))
        .where(
            orders.c.purpose == OrderPurpose.ENTRY.value,
            orders.c.submission_id.is_not(None),
            orders.c.created_at > now - limits.window,
        )
        .group_by(orders.c.deployment_id, orders.c.signal_id, orders.c.leg)
        .subquery()
    )
    rate = conn.execute(
        select(
            func.count().filter(intents.c.is_over).label("intents"),
            func.count().filter(intents.c.filled).label("filled"),
        ).select_from(intents)
    ).one()
    in_doubt = select(func.count()).where(
        or_(
            orders.c.state == OrderState.UNKNOWN.value,
            and_(
                orders.c.state == OrderState.SENDING.value,
                func.coalesce(orders.c.sent_at, orders.c.created_at) < now - limits.stuck_sending,
            ),
        )
    )
    engaged = select(func.count()).where(kill_switches.c.released_at.is_(None))
    return ExecutionFacts(
        intents=rate.intents,
        filled=rate.filled,
        in_doubt=conn.execute(in_doubt).scalar_one(),
        kill_switches=conn.execute(engaged).scalar_one(),
    )


def posts_facts(conn: Connection, now: datetime) -> PostsFacts:
    """Return how many posts wait for the classifier, and since when."""

    def waiting_for(reason: Reason) -> ColumnElement[int]:
        return func.count().filter(posts.c.last_reason == reason.value)

    row = conn.execute(
        select(
            func.count().label("pending"),
            func.min(posts.c.ingested_at).label("oldest"),
            waiting_for(Reason.CLASSIFIER_UNAVAILABLE).label("unreachable"),
            waiting_for(Reason.CLASSIFIER_BUDGET_SPENT).label("unpaid"),
        ).where(posts.c.state == PostState.PENDING.value)
    ).one()
    age = None if row.oldest is None else now - row.oldest
    return PostsFacts(row.pending, age, row.unreachable, row.unpaid)


def recent_errors(conn: Connection, now: datetime, window: timedelta) -> int:
    """Return how many errors were recorded within ``window``."""
    counted = select(func.count()).where(errors.c.at > now - window)
    return conn.execute(counted).scalar_one()


def _last_answers(conn: Connection, now: datetime) -> dict[Venue, datetime]:
    """Return when each venue last answered, by anything that it was asked."""
    latest: dict[Venue, datetime] = {}

    def heard(venue: str, at: datetime | None) -> None:
        if at is not None:
            latest[Venue(venue)] = max(at, latest.get(Venue(venue), at))

    for column in (venue_accounts.c.last_queried, positions.c.last_marked):
        table = column.table
        answered = select(table.c.venue, func.max(column)).group_by(table.c.venue)
        if table is positions:
            answered = answered.where(positions.c.status == PositionStatus.OPEN.value)
        for venue, at in conn.execute(answered):
            heard(venue, at)
    for summary in market_store.summaries(conn):
        heard(summary.venue, summary.last_synced)
    for details, at in conn.execute(
        select(step_runs.c.details, step_runs.c.started_at).where(
            step_runs.c.step.in_(_CONTACT_STEPS), step_runs.c.started_at > now - CONTACT_WINDOW
        )
    ):
        named = details.get("venues", [details["venue"]] if "venue" in details else [])
        for venue in named if isinstance(named, list) else []:
            heard(venue, at)
    return latest


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
