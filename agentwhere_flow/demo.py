"""The demonstration that a first start shows: one agent, run by a bold and a careful subscriber, on simulated money.

Running it again changes nothing, except that an account that has no money gets its first deposit: the simulated
venue's memory may be younger than the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import AgentStatus, DeploymentStatus, Venue
from agentwhere_core.domain.idea import Agent
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import Deployment, Policy
from agentwhere_flow.profiles import SIM_FEEDS
from agentwhere_flow.report import Tally, step
from agentwhere_flow.simulated import (
    address_of,
    ensure_funds,
    open_account,
    require_simulation,
)
from agentwhere_store import agents as agent_store
from agentwhere_store import deployments as deployment_store
from agentwhere_store.agents import FollowedSources
from agentwhere_store.leases import lease

if TYPE_CHECKING:
    from agentwhere_flow.system import System

AGENT_NAME = "Demo Desk"
X_HANDLES = ("onchain_olga", "macro_maven", "perp_pete", "hype_harry")
FEEDS = ("deepvalue-research", "macro-notes")

_LEASE = "demo"
_LEASE_WAIT_S = 60


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
    require_simulation(system)
    tally = Tally()
    with lease(system.engine, _LEASE, system.run_id or "demo", now, wait_s=_LEASE_WAIT_S):
        agent = _ensure_agent(system, now, tally)
        for subscriber in (BOLD, CAREFUL):
            _ensure_deployment(system, agent, subscriber, now, tally)
        with system.engine.begin() as conn:
            deployments = deployment_store.deployments(conn, [agent.id])
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
            creator_wallet=address_of(system, "demo-creator"),
            venue=Venue.MULTI,
            status=AgentStatus.ACTIVE,
            leverage=Decimal(3),
            stop_loss_pct=Decimal(5),
            take_profit_pct=Decimal(10),
            trailing_activation_pct=Decimal(4),
            trailing_distance_pct=Decimal(2),
            max_holding_h=Decimal(72),
        )
        sources = FollowedSources(X_HANDLES, tuple(f"{SIM_FEEDS}/{feed}.xml" for feed in FEEDS))
        agent_store.create_agent(conn, agent, sources, now)
    tally.table.append(
        {"made": "agent", "name": AGENT_NAME, "detail": "MULTI, 4 accounts, 2 feeds"}
    )
    return agent


def _ensure_deployment(
    system: System, agent: Agent, subscriber: Subscriber, now: datetime, tally: Tally
) -> None:
    with system.engine.begin() as conn:
        names = {item.name for item in deployment_store.deployments(conn, [agent.id])}
        if subscriber.name in names:
            return
        deployment_id = new_id()
        key_name = f"demo-{subscriber.name}"
        address = address_of(system, key_name)
        accounts = tuple(
            open_account(system, venue, deployment_id, key_name) for venue in system.settings.venues
        )
        deployment_store.create_deployment(
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
    for account in ensure_funds(system, deployment, now):
        tally.table.append(
            {
                "made": "deposit",
                "name": f"{deployment.name} on {account.venue}",
                "detail": f"{deployment.capital_usd} USDC",
            }
        )
