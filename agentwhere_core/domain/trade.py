"""From a signal to a position: deployments, policy, routing, orders, fills."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    RoutingStrategy,
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
class RoutingConfig:
    """Where to look for a venue, and how to choose (R2).

    Parameters
    ----------
    venue_priority, routing_strategy, failover_enabled
        Which venues, in which order; how to choose; and whether to look beyond the first.
    token_overrides
        Priority lists of their own for some canonical symbols.
    token_exclusions
        Venues that are never used for some canonical symbols, whichever list names them.
    version
        Counts the changes of one configuration, and is kept with each decision.
    """

    venue_priority: tuple[Venue, ...]
    routing_strategy: RoutingStrategy
    failover_enabled: bool
    token_overrides: dict[str, tuple[Venue, ...]] = field(default_factory=dict)
    version: int = 1
    token_exclusions: dict[str, tuple[Venue, ...]] = field(default_factory=dict)

    def priority_for(self, token: str) -> tuple[Venue, ...]:
        """Return the venues to check for ``token``, first choice first."""
        priority = self.token_overrides.get(token, self.venue_priority)
        excluded = self.token_exclusions.get(token)
        return tuple(v for v in priority if v not in excluded) if excluded else priority


@dataclass(frozen=True, slots=True)
class FundsAt:
    """What an account can do at a venue: equity and free margin in USD, and where it is already engaged."""

    equity_usd: Decimal
    free_margin_usd: Decimal
    open_tokens: frozenset[str] = frozenset()
    pending_tokens: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ExpectedCost:
    """Cost of a round trip at one venue, in basis points of notional, each term by itself; see `where.costs`."""

    taker_fee_bps: Decimal
    spread_bps: Decimal
    impact_bps: Decimal
    funding_bps: Decimal
    rollover_bps: Decimal
    oracle_bps: Decimal
    close_fee_bps: Decimal
    gas_bps: Decimal

    @property
    def slippage_bps(self) -> Decimal:
        """Distance of both fills from mid: what depends on liquidity alone."""
        return self.spread_bps + self.impact_bps

    @property
    def total_bps(self) -> Decimal:
        """Sum of all terms."""
        return (
            self.taker_fee_bps
            + self.spread_bps
            + self.impact_bps
            + self.funding_bps
            + self.rollover_bps
            + self.oracle_bps
            + self.close_fee_bps
            + self.gas_bps
        )


@dataclass(frozen=True, slots=True)
class VenueAvailability:
    """One venue's answer for one trade: available or not, why, and at what expected cost."""

    venue: Venue
    is_available: bool
    reason: Reason
    detail: str = ""
    cost: ExpectedCost | None = None


@dataclass(frozen=True, slots=True)
class RouteLeg:
    """A part of a trade: its venue, and its share of the whole, above 0 and at most 1."""

    venue: Venue
    share: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class RoutingDecision:
    """The router's answer; ``selected_venue`` is None when the signal is skipped.

    ``checked`` holds every venue that was looked at, in order. ``legs`` are where the trade goes, the largest share
    first; more than one only where it is split. ``inputs`` is what this decision was made from besides the scene that
    it shares with others, so that both together give it again (R6).
    """

    requested_venue: Venue
    selected_venue: Venue | None
    reason: Reason
    story: str
    checked: tuple[VenueAvailability, ...]
    strategy: RoutingStrategy
    config_version: int
    inputs: dict[str, Any] = field(default_factory=dict)
    legs: tuple[RouteLeg, ...] = ()


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
