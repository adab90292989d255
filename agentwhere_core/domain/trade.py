"""From a signal to a position: deployments, policy, routing, orders, fills."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from agentwhere_core.domain.enums import (
    DeploymentStatus,
    ExitReason,
    OrderPurpose,
    OrderSide,
    OrderState,
    PolicyOutcome,
    PositionStatus,
    ProtectionState,
    Side,
    Venue,
)
from agentwhere_core.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class VenueAccount:
    """A subscriber's account at one venue.

    ``address`` is the master address that is queried; ``signer_address`` signs (an agent wallet, or the same).
    ``key_name`` names the signing key in the environment or the secret store; the key itself is never stored here.
    """

    id: UUID
    deployment_id: UUID
    venue: Venue
    address: str
    signer_address: str
    key_name: str
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """A subscriber's own rules (H2). The default passes every signal through unchanged; None switches a rule off.

    Exposure is notional in percent of the deployment's capital. ``docs/agents.md`` says what each rule does.

    ``allow_unprotected`` lets a signal that has no stop loss be traded without one; otherwise it gets the default stop.
    """

    min_confidence: Decimal | None = None
    max_fund_percentage: Decimal | None = None
    max_leverage: Decimal | None = None
    max_open_positions: int | None = None
    max_total_exposure_pct: Decimal | None = None
    max_token_exposure_pct: Decimal | None = None
    max_venue_exposure_pct: Decimal | None = None
    allowed_tokens: frozenset[str] | None = None
    blocked_tokens: frozenset[str] = frozenset()
    allowed_venues: frozenset[Venue] | None = None
    blocked_venues: frozenset[Venue] = frozenset()
    allowed_sides: frozenset[Side] | None = None
    style_multiplier: Decimal = Decimal(1)
    allow_unprotected: bool = False
    cooldown_h: Decimal | None = None
    daily_loss_limit_pct: Decimal | None = None

    def trades_at(self, venue: Venue) -> bool:
        """Whether the policy lets the deployment trade at a venue; blocking wins."""
        is_allowed = self.allowed_venues is None or venue in self.allowed_venues
        return is_allowed and venue not in self.blocked_venues


@dataclass(frozen=True, slots=True)
class Deployment:
    """An agent that runs on one subscriber's accounts with ``capital_usd`` and a policy."""

    id: UUID
    agent_id: UUID
    name: str
    subscriber_wallet: str
    capital_usd: Decimal
    status: DeploymentStatus
    policy: Policy = Policy()
    accounts: tuple[VenueAccount, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """What a deployment's policy made of a signal; ``reasons`` say what was changed or why it was refused."""

    signal_id: UUID
    deployment_id: UUID
    outcome: PolicyOutcome
    fund_percentage: Decimal
    leverage: Decimal
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class OrderSpec:
    """One order as it will be put into a submission; sizes and prices already follow the venue's rules.

    The market's decimals are for venues whose wire has whole numbers only; ``leverage`` matters where it belongs to the
    order, and not to the account.
    """

    client_id: str
    purpose: OrderPurpose
    market_name: str
    market_index: int
    side: OrderSide
    size: Decimal
    limit_price: Decimal
    trigger_price: Decimal | None
    reduce_only: bool
    size_decimals: int | None = None
    price_decimals: int | None = None
    leverage: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Submission:
    """Exact bytes that go to a venue in one request: stored before they are sent, sent again unchanged if at all."""

    id: UUID
    account_id: UUID
    venue: Venue
    signer_address: str
    nonce: int
    deadline: datetime
    payload: bytes


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What a venue says about one order, in our words; ``raw`` is its own."""

    client_id: str
    state: OrderState
    reason: Reason | None
    venue_order_id: str | None
    filled_size: Decimal
    average_price: Decimal | None
    detail: str
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """A row of the ledger; without an account where the intent ended before one was needed.

    ``leg`` numbers the parts of a trade that is split, and ``mid_price`` was the market's when the order was made.
    """

    id: UUID
    submission_id: UUID | None
    deployment_id: UUID
    account_id: UUID | None
    signal_id: UUID | None
    position_id: UUID | None
    leg: int
    attempt: int
    purpose: OrderPurpose
    venue: Venue
    token: str
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
    reason: Reason | None
    mid_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution as the venue reports it: unique by (venue, account, fill id). ``fee_usd`` is positive when paid.

    ``trigger`` says which of the position's own prices was reached, at venues where protection is no order of its own.
    """

    venue: Venue
    account_id: UUID
    fill_id: str
    venue_order_id: str
    client_id: str | None
    token: str
    market_name: str
    side: OrderSide
    size: Decimal
    price: Decimal
    fee_usd: Decimal
    closed_pnl_usd: Decimal
    at: datetime
    is_liquidation: bool
    raw: dict[str, Any]
    trigger: OrderPurpose | None = None


@dataclass(frozen=True, slots=True)
class CashFlow:
    """Money that an account received (positive) or paid (negative) without a fill, unique by its venue reference."""

    venue: Venue
    account_id: UUID
    reference: str
    kind: str
    token: str | None
    amount_usd: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """A position as the venue holds it; ``size`` is positive, in market units."""

    token: str
    market_name: str
    side: Side
    size: Decimal
    entry_price: Decimal
    leverage: Decimal
    unrealized_pnl_usd: Decimal
    liquidation_price: Decimal | None


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An order, or a protective price of a position, that rests at a venue.

    Parameters
    ----------
    client_id
        None where the order was placed without one, or the venue keeps none.
    size
        What it would trade, in market units; None where it closes the whole position, whatever that is by then.
    purpose
        TAKE_PROFIT or STOP_LOSS, by the kind of its trigger; None for any other order.
    is_carried
        Whether it is a price of the position itself, or of the part of it that ``size`` says, whoever set it.
    """

    venue_order_id: str
    client_id: str | None
    token: str
    market_name: str
    side: OrderSide
    size: Decimal | None
    purpose: OrderPurpose | None
    trigger_price: Decimal | None
    reduce_only: bool
    is_carried: bool = False


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account at a venue, as the venue sees it."""

    address: str
    equity_usd: Decimal
    free_margin_usd: Decimal
    positions: tuple[VenuePosition, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """A position folded from fills; at most one is open per account, venue and token.

    ``stop_loss_price`` and ``take_profit_price`` are what it must be protected by, ``resting_stop_price`` and
    ``resting_target_price`` what its venue was last seen to hold. ``protect_by`` is the deadline while it is owed.
    """

    id: UUID
    deployment_id: UUID
    agent_id: UUID
    account_id: UUID
    signal_id: UUID | None
    venue: Venue
    token: str
    market_name: str
    side: Side
    size: Decimal
    entry_price: Decimal
    leverage: Decimal
    status: PositionStatus
    opened_at: datetime
    stop_loss_price: Decimal | None = None
    take_profit_price: Decimal | None = None
    trailing_activation_pct: Decimal | None = None
    trailing_distance_pct: Decimal | None = None
    best_price: Decimal | None = None
    max_holding_h: Decimal | None = None
    liquidation_price: Decimal | None = None
    current_price: Decimal | None = None
    unrealized_pnl_usd: Decimal = Decimal(0)
    realized_pnl_usd: Decimal = Decimal(0)
    fees_usd: Decimal = Decimal(0)
    funding_usd: Decimal = Decimal(0)
    closed_at: datetime | None = None
    exit_price: Decimal | None = None
    exit_reason: ExitReason | None = None
    peak_size: Decimal = Decimal(0)
    protection: ProtectionState = ProtectionState.PENDING
    protect_by: datetime | None = None
    resting_stop_price: Decimal | None = None
    resting_target_price: Decimal | None = None
