"""Deployments, signals, orders, positions and routing decisions."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import Field

from agentwhere_app.api.models.base import Told
from agentwhere_core.domain.enums import (
    DeploymentStatus,
    ExitReason,
    OrderPurpose,
    OrderSide,
    OrderState,
    PolicyOutcome,
    PositionStatus,
    ProtectionState,
    RoutingStrategy,
    Side,
    SourceKind,
    Venue,
)

Item = TypeVar("Item", bound=Told)


class PageOf(Told, Generic[Item]):
    """Some items, newest first; ``next``, given as ``before``, continues the list."""

    items: list[Item]
    next: UUID | None


class Account(Told):
    """An account at a venue, and the money that was last seen there."""

    venue: Venue
    address: str
    is_enabled: bool
    equity_usd: Decimal | None
    free_margin_usd: Decimal | None
    last_queried: datetime | None


class Deployment(Told):
    """An agent that runs on one subscriber's accounts."""

    id: UUID
    agent_id: UUID
    agent: str
    name: str
    subscriber_wallet: str
    capital_usd: Decimal
    status: DeploymentStatus
    policy: dict[str, Any]
    policy_version: int | None
    accounts: list[Account]
    open_positions: int
    unrealized_pnl_usd: Decimal
    created_at: datetime
    updated_at: datetime


class Deployments(Told):
    """Deployments, newest first."""

    items: list[Deployment]


class Signal(Told):
    """A trade idea with a size."""

    id: UUID
    agent_id: UUID
    agent: str
    batch: str
    token: str
    side: Side
    venue: Venue
    fund_percentage: Decimal
    confidence: Decimal
    leverage: Decimal
    stop_loss_pct: Decimal | None
    take_profit_pct: Decimal | None
    trailing_activation_pct: Decimal | None
    trailing_distance_pct: Decimal | None
    max_holding_h: Decimal | None
    reasoning: str
    source_post_ids: list[UUID]
    created_at: datetime
    expires_at: datetime


class SignalPost(Told):
    """A post that a signal rests on."""

    id: UUID
    text: str
    url: str | None
    published_at: datetime
    source_kind: SourceKind


class PolicyVerdict(Told):
    """What one deployment's policy made of a signal."""

    deployment_id: UUID
    deployment: str
    outcome: PolicyOutcome
    fund_percentage: Decimal
    leverage: Decimal
    reasons: list[str]
    created_at: datetime


class Routed(Told):
    """Where a signal went for one deployment."""

    id: UUID
    deployment_id: UUID
    attempt: int
    selected_venue: Venue | None
    routing_reason: str
    story: str
    created_at: datetime


class Order(Told):
    """A row of the ledger."""

    id: UUID
    submission_id: UUID | None
    deployment_id: UUID
    deployment: str
    account_id: UUID | None
    signal_id: UUID | None
    position_id: UUID | None
    routing_id: UUID | None
    leg: int
    attempt: int
    purpose: OrderPurpose
    venue: Venue
    token_symbol: str
    market_name: str
    side: OrderSide
    reduce_only: bool
    size: Decimal
    limit_price: Decimal
    trigger_price: Decimal | None
    leverage: Decimal
    client_id: str
    state: OrderState
    filled_size: Decimal
    average_price: Decimal | None
    venue_order_id: str | None
    reason: str | None
    detail: str | None
    created_at: datetime
    sent_at: datetime | None
    updated_at: datetime


class SignalStory(Signal):
    """A signal with its explanation, and what became of it."""

    explanation: dict[str, Any]
    posts: list[SignalPost]
    policy_decisions: list[PolicyVerdict]
    routing: list[Routed]
    orders: list[Order]


class OrderMove(Told):
    """A move that an order made."""

    at: datetime
    from_state: OrderState | None
    to_state: OrderState
    reason: str | None
    detail: str | None


class OrderStory(Order):
    """An order with every move that it made."""

    events: list[OrderMove]


class Position(Told):
    """A position, folded from fills."""

    id: UUID
    deployment_id: UUID
    deployment: str
    agent_id: UUID
    agent: str
    account_id: UUID
    signal_id: UUID | None
    venue: Venue
    token_symbol: str
    market_name: str
    side: Side
    size: Decimal
    peak_size: Decimal
    entry_price: Decimal
    leverage: Decimal
    stop_loss_price: Decimal | None
    take_profit_price: Decimal | None
    trailing_activation_pct: Decimal | None
    trailing_distance_pct: Decimal | None
    max_holding_h: Decimal | None
    best_price: Decimal | None
    liquidation_price: Decimal | None
    current_price: Decimal | None
    unrealized_pnl_usd: Decimal
    realized_pnl_usd: Decimal
    fees_usd: Decimal
    funding_usd: Decimal
    status: PositionStatus
    exit_reason: ExitReason | None
    exit_price: Decimal | None
    opened_at: datetime
    closed_at: datetime | None
    last_marked: datetime | None
    updated_at: datetime
    protection: Annotated[
        ProtectionState | None,
        Field(
            description="PROTECTED: its stop loss rests at the venue. PENDING: not seen there yet. MISSING: not there. "
            "CLOSING: it is being closed. WAIVED: it has none, as its policy allows. OUTSIDE: opened by somebody else. "
            "Null of a closed position."
        ),
    ]
    protect_by: Annotated[
        datetime | None,
        Field(
            description="While PENDING or MISSING: it is closed unless its stop loss rests by then."
        ),
    ]
    resting_stop_price: Annotated[
        Decimal | None,
        Field(description="Trigger of the stop loss that was last seen at the venue."),
    ]
    resting_target_price: Annotated[
        Decimal | None, Field(description="Trigger of the take profit that was last seen there.")
    ]


class PositionEvent(Told):
    """Something that happened to a position, with the evidence for it."""

    at: datetime
    kind: str
    detail: str
    evidence: dict[str, Any]


class PositionStory(Position):
    """A position with everything that happened to it."""

    events: list[PositionEvent]


class Decided(Told):
    """What a routing decision says of itself."""

    id: UUID
    signal_id: UUID
    deployment_id: UUID
    attempt: int
    token_symbol: str
    requested_venue: Venue
    selected_venue: Venue | None
    routing_reason: str
    story: str
    checked_venues: list[str]
    venue_availability: list[dict[str, Any]]
    routing_strategy: RoutingStrategy
    config_version: int
    attempts: list[Any]
    failover_venue: Venue | None
    routing_duration_ms: Decimal
    created_at: datetime


class RoutingDecision(Decided):
    """A routing decision with its story."""

    agent: str
    deployment: str


class Leg(Told):
    """A part of a trade that is split; its share is a fraction of one."""

    leg: int
    venue: Venue
    share: Decimal
    failover_venue: Venue | None = Field(
        description="Where the leg goes after its venue rejected it; None while it stays."
    )


class FullDecision(Decided):
    """A routing decision with everything that it was made from."""

    inputs: dict[str, Any]
    scene: dict[str, Any] | None
    legs: list[Leg]
