"""What a health report is made from: measured facts, and the limits to hold them against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentwhere_core.domain.enums import Venue


@dataclass(frozen=True, slots=True)
class HealthThresholds:
    """Limits, by default the targets of O3; times in the unit that the name says, rates as fractions.

    Where there are two limits, the first degrades a component and the second makes it critical. ``window`` is how far
    back routing and execution are looked at, ``errors_window`` errors; ``mark_age`` is how old the price of an open
    position may be, and ``stuck_sending`` how long an order may be on its way before its outcome counts as unknown.
    ``daemon_silent`` is how long nothing may have run, three times the rhythm of the position monitor.
    """

    market_data_warn: timedelta = timedelta(hours=26)
    market_data_critical: timedelta = timedelta(hours=50)
    database_ms: float = 50
    database_critical_ms: float = 1000
    routing_ms: float = 100
    routing_success: float = 0.8
    monitor_s: float = 30
    monitor_silent: timedelta = timedelta(minutes=12)
    monitor_silent_critical: timedelta = timedelta(minutes=30)
    mark_age: timedelta = timedelta(minutes=12)
    execution_rate: float = 0.95
    execution_rate_critical: float = 0.5
    execution_sample: int = 10
    stuck_sending: timedelta = timedelta(minutes=5)
    post_age: timedelta = timedelta(hours=12)
    errors: int = 5
    errors_critical: int = 50
    window: timedelta = timedelta(hours=24)
    errors_window: timedelta = timedelta(hours=1)
    daemon_silent: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class VenueFacts:
    """What is known of one venue.

    Parameters
    ----------
    last_synced
        When its market list was last read in full; None if never.
    active_markets
        How many markets it trades now.
    is_reachable
        Whether its last call succeeded.
    last_error
        What the last failed call said, if it was the last one.
    """

    last_synced: datetime | None
    active_markets: int
    is_reachable: bool = True
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """Whether the database answers, and how fast a trivial query is, in milliseconds."""

    is_reachable: bool
    response_ms: float | None = None


@dataclass(frozen=True, slots=True)
class RoutingFacts:
    """Routing decisions of the window: how many, the share that found a venue, and how long they took."""

    decisions: int = 0
    success_rate: float | None = None
    avg_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class MonitorFacts:
    """The position monitor: its last complete run, how long it took, and what it looks after.

    ``stale_marks`` counts open positions whose price is older than the monitor's rhythm allows.
    """

    last_run_at: datetime | None = None
    latency_s: float | None = None
    open_positions: int = 0
    stale_marks: int = 0


@dataclass(frozen=True, slots=True)
class ExecutionFacts:
    """Entries of the window: intents that had to be executed, and those that filled.

    ``in_doubt`` counts orders of any age whose outcome is unknown, ``kill_switches`` those that are engaged.
    """

    intents: int = 0
    filled: int = 0
    in_doubt: int = 0
    kill_switches: int = 0

    @property
    def rate(self) -> float | None:
        """Share of intents that filled, or None without intents."""
        return self.filled / self.intents if self.intents else None


@dataclass(frozen=True, slots=True)
class PostsFacts:
    """Posts that wait for the classifier, and the age of the oldest of them.

    ``unreachable`` counts those whose last try found no model, ``unpaid`` those that wait for the next day's budget.
    """

    pending: int = 0
    oldest_pending_age: timedelta | None = None
    unreachable: int = 0
    unpaid: int = 0


@dataclass(frozen=True, slots=True)
class HealthInputs:
    """Everything that a health report is made from."""

    venues: Mapping[Venue, VenueFacts]
    database: DatabaseFacts
    routing: RoutingFacts = RoutingFacts()
    monitor: MonitorFacts = MonitorFacts()
    execution: ExecutionFacts = ExecutionFacts()
    posts: PostsFacts = PostsFacts()
    recent_errors: int = 0
