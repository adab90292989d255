"""The marketplace: agents, their figures, and the sources that they follow."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from pydantic import Field

from agentwhere_app.api.models.base import Told
from agentwhere_core.domain.enums import AgentStatus, SourceKind, Venue


class WindowFigures(Told):
    """Figures of one window; null where the history is too short to tell."""

    total_return: float | None
    apr: float | None
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sharpe_low: float | None
    sharpe_high: float | None
    sortino: float | None
    max_drawdown: float | None
    profit_factor: float | None
    win_rate: float | None
    days: int = Field(description="Sample size: days of history in the window.")


class AgentFigures(Told):
    """Figures by window."""

    d30: WindowFigures = Field(alias="30d")
    d90: WindowFigures = Field(alias="90d")
    si: WindowFigures = Field(description="Since inception.")


class Agent(Told):
    """An agent as the marketplace shows it."""

    id: UUID
    name: str
    creator_wallet: str
    venue: Venue
    status: AgentStatus
    leverage: Decimal
    stop_loss_pct: Decimal | None
    take_profit_pct: Decimal | None
    trailing_activation_pct: Decimal | None
    trailing_distance_pct: Decimal | None
    max_holding_h: Decimal | None
    created_at: datetime
    active_deployments: int
    arena: bool = Field(description="A model of the arena, not a creator's agent.")
    figures: AgentFigures
    net_pnl_usd: Decimal | None
    equity_usd: Decimal | None
    closed_positions: int | None
    computed_at: datetime | None


class ListedAgent(Agent):
    """An agent in the list."""

    sparkline: list[float] = Field(description="What one dollar became, by day.")


class AgentPage(Told):
    """Some agents; ``next`` continues the list."""

    items: list[ListedAgent]
    next: str | None


class EquityDay(Told):
    """One UTC day."""

    day: date
    equity_usd: Decimal
    pnl_usd: Decimal
    index: float = Field(description="What one dollar became since inception.")


class FullAgent(Agent):
    """An agent with everything that is public of it."""

    x_accounts: list[str]
    feeds: list[str]
    equity: list[EquityDay]


class Source(Told):
    """The track record of an X account or a feed."""

    source_id: UUID
    source_kind: SourceKind
    name: str | None
    signals: int
    closed: int
    hits: int
    hit_rate: Decimal | None
    hit_rate_low: Decimal | None
    hit_rate_high: Decimal | None
    pnl_usd: Decimal
    weight: Decimal
    computed_at: datetime


class Sources(Told):
    """All sources, the heaviest first."""

    items: list[Source]
