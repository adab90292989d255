"""What Lighter answers, as far as we read it (models of lighter-sdk 1.1.8; recorded answers where they exist)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from agentwhere_core.venues.checked import PlainWire

SERVICE: Final = "lighter"
OK: Final = 200


class Answer(PlainWire):
    """What every answer has: 200, or the code of a refusal."""

    code: int
    message: str | None = None


class Kept(BaseModel):
    """Base of entries that are kept as evidence, with every field that the venue sent."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def raw(self) -> dict[str, Any]:
        """Return the entry as it came, ready to be stored."""
        return self.model_dump(mode="json")


class MarketConfig(PlainWire):
    """Switches of a market."""

    force_reduce_only: bool = False
    hidden: bool = False
    trading_hours: str = ""


class Detail(PlainWire):
    """A market with its decimals, minimums and figures of the day."""

    symbol: str
    market_id: int
    market_type: str = "perp"
    status: str
    taker_fee: Decimal
    is_taker_fee_enabled: bool = True
    min_base_amount: Decimal
    min_quote_amount: Decimal
    size_decimals: int
    price_decimals: int
    min_initial_margin_fraction: int
    default_initial_margin_fraction: int
    last_trade_price: Decimal
    daily_quote_token_volume: Decimal
    daily_price_change: Decimal
    open_interest: Decimal
    market_config: MarketConfig = MarketConfig()


class Details(Answer):
    """All markets."""

    order_book_details: list[Detail]


class Bar(PlainWire):
    """One candle: when it opened in milliseconds, its prices, and the volume in units of the base.

    The venue leaves out what is zero, which only a volume can be.
    """

    open_ms: int = Field(alias="t")
    open: Decimal = Field(alias="o")
    high: Decimal = Field(alias="h")
    low: Decimal = Field(alias="l")
    close: Decimal = Field(alias="c")
    volume: Decimal = Field(default=Decimal(0), alias="v")


class Bars(Answer):
    """Candles of one market and resolution."""

    bars: list[Bar] = Field(default_factory=list, alias="c")


class BookOrder(PlainWire):
    """An order in a book."""

    price: Decimal
    remaining_base_amount: Decimal


class Book(Answer):
    """The best orders of a market."""

    asks: list[BookOrder]
    bids: list[BookOrder]


class Nonce(Answer):
    """The nonce that an API key must use next."""

    nonce: int


class Accepted(Answer):
    """A transaction that got its place in the queue; nothing more."""

    tx_hash: str | list[str]
    predicted_execution_time_ms: int = 0


class Order(Kept):
    """An account's order."""

    order_index: int
    client_order_index: int
    status: str
    initial_base_amount: Decimal
    filled_base_amount: Decimal
    filled_quote_amount: Decimal


class Orders(Answer):
    """A page of an account's orders."""

    orders: list[Order]
    next_cursor: str | None = None


class ActiveOrder(PlainWire):
    """An order that rests; a trigger that is tied to its position has no amount."""

    order_index: int
    client_order_index: int
    market_index: int
    remaining_base_amount: Decimal
    is_ask: bool
    type: str
    reduce_only: bool
    trigger_price: Decimal
    trigger_status: str


class ActiveOrders(Answer):
    """All orders of an account that rest."""

    orders: list[ActiveOrder]


class Transaction(PlainWire):
    """A transaction that the venue knows."""

    api_key_index: int
    nonce: int
    info: str
    status: int


class Transactions(Answer):
    """The newest transactions of an account."""

    txs: list[Transaction]


class Trade(Kept):
    """An execution, with both of its sides."""

    trade_id: int
    type: str
    market_id: int
    size: Decimal
    price: Decimal
    usd_amount: Decimal
    timestamp: int
    ask_id: int
    bid_id: int
    ask_client_id: int
    bid_client_id: int
    ask_account_id: int
    bid_account_id: int
    is_maker_ask: bool
    ask_account_pnl: Decimal = Decimal(0)
    bid_account_pnl: Decimal = Decimal(0)
    taker_fee: int = 0
    maker_fee: int = 0


class Trades(Answer):
    """A page of executions, newest first."""

    trades: list[Trade]
    next_cursor: str | None = None


class HeldPosition(PlainWire):
    """An account's position; ``sign`` is -1 for a short, ``initial_margin_fraction`` is percent."""

    symbol: str
    sign: Literal[-1, 0, 1]
    position: Decimal
    avg_entry_price: Decimal
    unrealized_pnl: Decimal
    liquidation_price: Decimal
    initial_margin_fraction: Decimal


class Account(PlainWire):
    """An account's money and positions."""

    l1_address: str
    available_balance: Decimal
    total_asset_value: Decimal
    positions: list[HeldPosition]


class Accounts(Answer):
    """The accounts that were asked for."""

    accounts: list[Account]


class Funding(PlainWire):
    """A funding payment: ``change`` is what the account received, negative when it paid."""

    timestamp: int
    market_id: int
    funding_id: int
    change: Decimal


class Fundings(Answer):
    """A page of funding payments, newest first."""

    position_fundings: list[Funding]
    next_cursor: str | None = None


class Transfer(PlainWire):
    """A deposit or a withdrawal."""

    id: str
    amount: Decimal
    timestamp: int
    status: str
    asset_id: int


class Deposits(Answer):
    """A page of deposits."""

    deposits: list[Transfer]
    cursor: str | None = None


class Withdrawals(Answer):
    """A page of withdrawals."""

    withdraws: list[Transfer]
    cursor: str | None = None


ANSWER = TypeAdapter(Answer)
DETAILS = TypeAdapter(Details)
BOOK = TypeAdapter(Book)
BARS = TypeAdapter(Bars)
NONCE = TypeAdapter(Nonce)
ACCEPTED = TypeAdapter(Accepted)
ORDERS = TypeAdapter(Orders)
ACTIVE_ORDERS = TypeAdapter(ActiveOrders)
TRANSACTIONS = TypeAdapter(Transactions)
TRADES = TypeAdapter(Trades)
ACCOUNTS = TypeAdapter(Accounts)
FUNDINGS = TypeAdapter(Fundings)
DEPOSITS = TypeAdapter(Deposits)
WITHDRAWALS = TypeAdapter(Withdrawals)
