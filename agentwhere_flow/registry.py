"""Agents that creators publish, and deployments that subscribers run on their own accounts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from agentwhere_core.domain.enums import AgentStatus, DeploymentStatus, Venue
from agentwhere_core.domain.errors import ConfigurationError, NoSuchThingError
from agentwhere_core.domain.idea import Agent
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import Deployment, Policy, VenueAccount
from agentwhere_core.how.schema import policy_from_json, policy_to_json
from agentwhere_flow.naming import find_deployment
from agentwhere_flow.system import System
from agentwhere_store import agents as store
from agentwhere_store import deployments as deployment_store

_HANDLE = re.compile(r"^@?[A-Za-z0-9_]{1,15}$")
_ADDRESS = re.compile(r"^0x[0-9a-fA-F]{40}$")


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to trade on; ``key_name`` names its signing key in the secret store."""

    venue: Venue
    address: str
    key_name: str


def create_agent(
    system: System,
    now: datetime,
    agent: Agent,
    x_handles: Sequence[str],
    feed_urls: Sequence[str],
) -> None:
    """Publish an agent with the sources that it follows.

    Raises
    ------
    ConfigurationError
        If the name is taken, there is no source, or a source cannot be one.
    """
    if not x_handles and not feed_urls:
        raise ConfigurationError(
            "an agent without sources finds nothing: name an X account or a feed"
        )
    sources = checked_sources(system, x_handles, feed_urls)
    with system.engine.begin() as conn:
        store.create_agent(conn, agent, sources, now)


def checked_sources(
    system: System, x_handles: Sequence[str], feed_urls: Sequence[str]
) -> store.FollowedSources:
    """Return what may be followed.

    Raises
    ------
    ConfigurationError
        If a handle or an address cannot be one.
    """
    for handle in x_handles:
        if not _HANDLE.match(handle):
            raise ConfigurationError(
                f"{handle!r} is no X account: letters, digits and _, at most 15"
            )
    for url in feed_urls:
        parts = _address_parts(system.endpoints.feed_address(url))
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"{url!r} is no feed: it must begin with http:// or https://")
        if parts.username or parts.password:
            raise ConfigurationError(
                f"the feed's address at {parts.hostname} holds a password, which would be stored and shown: "
                "give one that needs none"
            )
    return store.FollowedSources(tuple(x_handles), tuple(feed_urls))


def edit_agent(system: System, now: datetime, name: str, changes: Mapping[str, Any]) -> Agent:
    """Change how an agent trades, from its next signal on; what is open stays as it was.

    Parameters
    ----------
    changes
        New values by the name of an `Agent`'s field.

    Raises
    ------
    ConfigurationError
        If there is no such agent, nothing to change, or the new name is taken.
    """
    if not changes:
        raise ConfigurationError("nothing to change: name at least one option")
    changed = replace(_agent(system, name), **changes)
    with system.engine.begin() as conn:
        store.update_agent(conn, changed, now)
    return changed


def set_agent_status(system: System, now: datetime, name: str, status: AgentStatus) -> None:
    """Pause an agent, or let it go on. A paused one reads and proposes nothing; what is open stays looked after.

    Raises
    ------
    ConfigurationError
        If there is no such agent.
    """
    agent = _agent(system, name)
    with system.engine.begin() as conn:
        store.set_agent_status(conn, agent.id, status, now)


def follow(
    system: System, now: datetime, name: str, x_handles: Sequence[str], feed_urls: Sequence[str]
) -> int:
    """Attach sources to an agent; return how many it did not follow before.

    Raises
    ------
    ConfigurationError
        If there is no such agent, or a source cannot be one.
    """
    sources = checked_sources(system, x_handles, feed_urls)
    agent = _agent(system, name)
    with system.engine.begin() as conn:
        return store.attach_sources(conn, agent.id, sources, now)


def unfollow(system: System, name: str, x_handles: Sequence[str], feed_urls: Sequence[str]) -> int:
    """Detach sources from an agent; return how many it did follow. Their posts and track records stay.

    Raises
    ------
    ConfigurationError
        If there is no such agent, or it would be left without any source.
    """
    agent = _agent(system, name)
    sources = store.FollowedSources(tuple(x_handles), tuple(feed_urls))
    with system.engine.begin() as conn:
        count = store.detach_sources(conn, agent.id, sources)
        if count and not store.has_sources(conn, agent.id):
            raise ConfigurationError(
                f"{name!r} would be left without a source: follow another one first, or pause it"
            )
    return count


def create_deployment(
    system: System,
    now: datetime,
    *,
    agent_name: str,
    name: str,
    subscriber_wallet: str,
    capital_usd: Decimal,
    policy: Policy,
    accounts: Sequence[NewAccount],
) -> Deployment:
    """Run an agent on a subscriber's accounts from now on.

    Raises
    ------
    ConfigurationError
        If there is no such agent, the name or an account is taken, or a signing key is missing.
    """
    deployment_id = new_id()
    deployment = Deployment(
        id=deployment_id,
        agent_id=_agent(system, agent_name).id,
        name=name,
        subscriber_wallet=subscriber_wallet,
        capital_usd=capital_usd,
        status=DeploymentStatus.ACTIVE,
        policy=policy,
        accounts=tuple(account_of(system, deployment_id, account) for account in accounts),
    )
    with system.engine.begin() as conn:
        deployment_store.create_deployment(conn, deployment, now)
    return deployment


def set_deployment_status(
    system: System, now: datetime, deployment: str, status: DeploymentStatus
) -> Deployment:
    """Pause a deployment, by NAME, AGENT/NAME or id, or let it go on; return it.

    A paused one opens nothing, also not what was routed already; what is open stays looked after.

    Raises
    ------
    ConfigurationError
        If there is no such deployment.
    """
    with system.engine.begin() as conn:
        id_ = find_deployment(conn, deployment)
        deployment_store.set_status(conn, id_, status, now)
        return deployment_store.deployment(conn, id_)


def agent_name(system: System, agent_id: UUID) -> str:
    """Return the name of an agent.

    Raises
    ------
    NoSuchThingError
        If there is no such agent.
    """
    with system.engine.connect() as conn:
        found = store.agent_by_id(conn, agent_id)
    if found is None:
        raise NoSuchThingError(f"there is no agent {agent_id}: see `agentwhere agents list`")
    return found.name


def policy_of(system: System, deployment: str) -> tuple[Deployment, int]:
    """Return a deployment, by NAME, AGENT/NAME or id, with its policy's version.

    Raises
    ------
    ConfigurationError
        If there is no such deployment.
    """
    with system.engine.connect() as conn:
        id_ = find_deployment(conn, deployment)
        return deployment_store.deployment(conn, id_), deployment_store.policy_version(conn, id_)


def set_policy(
    system: System, now: datetime, deployment: str, changes: Mapping[str, Any]
) -> tuple[Deployment, int]:
    """Change fields of a deployment's policy, null switching a rule off; return it with its new version.

    Open positions stay as they are; the next signal meets the new policy.

    Raises
    ------
    ConfigurationError
        If there is no such deployment or field, or a value makes no sense; nothing is written.
    """
    with system.engine.begin() as conn:
        id_ = find_deployment(conn, deployment)
        present = policy_to_json(deployment_store.deployment(conn, id_, lock=True).policy)
        policy = policy_from_json({**present, **changes})
        if policy_to_json(policy) != present:
            deployment_store.put_policy(conn, id_, policy, now)
        return deployment_store.deployment(conn, id_), deployment_store.policy_version(conn, id_)


def account_of(system: System, deployment_id: UUID, account: NewAccount) -> VenueAccount:
    """Return an account of a deployment, after proving that its key can sign.

    Raises
    ------
    ConfigurationError
        If the address is none, or the key is missing.
    """
    return VenueAccount(new_id(), deployment_id, account.venue, *_names_of(system, account))


def agents_and_deployments(system: System) -> list[dict[str, Any]]:
    """Return all agents by name, each with its sources and deployments; no keys."""
    with system.engine.connect() as conn:
        listed = store.list_agents(conn)
        deployments = deployment_store.deployments(conn)
    return [
        {
            "id": item.agent.id,
            "name": item.agent.name,
            "status": item.agent.status.value,
            "venue": item.agent.venue.value,
            "leverage": item.agent.leverage,
            "stop_loss_pct": item.agent.stop_loss_pct,
            "take_profit_pct": item.agent.take_profit_pct,
            "trailing_activation_pct": item.agent.trailing_activation_pct,
            "trailing_distance_pct": item.agent.trailing_distance_pct,
            "max_holding_h": item.agent.max_holding_h,
            "creator_wallet": item.agent.creator_wallet,
            "x_accounts": list(item.sources.x_handles),
            "feeds": list(item.sources.feed_urls),
            "deployments": [
                {
                    "id": deployment.id,
                    "name": deployment.name,
                    "status": deployment.status.value,
                    "capital_usd": deployment.capital_usd,
                    "policy": policy_to_json(deployment.policy),
                    "accounts": [
                        {"venue": account.venue.value, "address": account.address}
                        for account in deployment.accounts
                    ],
                }
                for deployment in deployments
                if deployment.agent_id == item.agent.id
            ],
        }
        for item in listed
    ]


def _agent(system: System, name: str) -> Agent:
    with system.engine.connect() as conn:
        found = store.find_agent(conn, name)
    if found is None:
        raise NoSuchThingError(f"there is no agent {name!r}: see `agentwhere agents list`")
    return found


def _address_parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _address(text: str) -> str:
    if not _ADDRESS.match(text):
        raise ConfigurationError(f"{text!r} is no account address: 0x and 40 hexadecimal digits")
    return text.lower()


def _names_of(system: System, account: NewAccount) -> tuple[str, str, str]:
    """Return address, signer's address and key name of an account, in the words of its venue."""
    if account.venue is Venue.LIGHTER:
        return _lighter_names(system, account)
    return _address(account.address), _signer_of(system, account), account.key_name


def _lighter_names(system: System, account: NewAccount) -> tuple[str, str, str]:
    """Read ``<account index>:<API key index>``, and prove that the key can sign."""
    from agentwhere_core.venues.lighter.signer import TESTNET_CHAIN_ID, ApiKey, Signer

    index, _, key_index = account.address.partition(":")
    if not (index.isdigit() and key_index.isdigit()):
        raise ConfigurationError(
            f"{account.address!r} is no Lighter account: give <account index>:<API key index>, as in 123456:4"
        )
    key = system.secrets.get(account.key_name).get_secret_value()
    Signer(TESTNET_CHAIN_ID).learn(ApiKey(int(index), int(key_index)), key)
    return index, f"{int(index)}:{int(key_index)}", account.key_name


def _signer_of(system: System, account: NewAccount) -> str:
    """Return the address of the signing key, which also proves that the key can be read."""
    from eth_account import Account

    key = system.secrets.get(account.key_name).get_secret_value()
    try:
        return str(Account.from_key(key).address).lower()
    except ValueError:
        raise ConfigurationError(
            f"secret {account.key_name!r} is no signing key: store 32 bytes in hexadecimal"
        ) from None
