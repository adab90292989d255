"""Failover: take an entry to the next venue after its own venue rejected it for good (R8).

Only a definite rejection counts, and only one that another venue may see differently. An order in doubt is never failed
over: it may be at its venue. Nor is what we refused ourselves, what a signal wants from one venue by name, or what has
been tried as often as anything may be. A leg of a split trade goes where no other leg is or was, with its own share of
the size. The decision's row is extended before anything else is sent; a process that dies in between leaves either a
rejection that the next tick finds, or a moved decision whose entry it places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from agentwhere_core.domain.enums import DeploymentStatus
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.routing import RoutingDecision
from agentwhere_core.domain.trade import Deployment
from agentwhere_flow.routing import route_elsewhere
from agentwhere_store import failover as store
from agentwhere_store.failover import RejectedEntry

if TYPE_CHECKING:
    from agentwhere_flow.report import Tally
    from agentwhere_flow.system import System

REASONS = frozenset(
    {
        Reason.VENUE_REJECTED,
        Reason.UNFUNDED,
        Reason.BELOW_MINIMUM,
        Reason.LEVERAGE_TOO_HIGH,
        Reason.MARKET_CLOSED,
        Reason.INACTIVE,
    }
)
"""What one venue may reject and another accept; what may be tried again at the same venue is not among them."""


def fail_over(
    system: System, deployments: Mapping[UUID, Deployment], tally: Tally
) -> frozenset[tuple[UUID, int]]:
    """Move entries that were rejected to the next available venue; return decision and leg of those that moved.

    The caller holds the lease ``execution``. Where no other venue is available, the attempt is recorded and the signal
    ends here.
    """
    with system.engine.begin() as conn:
        rejected = store.rejected_entries(conn, system.clock(), REASONS, shard=system.shard)
    moved = set()
    for entry in rejected if system.settings.may_send else ():
        deployment = deployments[entry.work.decision.deployment_id]
        if deployment.status is not DeploymentStatus.ACTIVE:
            continue
        with system.engine.begin() as conn:
            without = {*entry.tried, *store.venues_of_other_legs(conn, entry)}
        decision = route_elsewhere(
            system, system.clock(), entry.work, deployment, tally, without=without
        )
        if decision is not None and _record(system, entry, decision):
            moved.add((entry.routing_id, entry.leg or 0))
    if moved:
        tally.details["failed_over"] = tally.details.get("failed_over", 0) + len(moved)
    return frozenset(moved)


def _record(system: System, entry: RejectedEntry, decision: RoutingDecision) -> bool:
    """Write the attempt, and where the entry goes now; return whether it goes anywhere."""
    to = decision.selected_venue
    attempt: dict[str, Any] = {
        "venue": entry.venue.value,
        "leg": entry.leg,
        "order_id": str(entry.order_id),
        "attempt": entry.attempt,
        "reason": entry.reason.value,
        "detail": entry.detail,
        "at": entry.at.isoformat(),
        "next_venue": to and to.value,
        "story": decision.story,
        "checked": [
            {
                "venue": check.venue.value,
                "available": check.is_available,
                "reason": check.reason.value,
                "detail": check.detail,
            }
            for check in decision.checked
        ],
    }
    with system.engine.begin() as conn:
        return store.record_attempt(conn, entry, attempt, to) and to is not None
