"""The arena's vocabulary: models, what they are shown, what they ask for, and what became of it.

Prices and quantities are in units of the canonical token (one PEPE, not one kPEPE), so that a model thinks the same of
every venue. What a model is shown is held as text, rounded once: the prompt is made of it bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from agentwhere_core.domain.enums import Side, Venue
from agentwhere_core.domain.reasons import Reason

BASELINE_PREFIX: Final = "baseline/"
DEFAULT_INTERVAL_S: Final = 300
MIN_INTERVAL_S: Final = 5


class ModelStatus(StrEnum):
    """Only ACTIVE models are invoked."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


class InvocationState(StrEnum):
    """Life of an invocation: asked, its tool calls stored, then executed; or it ended without a decision."""

    ASKING = "ASKING"
    DECIDED = "DECIDED"
    DONE = "DONE"
    FAILED = "FAILED"
    INTERRUPTED = "INTERRUPTED"

    @property
    def is_running(self) -> bool:
        """Whether a process is, or was when it died, at work on it."""
        return self in {InvocationState.ASKING, InvocationState.DECIDED}


class ToolCallType(StrEnum):
    """What a tool call asks for; UNKNOWN ones name no tool of ours."""

    CREATE_POSITION = "CREATE_POSITION"
    CLOSE_POSITION = "CLOSE_POSITION"
    UNKNOWN = "UNKNOWN"


class ToolCallStatus(StrEnum):
    """REFUSED calls are never executed; ACCEPTED ones are until the ledger says how they ended."""

    REFUSED = "REFUSED"
    ACCEPTED = "ACCEPTED"
    EXECUTED = "EXECUTED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class TraderModel:
    """A trader of the arena.

    Parameters
    ----------
    id, name
        Its key, and its unique name.
    openrouter_model
        The provider's name of the language model, or ``baseline/…`` for a rule of ours.
    agent_id, deployment_id
        The agent and deployment through which it trades, so that policy, routing and ledger apply as to everyone.
    markets
        Canonical tokens that it may trade, in the order in which it is shown them.
    leverage
        Leverage by token; 1 where none is given.
    interval_s
        Seconds between invocations.
    budget_usd_per_day
        Most to spend on the provider per UTC day; None for no limit.
    due_at
        When it is to be invoked next.
    skipped
        Invocations that were left out because the one before was still at work.
    """

    id: UUID
    name: str
    openrouter_model: str
    agent_id: UUID
    deployment_id: UUID
    venue: Venue
    markets: tuple[str, ...]
    leverage: Mapping[str, Decimal]
    interval_s: int
    budget_usd_per_day: Decimal | None
    status: ModelStatus
    due_at: datetime
    created_at: datetime
    skipped: int = 0

    @property
    def is_baseline(self) -> bool:
        """Whether a rule of ours decides, and not a language model."""
        return self.openrouter_model.startswith(BASELINE_PREFIX)

    @property
    def interval(self) -> timedelta:
        """Time between invocations."""
        return timedelta(seconds=self.interval_s)

    def leverage_for(self, token: str) -> Decimal:
        """Return the leverage that the model trades ``token`` with."""
        return self.leverage.get(token, Decimal(1))

    def next_due(self, now: datetime) -> datetime:
        """Return the first full interval, counted from the epoch, that lies after ``now``."""
        passed = int(now.timestamp() // self.interval_s)
        return datetime.fromtimestamp((passed + 1) * self.interval_s, now.tzinfo)


@dataclass(frozen=True, slots=True)
class Series:
    """Indicators of one market at one interval, as text, oldest first; only closed candles are in them.

    ``mids`` are the middles between each candle's open and close; the indicators are made of closes.
    """

    interval: str
    closed_at: str
    mids: tuple[str, ...]
    ema20: tuple[str, ...]
    macd: tuple[str, ...]
    macd_signal: tuple[str, ...]
    rsi14: tuple[str, ...]
    atr14: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MarketScene:
    """One market as a model sees it; ``mid`` in USD per token."""

    token: str
    mid: str
    leverage: str
    max_leverage: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class HeldScene:
    """An open position as a model sees it."""

    position_id: str | None
    token: str
    side: Side
    quantity: str
    entry_price: str
    mark_price: str
    unrealized_pnl_usd: str
    stop_loss: str | None
    take_profit: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one invocation was shown: the prompt is a function of this alone.

    ``capital_usd`` is what one position's share is counted on: the deployment's capital, or the equity if that is less.
    """

    invocation: int
    minutes_since_start: int
    at: str
    account_value_usd: str
    available_cash_usd: str
    capital_usd: str
    positions: tuple[HeldScene, ...]
    markets: tuple[MarketScene, ...]

    def market(self, token: str) -> MarketScene | None:
        """Return the market of ``token``, or None where the model is not shown it."""
        return next((market for market in self.markets if market.token == token), None)

    def holds(self, token: str) -> bool:
        """Return whether there is a position in ``token``."""
        return any(held.token == token for held in self.positions)


@dataclass(frozen=True, slots=True)
class RawCall:
    """A tool call as the provider sent it: ``arguments`` is text that should be JSON."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CreatePosition:
    """A wish to open a position of ``quantity`` tokens; prices in USD per token."""

    token: str
    side: Side
    quantity: Decimal
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    leverage: Decimal | None = None
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class ClosePositions:
    """A wish to close everything; ``position_ids`` are those that the model was shown."""

    position_ids: tuple[UUID, ...] = ()
    reasoning: str = ""


Wish = CreatePosition | ClosePositions


@dataclass(frozen=True, slots=True)
class Verdict:
    """A tool call and what validation says of it: a wish to be executed, or the reason why not."""

    raw: RawCall
    round: int
    kind: ToolCallType
    wish: Wish | None
    reason: Reason | None = None
    detail: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the call will be executed."""
        return self.wish is not None


@dataclass(frozen=True, slots=True)
class Usage:
    """What asking took: tokens and money summed over the questions, and the time until the last answer."""

    provider_model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal | None = None
    latency_ms: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """How an invocation ended at the provider: verdicts on its tool calls, or the reason for none.

    ``response`` is what the model said in words; ``replies`` are the provider's, as they came.
    """

    verdicts: tuple[Verdict, ...]
    response: str
    usage: Usage
    reason: Reason | None = None
    error: str | None = None
    replies: tuple[dict[str, Any], ...] = field(default=())
