"""Deployments, which run agents on subscribers' accounts: accounts, policy, and whether they may open anything."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, select, true, update
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.domain.enums import DeploymentStatus, Venue
from agentwhere_core.domain.errors import AlreadyThereError
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_core.domain.trade import Deployment, Policy, VenueAccount
from agentwhere_core.how.schema import policy_from_json, policy_to_json
from agentwhere_store.rows import insert_ignoring_known, of_shard
from agentwhere_store.tables.trading import deployments as deployment_table
from agentwhere_store.tables.trading import policies, venue_accounts


def create_deployment(conn: Connection, deployment: Deployment, now: datetime) -> None:
    """Write a deployment with its accounts and policy.

    Raises
    ------
    AlreadyThereError
        If the agent has a deployment of this name, or an account belongs to another deployment.
    """
    new = insert_ignoring_known(
        conn,
        deployment_table,
        [
            {
                "id": deployment.id,
                "agent_id": deployment.agent_id,
                "name": deployment.name,
                "subscriber_wallet": deployment.subscriber_wallet,
                "capital_usd": deployment.capital_usd,
                "status": deployment.status.value,
                "created_at": now,
                "updated_at": now,
            }
        ],
        known_by=("agent_id", "name"),
    )
    if not new:
        raise AlreadyThereError(
            f"the agent has a deployment called {deployment.name!r} already: choose another name"
        )
    accounts = [_account_values(account, now) for account in deployment.accounts]
    if insert_ignoring_known(conn, venue_accounts, accounts) < len(accounts):
        raise AlreadyThereError(
            f"an account of deployment {deployment.name!r} is in use by another deployment: "
            "positions of two deployments cannot be told apart on one account; use one account each"
        )
    put_policy(conn, deployment.id, deployment.policy, now)


def set_status(
    conn: Connection, deployment_id: UUID, status: DeploymentStatus, now: datetime
) -> None:
    """Let a deployment open positions, or not; what is open stays looked after either way."""
    conn.execute(
        update(deployment_table)
        .where(deployment_table.c.id == deployment_id, deployment_table.c.status != status.value)
        .values(status=status.value, updated_at=now)
    )


def put_policy(conn: Connection, deployment_id: UUID, policy: Policy, now: datetime) -> None:
    """Write a deployment's policy; its version goes up by one with each write."""
    statement = insert(policies).values(
        id=new_id(),
        deployment_id=deployment_id,
        rules=policy_to_json(policy),
        version=1,
        updated_at=now,
    )
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["deployment_id"],
            set_={
                "rules": statement.excluded.rules,
                "version": policies.c.version + 1,
                "updated_at": statement.excluded.updated_at,
            },
        )
    )


def deployments(
    conn: Connection, agent_ids: Collection[UUID] | None = None, *, shard: Shard = WHOLE
) -> list[Deployment]:
    """Return a shard's deployments of any status, with accounts and policy; of all agents if ``agent_ids`` is None.

    Raises
    ------
    ConfigurationError
        If a policy holds a rule that this version does not know: trading without it would break a promise.
    """
    wanted = true() if agent_ids is None else deployment_table.c.agent_id.in_(list(agent_ids))
    return _deployments(conn, wanted & of_shard(deployment_table.c.id, shard))


def deployment(conn: Connection, deployment_id: UUID, *, lock: bool = False) -> Deployment:
    """Return one deployment, kept from other writers until the transaction ends if ``lock``; see `deployments`."""
    wanted = deployment_table.c.id == deployment_id
    if lock:
        conn.execute(select(deployment_table.c.id).where(wanted).with_for_update())
    return _deployments(conn, wanted)[0]


def policy_version(conn: Connection, deployment_id: UUID) -> int:
    """Return how often a deployment's policy was written; 0 if it never was."""
    query = select(policies.c.version).where(policies.c.deployment_id == deployment_id)
    return conn.execute(query).scalar() or 0


def _deployments(conn: Connection, wanted: ColumnElement[bool]) -> list[Deployment]:
    query = (
        select(deployment_table, policies.c.rules)
        .outerjoin(policies, policies.c.deployment_id == deployment_table.c.id)
        .where(wanted)
        .order_by(deployment_table.c.id)
    )
    accounts = (
        select(venue_accounts)
        .join(deployment_table, deployment_table.c.id == venue_accounts.c.deployment_id)
        .where(wanted)
        .order_by(venue_accounts.c.venue)
    )
    by_deployment: dict[UUID, list[VenueAccount]] = {}
    for row in conn.execute(accounts):
        by_deployment.setdefault(row.deployment_id, []).append(_account(row))
    return [
        Deployment(
            id=row.id,
            agent_id=row.agent_id,
            name=row.name,
            subscriber_wallet=row.subscriber_wallet,
            capital_usd=row.capital_usd,
            status=DeploymentStatus(row.status),
            policy=policy_from_json(row.rules or {}),
            accounts=tuple(by_deployment.get(row.id, ())),
        )
        for row in conn.execute(query)
    ]


def _account_values(account: VenueAccount, now: datetime) -> dict[str, Any]:
    return {
        "id": account.id,
        "deployment_id": account.deployment_id,
        "venue": account.venue.value,
        "address": account.address,
        "signer_address": account.signer_address,
        "key_name": account.key_name,
        "is_enabled": account.is_enabled,
        "created_at": now,
    }


def _account(row: Row[Any]) -> VenueAccount:
    return VenueAccount(
        id=row.id,
        deployment_id=row.deployment_id,
        venue=Venue(row.venue),
        address=row.address,
        signer_address=row.signer_address,
        key_name=row.key_name,
        is_enabled=row.is_enabled,
    )
