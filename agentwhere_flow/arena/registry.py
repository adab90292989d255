"""Models: added with an account, paused and resumed; each trades as an agent of its own with one deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agentwhere_core.arena.baselines import rule
from agentwhere_core.arena.prompt import is_presentable
from agentwhere_core.arena.values import (
    BASELINE_PREFIX,
    DEFAULT_INTERVAL_S,
    MIN_INTERVAL_S,
    ModelStatus,
    TraderModel,
)
from agentwhere_core.domain.enums import AgentStatus, DeploymentStatus, Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.idea import Agent
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import Deployment, Policy, VenueAccount
from agentwhere_flow.registry import NewAccount, account_of
from agentwhere_store import agents as agent_store
from agentwhere_store import deployments as deployment_store
from agentwhere_store.arena import models as store
from agentwhere_store.arena import portfolio as portfolio_store
from agentwhere_store.arena.models import Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from agentwhere_flow.system import System

NO_WALLET = "0x" + "0" * 40
DEPLOYMENT = "arena"


@dataclass(frozen=True, slots=True)
class NewModel:
    """What a model is added with; see `TraderModel` for the meaning of each."""

    name: str
    openrouter_model: str
    markets: tuple[str, ...]
    capital_usd: Decimal
    venue: Venue = Venue.LIGHTER
    leverage: Mapping[str, Decimal] | None = None
    interval_s: int = DEFAULT_INTERVAL_S
    budget_usd_per_day: Decimal | None = None
    policy: Policy = field(default_factory=Policy)
    wallet: str = NO_WALLET


def add_model(
    system: System,
    now: datetime,
    new: NewModel,
    accounts: Callable[[UUID], Sequence[VenueAccount]],
) -> TraderModel:
    """Add a model, its agent and its deployment, in one transaction.

    Parameters
    ----------
    accounts
        Gives the accounts of the deployment with a given id.

    Raises
    ------
    ConfigurationError
        If the name is taken, an account is in use, or a value makes no sense.
    """
    _require_sense(new)
    agent_id, deployment_id = new_id(), new_id()
    model = TraderModel(
        id=new_id(),
        name=new.name,
        openrouter_model=new.openrouter_model,
        agent_id=agent_id,
        deployment_id=deployment_id,
        venue=new.venue,
        markets=tuple(dict.fromkeys(token.upper() for token in new.markets)),
        leverage={token.upper(): value for token, value in (new.leverage or {}).items()},
        interval_s=new.interval_s,
        budget_usd_per_day=new.budget_usd_per_day,
        status=ModelStatus.ACTIVE,
        due_at=now,
        created_at=now,
    )
    agent = Agent(
        id=agent_id,
        name=f"Arena: {new.name}",
        creator_wallet=new.wallet,
        venue=new.venue,
        status=AgentStatus.ACTIVE,
        leverage=Decimal(1),
        stop_loss_pct=None,
        take_profit_pct=None,
        trailing_activation_pct=None,
        trailing_distance_pct=None,
        max_holding_h=None,
    )
    deployment = Deployment(
        id=deployment_id,
        agent_id=agent_id,
        name=DEPLOYMENT,
        subscriber_wallet=new.wallet,
        capital_usd=new.capital_usd,
        status=DeploymentStatus.ACTIVE,
        policy=new.policy,
        accounts=tuple(accounts(deployment_id)),
    )
    with system.engine.begin() as conn:
        if store.find_model(conn, new.name) is not None:
            raise ConfigurationError(
                f"there is a model called {new.name!r} already: choose another name"
            )
        agent_store.create_agent(conn, agent, agent_store.FollowedSources(), now)
        deployment_store.create_deployment(conn, deployment, now)
        store.add_model(conn, model, now)
    return model


def add_model_with_keys(
    system: System, now: datetime, new: NewModel, accounts: Sequence[NewAccount]
) -> TraderModel:
    """Add a model on accounts that exist.

    Raises
    ------
    ConfigurationError
        If an account is none, its key is missing, or a value makes no sense.
    """

    def made(deployment_id: UUID) -> list[VenueAccount]:
        return [account_of(system, deployment_id, account) for account in accounts]

    return add_model(system, now, new, made)


def set_status(system: System, now: datetime, name: str, status: ModelStatus) -> TraderModel:
    """Pause or resume a model; its open positions stay, and are looked after.

    Raises
    ------
    ConfigurationError
        If there is no such model.
    """
    with system.engine.begin() as conn:
        model = _find(store.find_model(conn, name), name)
        store.set_status(conn, model.id, status, now)
    return model


def list_models(system: System, now: datetime) -> list[dict[str, Any]]:
    """Return all models with what their invocations and accounts say of them."""
    with system.engine.connect() as conn:
        known = store.all_models(conn)
        records = store.records(conn, now)
        latest = portfolio_store.latest(conn)
    return [_row(model, records.get(model.id, Record()), latest, now) for model in known]


def _row(
    model: TraderModel, record: Record, latest: Mapping[UUID, Decimal], now: datetime
) -> dict[str, Any]:
    return {
        "id": model.id,
        "name": model.name,
        "model": model.openrouter_model,
        "status": model.status.value,
        "venue": model.venue.value,
        "markets": list(model.markets),
        "leverage": {token: str(value) for token, value in model.leverage.items()},
        "interval_s": model.interval_s,
        "invocations": record.invocations,
        "skipped": model.skipped,
        "minutes_since_start": record.minutes_since_start(now),
        "account_value_usd": latest.get(model.id),
        "cost_usd": record.cost_usd,
        "cost_today_usd": record.cost_today_usd,
        "budget_usd_per_day": model.budget_usd_per_day,
        "due_at": model.due_at,
    }


def _require_sense(new: NewModel) -> None:
    if not new.name.strip():
        raise ConfigurationError("a model needs a name")
    if new.openrouter_model.startswith(BASELINE_PREFIX):
        rule(new.openrouter_model)
    if not new.markets:
        raise ConfigurationError("a model needs at least one market, e.g. --markets BTC,ETH")
    for token in (*new.markets, *(new.leverage or {})):
        if not is_presentable(token.upper()):
            raise ConfigurationError(f"{token!r} is no symbol: letters, digits and . _ / - only")
    for token, value in (new.leverage or {}).items():
        if value < 1:
            raise ConfigurationError(f"leverage of {token} must be 1 or more, not {value}")
    if new.interval_s < MIN_INTERVAL_S:
        raise ConfigurationError(f"--interval must be {MIN_INTERVAL_S} seconds or more")
    if new.capital_usd <= 0:
        raise ConfigurationError("--capital must be more than zero")


def _find(model: TraderModel | None, name: str) -> TraderModel:
    if model is None:
        raise ConfigurationError(f"there is no model {name!r}: see `agentwhere models list`")
    return model
