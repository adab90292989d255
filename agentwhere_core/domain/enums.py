"""Closed sets of words, stored in the database as TEXT with a CHECK."""

from __future__ import annotations

from enum import StrEnum


class Venue(StrEnum):
    """Where a trade can be made; ``MULTI`` means that routing is still to decide."""

    SPOT = "SPOT"
    GMX = "GMX"
    HYPERLIQUID = "HYPERLIQUID"
    OSTIUM = "OSTIUM"
    LIGHTER = "LIGHTER"
    MULTI = "MULTI"


class Side(StrEnum):
    """Direction of a signal or a position."""

    LONG = "LONG"
    SHORT = "SHORT"

    @property
    def sign(self) -> int:
        """+1 for LONG, −1 for SHORT."""
        return 1 if self is Side.LONG else -1

    @property
    def opposite(self) -> Side:
        """The other direction."""
        return Side.SHORT if self is Side.LONG else Side.LONG

    @property
    def opening(self) -> OrderSide:
        """Order side that opens a position in this direction."""
        return OrderSide.BUY if self is Side.LONG else OrderSide.SELL

    @property
    def closing(self) -> OrderSide:
        """Order side that closes a position in this direction."""
        return OrderSide.SELL if self is Side.LONG else OrderSide.BUY


class OrderSide(StrEnum):
    """What an order does to the book."""

    BUY = "BUY"
    SELL = "SELL"


class AgentStatus(StrEnum):
    """Life of an agent; only ACTIVE agents produce signals."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


class DeploymentStatus(StrEnum):
    """Life of a deployment; HALTED means that its own loss limit stopped it."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    HALTED = "HALTED"


class SourceKind(StrEnum):
    """Where posts come from."""

    X = "X"
    FEED = "FEED"


class PostState(StrEnum):
    """PENDING posts wait for the classifier; after it answered they are CLASSIFIED.

    EXPIRED ones grew too old for a signal before it did: nobody pays for their answer any more.
    """

    PENDING = "PENDING"
    CLASSIFIED = "CLASSIFIED"
    EXPIRED = "EXPIRED"


class Horizon(StrEnum):
    """Holding time that an author has in mind."""

    INTRADAY = "INTRADAY"
    SWING = "SWING"
    POSITION = "POSITION"


class PolicyOutcome(StrEnum):
    """What a deployment's policy did with a signal."""

    PASSED = "PASSED"
    ADJUSTED = "ADJUSTED"
    REFUSED = "REFUSED"


class RoutingStrategy(StrEnum):
    """How a venue is chosen among those that are available."""

    FIRST_AVAILABLE = "FIRST_AVAILABLE"
    BEST_LIQUIDITY = "BEST_LIQUIDITY"
    LOWEST_FEES = "LOWEST_FEES"
    SPLIT = "SPLIT"


class OrderPurpose(StrEnum):
    """Why an order exists."""

    ENTRY = "ENTRY"
    TAKE_PROFIT = "TAKE_PROFIT"
    STOP_LOSS = "STOP_LOSS"
    EXIT = "EXIT"


class OrderState(StrEnum):
    """Life of an order in the ledger; see ``execution.orders`` for the allowed moves."""

    PLANNED = "PLANNED"
    SENDING = "SENDING"
    ACKED = "ACKED"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


class PositionStatus(StrEnum):
    """A position is OPEN until its fills net to zero."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class ProtectionState(StrEnum):
    """How an open position is protected at its venue; see ``execution.protection``."""

    PENDING = "PENDING"
    PROTECTED = "PROTECTED"
    MISSING = "MISSING"
    CLOSING = "CLOSING"
    WAIVED = "WAIVED"
    OUTSIDE = "OUTSIDE"


class UntrackedCause(StrEnum):
    """Why an account's fills in a token are not made into positions."""

    OLDER_POSITION = "OLDER_POSITION"
    FILLS_CONTRADICT = "FILLS_CONTRADICT"


class ExitReason(StrEnum):
    """Why a position was closed."""

    TAKE_PROFIT = "TAKE_PROFIT"
    STOP_LOSS = "STOP_LOSS"
    TRAILING_STOP = "TRAILING_STOP"
    MAX_HOLDING_TIME = "MAX_HOLDING_TIME"
    LIQUIDATION_DISTANCE = "LIQUIDATION_DISTANCE"
    LIQUIDATED = "LIQUIDATED"
    KILL_SWITCH = "KILL_SWITCH"
    UNPROTECTED = "UNPROTECTED"
    CLOSED_OUTSIDE = "CLOSED_OUTSIDE"
    MANUAL = "MANUAL"


class CashFlowKind(StrEnum):
    """Money that moves without a fill."""

    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    FUNDING = "FUNDING"


class HealthStatus(StrEnum):
    """State of a component, worst last."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 healthy, 1 degraded, 2 critical."""
        return list(HealthStatus).index(self)


class Severity(StrEnum):
    """How much an alert matters."""

    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class KillScope(StrEnum):
    """How far a kill switch reaches."""

    GLOBAL = "GLOBAL"
    AGENT = "AGENT"
    DEPLOYMENT = "DEPLOYMENT"
    VENUE = "VENUE"


class Scope(StrEnum):
    """What an API key may do; every scope includes reading."""

    READ = "read"
    OPERATE = "operate"
    TRADE = "trade"
