"""What subscribers' money does: deployments, signals, orders, positions and the decisions between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection

from agentwhere_core.domain.errors import NoSuchThingError
from agentwhere_core.how.schema import policy_to_json
from agentwhere_flow.views.marketplace import Page
from agentwhere_store import deployments as deployment_store
from agentwhere_store import pages
from agentwhere_store import routing_history as history
from agentwhere_store.pages import Filters
from agentwhere_store.routing_history import HistoryFilter

if TYPE_CHECKING:
    from agentwhere_flow.system import System


def list_deployments(system: System, agent_id: UUID | None = None) -> list[dict[str, Any]]:
    """Return deployments with policy, accounts and what they hold, newest first."""
    return _deployments(system, agent_id, None)


def read_deployment(system: System, deployment_id: UUID) -> dict[str, Any]:
    """Return one deployment.

    Raises
    ------
    NoSuchThingError
        If there is none of this id.
    """
    found = _deployments(system, None, deployment_id)
    if not found:
        raise NoSuchThingError(f"there is no deployment {deployment_id}: see GET /api/deployments")
    return found[0]


def list_signals(system: System, wanted: Filters, before: UUID | None, limit: int) -> Page:
    """Return signals, newest first."""
    return _page(system, limit, lambda conn, n: pages.signal_page(conn, wanted, before, n))


def read_signal(system: System, signal_id: UUID) -> dict[str, Any]:
    """Return a signal with its explanation and what became of it.

    Raises
    ------
    NoSuchThingError
        If there is none of this id.
    """
    return _story(system, signal_id, pages.signal_story, "signal")


def list_orders(system: System, wanted: Filters, before: UUID | None, limit: int) -> Page:
    """Return orders, newest first."""
    return _page(system, limit, lambda conn, n: pages.order_page(conn, wanted, before, n))


def read_order(system: System, order_id: UUID) -> dict[str, Any]:
    """Return an order with every move that it made.

    Raises
    ------
    NoSuchThingError
        If there is none of this id.
    """
    return _story(system, order_id, pages.order_story, "order")


def list_positions(system: System, wanted: Filters, before: UUID | None, limit: int) -> Page:
    """Return positions with the state of their protection, newest first."""
    return _page(system, limit, lambda conn, n: pages.position_page(conn, wanted, before, n))


def read_position(system: System, position_id: UUID) -> dict[str, Any]:
    """Return a position with the state of its protection and everything that happened to it.

    Raises
    ------
    NoSuchThingError
        If there is none of this id.
    """
    return _story(system, position_id, pages.position_story, "position")


def list_decisions(system: System, wanted: HistoryFilter, limit: int) -> Page:
    """Return routing decisions, newest first."""
    return _page(system, limit, lambda conn, n: history.decisions(conn, wanted, n))


def read_decision(system: System, decision_id: UUID) -> dict[str, Any]:
    """Return a routing decision with everything that it was made from.

    Raises
    ------
    NoSuchThingError
        If there is none of this id.
    """
    return _story(system, decision_id, history.decision, "routing decision")


def _deployments(
    system: System, agent_id: UUID | None, deployment_id: UUID | None
) -> list[dict[str, Any]]:
    with system.engine.connect() as conn:
        rows = pages.deployment_rows(conn, agent_id, deployment_id)
        accounts = pages.account_rows(conn, [row["id"] for row in rows])
        agent_ids = {row["agent_id"] for row in rows}
        policies = {d.id: d.policy for d in deployment_store.deployments(conn, agent_ids)}
    return [
        {
            **row,
            "policy": policy_to_json(policies[row["id"]]),
            "accounts": [
                {name: value for name, value in account.items() if name != "deployment_id"}
                for account in accounts
                if account["deployment_id"] == row["id"]
            ],
        }
        for row in rows
    ]


def _page(
    system: System, limit: int, read: Callable[[Connection, int], list[dict[str, Any]]]
) -> Page:
    """Return a page of what ``read`` gives, with the id of its last item where there is more."""
    with system.engine.connect() as conn:
        rows = read(conn, limit + 1)
    return Page(rows[:limit], str(rows[limit - 1]["id"]) if len(rows) > limit else None)


def _story(
    system: System,
    thing_id: UUID,
    read: Callable[[Connection, UUID], dict[str, Any] | None],
    what: str,
) -> dict[str, Any]:
    with system.engine.connect() as conn:
        found = read(conn, thing_id)
    if found is None:
        raise NoSuchThingError(f"there is no {what} {thing_id}")
    return found
