"""The demonstration that a first start shows: one agent, run by a bold and a careful subscriber, on simulated money.

Running it again changes nothing, except that an account that has no money gets its first deposit: the simulated
venue's memory may be younger than the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from agentwhere_core.domain.enums import AgentStatus, DeploymentStatus, Venue
from agentwhere_core.domain.errors import ConfigurationError, NotFoundError
from agentwhere_core.domain.idea import Agent
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import Deployment, Policy, VenueAccount
from agentwhere_flow.report import Tally, step
from agentwhere_flow.settings import Profile
from agentwhere_store import agents as agent_store
from agentwhere_store.agents import FollowedSources
from agentwhere_store.leases import lease

if TYPE_CHECKING:
    from agentwhere_core.venues.protocol import Execution
    from agentwhere_flow.system import System

AGENT_NAME = "Demo Desk"
X_HANDLES = ("onchain_olga", "macro_maven", "perp_pete", "hype_harry")
FEEDS = ("deepvalue-research", "macro-notes")

_LEASE = "demo"
_LEASE_WAIT_S = 60
_HOST = "127.0.0.1"
_LIGHTER_KEY_INDEX = 4


@dataclass(frozen=True, slots=True)
class Subscriber:
    """How one deployment of the demonstration differs from the other."""

    name: str
    capital_usd: Decimal
    policy: Policy


BOLD = Subscriber("bold", Decimal(10_000), Policy(style_multiplier=Decimal("1.5")))
CAREFUL = Subscriber(
    "careful",
    Decimal(10_000),
    Policy(
        min_confidence=Decimal("0.5"),
        max_fund_percentage=Decimal(3),
        max_leverage=Decimal(2),
        max_open_positions=3,
        style_multiplier=Decimal("0.5"),
    ),
)


@step("demo")
def create_demo(system: System, now: datetime) -> Tally:
    """Create the demonstration's agent and deployments with keys of their own, and fund their accounts.

    Raises
    ------
    ConfigurationError
        If the profile is not ``sim``: there is no money to give away elsewhere.
    UnreachableError
        If the simulator is not running.
    """
    if system.settings.profile is not Profile.SIM:
        raise ConfigurationError(
            "the demonstration lives in the profile sim: set AGENTWHERE_PROFILE=sim"
        )
    tally = Tally()
    with lease(system.engine, _LEASE, system.run_id or "demo", now, wait_s=_LEASE_WAIT_S):
        agent = _ensure_agent(system, now, tally)
        for subscriber in (BOLD, CAREFUL):
            _ensure_deployment(system, agent, subscriber, now, tally)
        with system.engine.begin() as conn:
            deployments = agent_store.deployments(conn, [agent.id])
        for deployment in deployments:
            _ensure_funds(system, deployment, now, tally)
    tally.rows_in = len(deployments)
    tally.rows_out = len(tally.table)
    return tally


def _ensure_agent(system: System, now: datetime, tally: Tally) -> Agent:
    with system.engine.begin() as conn:
        known = agent_store.find_agent(conn, AGENT_NAME)
        if known is not None:
            return known
        agent = Agent(
            id=new_id(),
            name=AGENT_NAME,
            creator_wallet=_address(system, "demo-creator"),
            venue=Venue.MULTI,
            status=AgentStatus.ACTIVE,
            leverage=Decimal(3),
            stop_loss_pct=Decimal(5),
            take_profit_pct=Decimal(10),
            trailing_activation_pct=Decimal(4),
            trailing_distance_pct=Decimal(2),
            max_holding_h=Decimal(72),
        )
        base = f"http://{_HOST}:{system.settings.sim_port}/feeds"
        sources = FollowedSources(X_HANDLES, tuple(f"{base}/{feed}.xml" for feed in FEEDS))
        agent_store.create_agent(conn, agent, sources, now)
    tally.table.append(
        {"made": "agent", "name": AGENT_NAME, "detail": "MULTI, 4 accounts, 2 feeds"}
    )
    return agent


def _ensure_deployment(
    system: System, agent: Agent, subscriber: Subscriber, now: datetime, tally: Tally
) -> None:
    with system.engine.begin() as conn:
        names = {item.name for item in agent_store.deployments(conn, [agent.id])}
        if subscriber.name in names:
            return
        deployment_id = new_id()
        key_name = f"demo-{subscriber.name}"
        address = _address(system, key_name)
        accounts = tuple(
            _lighter_account(system, deployment_id, address, key_name)
            if venue is Venue.LIGHTER
            else VenueAccount(new_id(), deployment_id, venue, address, address, key_name)
            for venue in system.settings.venues
        )
        agent_store.create_deployment(
            conn,
            Deployment(
                id=deployment_id,
                agent_id=agent.id,
                name=subscriber.name,
                subscriber_wallet=address,
                capital_usd=subscriber.capital_usd,
                status=DeploymentStatus.ACTIVE,
                policy=subscriber.policy,
                accounts=accounts,
            ),
            now,
        )
    tally.table.append({"made": "deployment", "name": subscriber.name, "detail": address})


def _ensure_funds(system: System, deployment: Deployment, now: datetime, tally: Tally) -> None:
    """Deposit the deployment's capital where the simulated venue holds none of it."""
    for account in deployment.accounts:
        adapter = system.execution(account.venue)
        if adapter is None or _equity(adapter, account, now) > 0:
            continue
        _deposit(system, deployment.subscriber_wallet, account, deployment.capital_usd)
        tally.table.append(
            {
                "made": "deposit",
                "name": f"{deployment.name} on {account.venue}",
                "detail": f"{deployment.capital_usd} USDC",
            }
        )


def _equity(adapter: Execution, account: VenueAccount, now: datetime) -> Decimal:
    """Return what the venue holds for an account; nothing if it forgot the account."""
    try:
        return adapter.account_state(account, now).equity_usd
    except NotFoundError:
        return Decimal(0)


def _deposit(system: System, wallet: str, account: VenueAccount, usdc: Decimal) -> None:
    wish = {"venue": account.venue.value, "address": wallet, "usdc": str(usdc)}
    if account.venue is Venue.LIGHTER:
        wish |= _lighter_key(system, account.key_name)
    _fund(system, wish)


def _lighter_account(
    system: System, deployment_id: UUID, wallet: str, key_name: str
) -> VenueAccount:
    """Open an account at the simulated Lighter, which numbers it, and give it an API key of its own."""
    name = f"{key_name}-lighter"
    wish = {"venue": Venue.LIGHTER.value, "address": wallet, "usdc": "0"}
    answer = _fund(system, wish | _lighter_key(system, name))
    index = str(answer["account_index"])
    signer = f"{index}:{_LIGHTER_KEY_INDEX}"
    return VenueAccount(new_id(), deployment_id, Venue.LIGHTER, index, signer, name)


def _lighter_key(system: System, name: str) -> dict[str, str]:
    """Return what registers the API key called ``name``, making the key if there is none."""
    from agentwhere_core.venues.lighter.signer import new_api_key

    if not system.secrets.has(name):
        private, public = new_api_key()
        system.secrets.put(f"{name}-public", public)
        system.secrets.put(name, private)
    public_key = system.secrets.get(f"{name}-public").get_secret_value()
    return {"api_key_index": str(_LIGHTER_KEY_INDEX), "public_key": public_key}


def _fund(system: System, wish: dict[str, str]) -> dict[str, Any]:
    import json

    from agentwhere_core.http import HttpClient

    control = HttpClient("simulator", allowed_hosts=frozenset({_HOST}))
    try:
        url = f"http://{_HOST}:{system.settings.sim_port}/control/accounts"
        answer: dict[str, Any] = control.write(url, json.dumps(wish).encode())
        return answer
    finally:
        control.close()


def _address(system: System, key_name: str) -> str:
    """Return the address of the key called ``key_name``, making the key if there is none."""
    from eth_account import Account

    if not system.secrets.has(key_name):
        system.secrets.put(key_name, Account.create().key.to_0x_hex())
    address = Account.from_key(system.secrets.get(key_name).get_secret_value()).address
    return str(address).lower()
