"""What the flow asks of a venue.

``MarketData`` is spoken by every venue. ``Execution`` is spoken by the venues that can trade; an adapter says so with
``can_execute``. Adapters do I/O and arithmetic of the venue's own rules, and decide nothing: what to trade, when to
retry and what a lost answer means is settled by the flow and the order state machine.

Errors are those of ``domain.errors``: `UnreachableError` means that nothing was sent; `TimedOutError`,
`ServerFaultError` and `MalformedReplyError` after a send mean that the outcome is unclear.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from agentwhere_core.domain.enums import OrderSide, Venue
from agentwhere_core.domain.market import Book, Candle, Market, Quote
from agentwhere_core.domain.trade import (
    AccountState,
    CashFlow,
    Fill,
    OrderReport,
    OrderSpec,
    RestingOrder,
    VenueAccount,
)


class MarketData(Protocol):
    """Public data of a venue."""

    venue: Venue
    can_execute: bool

    def list_markets(self, now: datetime) -> list[Market]:
        """Return every market that the venue lists, with prices and activity as it states them."""
        ...

    def quotes(self, markets: Sequence[Market], now: datetime) -> dict[str, Quote]:
        """Return current quotes by token, in as few requests as the venue allows; unknown tokens are absent."""
        ...

    def book(self, market: Market, now: datetime) -> Book | None:
        """Return the market's order book as deep as one request shows it.

        None where a side of it is empty, or where the venue has no books.
        """
        ...

    def candles(
        self, market: Market, interval: str, start: datetime, end: datetime, now: datetime
    ) -> list[Candle]:
        """Return bars of ``market`` whose open time lies in [start, end), oldest first; empty where not offered."""
        ...


class Execution(MarketData, Protocol):
    """Private side of a venue."""

    def entry(
        self,
        market: Market,
        side: OrderSide,
        notional_usd: Decimal,
        quote: Quote,
        max_slippage_bps: Decimal,
    ) -> tuple[Decimal, Decimal]:
        """Return (size, limit price) of a market-like entry by the venue's rules; size 0 if below its minimum."""
        ...

    def round_price(self, market: Market, price: Decimal) -> Decimal:
        """Return the nearest price that the venue accepts."""
        ...

    def limit_price(
        self, market: Market, side: OrderSide, reference: Decimal, max_slippage_bps: Decimal
    ) -> Decimal:
        """Return the worst price to accept from ``reference`` on: never beyond the bound, and valid at the venue.

        For exits (``reference`` is the bid or ask that is hit), and for the limit of a protective order, where
        ``reference`` is its trigger and the bound is wide: an order that has been triggered must fill.
        """
        ...

    def sign_orders(
        self,
        specs: Sequence[OrderSpec],
        account: VenueAccount,
        key: str,
        nonce: int,
        deadline: datetime,
    ) -> bytes:
        """Return the exact request body for ``specs``: an entry with its protection, or single orders."""
        ...

    def sign_cancel(
        self,
        specs: Sequence[OrderSpec],
        account: VenueAccount,
        key: str,
        nonce: int,
        deadline: datetime,
    ) -> bytes:
        """Return the exact request body that cancels the orders of ``specs`` by client id."""
        ...

    def sign_leverage(  # noqa: PLR0917 - the same tail of arguments as its siblings
        self,
        market: Market,
        leverage: int,
        account: VenueAccount,
        key: str,
        nonce: int,
        deadline: datetime,
    ) -> bytes | None:
        """Return the exact request body of what must stand before an entry in a market; twice is harmless.

        That is the account's leverage there, or the right to take its collateral. None where nothing is missing.
        """
        ...

    def sign_abort(self, account: VenueAccount, key: str, payload: bytes) -> bytes | None:
        """Return the request body that ends a submission which hangs, or None where there is nothing to end.

        Asked once a submission's deadline has passed without a final answer. Bytes that could still arrive are made
        void, and an order that the venue left alone is called back. None says that its absence is already certain, or
        that it must be waited for.
        """
        ...

    def deadline(self, now: datetime, usual: timedelta) -> datetime:
        """Return until when the venue may act on bytes that are signed at ``now``.

        ``usual`` is how long the operator wants it to be; some venues' signers fix it themselves.
        """
        ...

    def next_nonce(self, account: VenueAccount) -> int | None:
        """Return the nonce that the venue expects next from the account's signer.

        None means that any number will do which is larger than those before: the ledger then takes the time. Where the
        venue counts, it is asked before each signature, so that a nonce whose request never arrived is used again
        instead of leaving a gap. Two requests under one nonce exclude each other.
        """
        ...

    def is_void(self, account: VenueAccount, payload: bytes) -> bool:
        """Return whether the venue proves that signed bytes can never act again, before their deadline.

        True only on evidence, such as another request that used up their nonce.
        """
        ...

    def send(self, payload: bytes, client_ids: Sequence[str], now: datetime) -> list[OrderReport]:
        """Post signed bytes, and return one report per client id, in order.

        An order that ended partly filled is CANCELLED with its filled size. A definite refusal of the whole request is
        reported as REJECTED for each. Sending the same bytes twice is safe; but a refusal of the second sending
        says nothing of the first, so after a resend only a lookup settles REJECTED.

        Without client ids (a cancel, a leverage) the list is empty, and a refusal of the request is raised as
        `RefusedError`.
        """
        ...

    def look_up(self, account: VenueAccount, client_id: str, payload: bytes) -> OrderReport | None:
        """Return what the venue knows of the order, or None if it never saw it.

        ``payload`` is the request body that carried the order; some venues know their orders by nothing else.
        """
        ...

    def account_state(self, account: VenueAccount, now: datetime) -> AccountState:
        """Return balances and positions as the venue holds them."""
        ...

    def resting_orders(self, account: VenueAccount) -> list[RestingOrder]:
        """Return everything that rests for the account in the markets that the adapter lists, read at once.

        That is orders in the book, triggers, and prices that a position carries. What waits for its entry to fill does
        not rest yet.
        """
        ...

    def fills(self, account: VenueAccount, since: datetime) -> list[Fill]:
        """Return every fill since ``since``, oldest first, through all pages."""
        ...

    def cash_flows(self, account: VenueAccount, since: datetime) -> list[CashFlow]:
        """Return funding, deposits and withdrawals since ``since``, oldest first."""
        ...
