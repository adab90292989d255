"""Shapes of Hyperliquid's answers, as far as we read them.

Sources: recordings of the public ``/info`` endpoint and the SDK's type definitions. Numbers are strings on the wire.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pydantic import Field, TypeAdapter

from agentwhere_core.venues.checked import KeptWire, Wire


class Asset(Wire):
    """One perpetual of the universe; its index in the list is its asset id."""

    name: str
    sz_decimals: int
    max_leverage: int
    only_isolated: bool = False
    is_delisted: bool = False
    margin_mode: str | None = None


class Meta(Wire):
    """The universe."""

    universe: list[Asset]


class AssetContext(Wire):
    """What one perpetual does now; prices are null where it does not trade."""

    mark_px: Decimal
    mid_px: Decimal | None = None
    prev_day_px: Decimal
    day_ntl_vlm: Decimal
    open_interest: Decimal
    funding: Decimal
    impact_pxs: tuple[Decimal, Decimal] | None = None
    oracle_px: Decimal | None = None


class UserFees(Wire):
    """Rates of one user, as fractions."""

    user_cross_rate: Decimal
    user_add_rate: Decimal


class Level(Wire):
    """One price level of a book."""

    px: Decimal
    sz: Decimal


class Book(Wire):
    """Bids, best first, and asks, best first."""

    coin: str
    time: int
    levels: tuple[list[Level], list[Level]]


class Bar(Wire):
    """One candle; ``t`` and ``T`` are its first and last millisecond."""

    open_ms: int = Field(alias="t")
    close_ms: int = Field(alias="T")
    open: Decimal = Field(alias="o")
    high: Decimal = Field(alias="h")
    low: Decimal = Field(alias="l")
    close: Decimal = Field(alias="c")
    volume: Decimal = Field(alias="v")


class MarginSummary(Wire):
    """Value of an account and the margin that its positions use, in USD."""

    account_value: Decimal
    total_margin_used: Decimal


class Leverage(Wire):
    """Leverage of one position."""

    type: str
    value: Decimal


class HeldPosition(Wire):
    """One position; ``szi`` is negative for a short."""

    coin: str
    szi: Decimal
    entry_px: Decimal | None = None
    leverage: Leverage
    unrealized_pnl: Decimal
    liquidation_px: Decimal | None = None


class AssetPosition(Wire):
    """A position and how it is held."""

    position: HeldPosition


class ClearinghouseState(Wire):
    """An account, as the venue sees it."""

    asset_positions: list[AssetPosition]
    margin_summary: MarginSummary
    cross_margin_summary: MarginSummary


class Liquidation(KeptWire):
    """Added to fills that a liquidation made, on both sides."""

    liquidated_user: str | None = None


class UserFill(KeptWire):
    """One execution; ``fee`` includes what a builder took, and is negative for a rebate."""

    coin: str
    px: Decimal
    sz: Decimal
    side: Literal["A", "B"]
    time: int
    closed_pnl: Decimal
    oid: int
    tid: int
    fee: Decimal
    cloid: str | None = None
    fee_token: str = "USDC"
    liquidation: Liquidation | None = None


class FundingDelta(Wire):
    """A funding payment; ``usdc`` is negative when paid."""

    type: Literal["funding"]
    coin: str
    usdc: Decimal


class FundingEntry(Wire):
    """A funding payment and its time."""

    time: int
    delta: FundingDelta


class LedgerDelta(Wire):
    """Any movement of money that is neither a fill nor funding; which fields are there depends on ``type``."""

    type: str
    usdc: Decimal | None = None
    fee: Decimal | None = None
    to_perp: bool | None = None
    user: str | None = None
    destination: str | None = None
    net_withdrawn_usd: Decimal | None = None
    token: str | None = None
    amount: Decimal | None = None
    source_dex: str | None = None
    destination_dex: str | None = None


class LedgerEntry(Wire):
    """A ledger movement and its time."""

    time: int
    hash: str
    delta: LedgerDelta


class OrderDetails(KeptWire):
    """An order as ``orderStatus`` shows it; ``sz`` is what remains, ``orig_sz`` what was asked for."""

    coin: str
    side: Literal["A", "B"]
    limit_px: Decimal
    sz: Decimal
    orig_sz: Decimal
    oid: int
    timestamp: int
    cloid: str | None = None


class OpenOrder(Wire):
    """An order that rests, as ``frontendOpenOrders`` shows it; ``trigger_px`` is zero for one without a trigger."""

    coin: str
    side: Literal["A", "B"]
    sz: Decimal
    oid: int
    cloid: str | None = None
    order_type: str
    is_trigger: bool
    trigger_px: Decimal
    is_position_tpsl: bool = False
    reduce_only: bool


class OrderWithStatus(KeptWire):
    """An order and what became of it."""

    order: OrderDetails
    status: str
    status_timestamp: int


class KnownOrder(Wire):
    """The answer of ``orderStatus`` about an order that the venue has seen."""

    status: Literal["order"]
    order: OrderWithStatus


class UnknownOrder(Wire):
    """The answer of ``orderStatus`` about an order that the venue never accepted."""

    status: Literal["unknownOid"]


class FilledStatus(KeptWire):
    """An order that matched at once."""

    total_sz: Decimal
    avg_px: Decimal
    oid: int


class RestingStatus(KeptWire):
    """An order that went into the book."""

    oid: int


class Filled(KeptWire):
    """Status of a placed order: it matched."""

    filled: FilledStatus


class Resting(KeptWire):
    """Status of a placed order: it rests."""

    resting: RestingStatus


class Failed(Wire):
    """Status of a placed order: it was refused."""

    error: str


Placed = Filled | Resting | Failed | Literal["waitingForFill", "waitingForTrigger"]


class Statuses(Wire):
    """One status per order of a request; a failed check of the whole batch may come as one error."""

    statuses: list[Placed]


class OrderResponse(Wire):
    """What an order request did."""

    type: Literal["order"]
    data: Statuses


class Accepted(Wire):
    """A request that the venue acted on."""

    status: Literal["ok"]
    response: dict[str, Any]


class Refused(Wire):
    """A request that the venue refused as a whole, with HTTP 200."""

    status: Literal["err"]
    response: str


MARKETS: TypeAdapter[tuple[Meta, list[AssetContext]]] = TypeAdapter(tuple[Meta, list[AssetContext]])
USER_FEES = TypeAdapter(UserFees)
BOOK = TypeAdapter(Book)
BARS = TypeAdapter(list[Bar])
STATE = TypeAdapter(ClearinghouseState)
FILLS = TypeAdapter(list[UserFill])
FUNDING = TypeAdapter(list[FundingEntry])
LEDGER = TypeAdapter(list[LedgerEntry])
OPEN_ORDERS = TypeAdapter(list[OpenOrder])
ORDER_STATUS: TypeAdapter[KnownOrder | UnknownOrder] = TypeAdapter(KnownOrder | UnknownOrder)
EXCHANGE: TypeAdapter[Accepted | Refused] = TypeAdapter(Accepted | Refused)
ORDER_RESPONSE = TypeAdapter(OrderResponse)
