"""Hyperliquid as the flow sees it: `venues.protocol.Execution`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

from agentwhere_core.domain.enums import OrderSide, Venue
from agentwhere_core.domain.errors import InvariantError, RefusedError
from agentwhere_core.domain.market import Book, Candle, Market, Quote
from agentwhere_core.domain.time import to_ms
from agentwhere_core.domain.trade import (
    AccountState,
    CashFlow,
    Fill,
    OrderReport,
    OrderSpec,
    RestingOrder,
    VenueAccount,
)
from agentwhere_core.http import HttpClient
from agentwhere_core.venues.checked import parse
from agentwhere_core.venues.hyperliquid import accounts, actions, outcomes, replies, rules
from agentwhere_core.venues.hyperliquid import markets as market_data
from agentwhere_core.venues.hyperliquid.actions import Action, Authority

# Its fees are those of the base tier.
NOBODY: Final = "0x" + 40 * "0"

_Entry = TypeVar("_Entry", replies.UserFill, replies.FundingEntry, replies.LedgerEntry)


class Hyperliquid:
    """Perpetuals of Hyperliquid's own order books.

    Parameters
    ----------
    http
        Connections, with the hosts that may be reached.
    data_url, trade_url
        Base URLs for market data, and for accounts and orders; they differ where orders are simulated
        on real prices.
    is_mainnet
        Whether signatures are for mainnet; a wrong value looks to the venue like an unknown user.
    fee_address
        Whose taker fee the markets state.
    """

    venue: Venue = Venue.HYPERLIQUID
    can_execute: bool = True

    def __init__(
        self,
        http: HttpClient,
        *,
        data_url: str,
        trade_url: str,
        is_mainnet: bool,
        fee_address: str = NOBODY,
    ) -> None:
        self._http = http
        self._data_info = f"{data_url}/info"
        self._trade_info = f"{trade_url}/info"
        self._exchange = f"{trade_url}/exchange"
        self._is_mainnet = is_mainnet
        self._fee_address = fee_address

    def list_markets(self, now: datetime) -> list[Market]:
        """Return every perpetual with its context and the taker fee of ``fee_address``: two requests."""
        universe = self._http.read(self._data_info, body={"type": "metaAndAssetCtxs"})
        fees = parse(
            outcomes.SERVICE,
            "a user's fees",
            replies.USER_FEES,
            self._http.read(self._data_info, body={"type": "userFees", "user": self._fee_address}),
        )
        return market_data.market_list(universe, fees.user_cross_rate, now)

    def quotes(self, markets: Sequence[Market], now: datetime) -> dict[str, Quote]:
        """Return quotes from the venue's impact prices: one request, whatever the number of markets."""
        if not markets:
            return {}
        reply = self._http.read(self._data_info, body={"type": "metaAndAssetCtxs"})
        return market_data.quotes_of(reply, markets, now)

    def book(self, market: Market, now: datetime) -> Book | None:  # noqa: ARG002
        """Return twenty levels of each side of the book, with the venue's own time; None if a side is empty."""
        body = {"type": "l2Book", "coin": market.market_name}
        return market_data.book_of(self._http.read(self._data_info, body=body), market)

    def book_quote(self, market: Market) -> Quote | None:
        """Return the top of one market's book, or None if a side of it is empty."""
        body = {"type": "l2Book", "coin": market.market_name}
        return market_data.quote_of_book(self._http.read(self._data_info, body=body), market)

    def candles(
        self, market: Market, interval: str, start: datetime, end: datetime, now: datetime
    ) -> list[Candle]:
        """Return bars that open in [start, end), oldest first; the venue keeps the latest 5,000 of an interval."""
        request = {
            "coin": market.market_name,
            "interval": interval,
            "startTime": to_ms(start),
            "endTime": to_ms(end),
        }
        reply = self._http.read(self._data_info, body={"type": "candleSnapshot", "req": request})
        bars = market_data.candles_of(reply, market, interval, now)
        return [bar for bar in bars if start <= bar.open_time < end]

    def entry(
        self,
        market: Market,
        side: OrderSide,
        notional_usd: Decimal,
        quote: Quote,
        max_slippage_bps: Decimal,
    ) -> tuple[Decimal, Decimal]:
        """Return (size, limit price) of an entry that takes from the book; size 0 if below 10 USD."""
        price = quote.ask if side is OrderSide.BUY else quote.bid
        limit = self.limit_price(market, side, price, max_slippage_bps)
        return rules.entry_size(notional_usd, price, limit, market.size_decimals), limit

    def round_price(self, market: Market, price: Decimal) -> Decimal:
        """Return the nearest valid price."""
        return rules.round_price(price, market.size_decimals)

    def limit_price(
        self, market: Market, side: OrderSide, reference: Decimal, max_slippage_bps: Decimal
    ) -> Decimal:
        """Return the worst valid price within the bound."""
        return rules.limit_price(side, reference, max_slippage_bps, market.size_decimals)

    def sign_orders(
        self,
        specs: Sequence[OrderSpec],
        account: VenueAccount,
        key: str,
        nonce: int,
        deadline: datetime,
    ) -> bytes:
        """Return the request body that places ``specs``; see `actions.order_action` for how they are grouped."""
        return self._sign(actions.order_action(specs), Authority(account, key, nonce, deadline))

    def sign_cancel(
        self,
        specs: Sequence[OrderSpec],
        account: VenueAccount,
        key: str,
        nonce: int,
        deadline: datetime,
    ) -> bytes:
        """Return the request body that cancels ``specs`` by client id."""
        return self._sign(actions.cancel_action(specs), Authority(account, key, nonce, deadline))

    def sign_leverage(  # noqa: PLR0917 - the same tail of arguments as its siblings
        self,
        market: Market,
        leverage: int,
        account: VenueAccount,
        key: str,
        nonce: int,
        deadline: datetime,
    ) -> bytes:
        """Return the request body that sets the leverage: cross margin, or isolated where the market demands it."""
        is_cross = not market_data.is_isolated_only(market)
        action = actions.leverage_action(market.market_index, leverage, is_cross=is_cross)
        return self._sign(action, Authority(account, key, nonce, deadline))

    def sign_noop(self, account: VenueAccount, key: str, nonce: int, deadline: datetime) -> bytes:
        """Return the request body that uses up ``nonce``, so that an order signed under it can never land."""
        return self._sign(actions.noop_action(), Authority(account, key, nonce, deadline))

    def deadline(self, now: datetime, usual: timedelta) -> datetime:
        """Return ``now`` plus ``usual``: what is signed carries its own expiry."""
        return now + usual

    def next_nonce(self, account: VenueAccount) -> int | None:  # noqa: ARG002
        """Return None: any number near the time will do that was not used before."""
        return None

    def is_void(self, account: VenueAccount, payload: bytes) -> bool:  # noqa: ARG002
        """Return False: deadlines are short here, and prove it soon enough."""
        return False

    def send(self, payload: bytes, client_ids: Sequence[str], now: datetime) -> list[OrderReport]:  # noqa: ARG002
        """Post signed bytes once; see `venues.protocol.Execution.send`."""
        try:
            reply = self._http.write(self._exchange, payload)
        except RefusedError as error:
            if not client_ids:
                raise
            return [outcomes.report_of_refused_request(c, str(error)) for c in client_ids]
        if not client_ids:
            outcomes.require_accepted(reply)
            return []
        sizes = actions.sizes_in(payload)
        missing = [client_id for client_id in client_ids if client_id not in sizes]
        if missing:
            raise InvariantError(f"the payload that was sent holds no order {', '.join(missing)}")
        return outcomes.reports_of_reply(reply, sizes, client_ids)

    def sign_abort(self, account: VenueAccount, key: str, payload: bytes) -> bytes | None:  # noqa: ARG002
        """Return None: bytes are void after their deadline, and an order that was accepted ends by itself."""
        return None

    def look_up(
        self,
        account: VenueAccount,
        client_id: str,
        payload: bytes = b"",  # noqa: ARG002 - the venue knows client ids
    ) -> OrderReport | None:
        """Return what the venue knows of an order, with its average price from its fills; None if it never saw it."""
        body = {"type": "orderStatus", "user": account.address, "oid": client_id}
        answer = parse(
            outcomes.SERVICE,
            "an order's status",
            replies.ORDER_STATUS,
            self._http.read(self._trade_info, body=body),
        )
        if isinstance(answer, replies.UnknownOrder):
            return None
        known = answer.order
        fills: list[replies.UserFill] = []
        if outcomes.may_have_fills(known):
            since = known.order.timestamp
            fills = [f for f in self._all_fills(account, since) if f.oid == known.order.oid]
        return outcomes.report_of_status(client_id, known, fills)

    def account_state(self, account: VenueAccount, now: datetime) -> AccountState:
        """Return balances and positions."""
        body = {"type": "clearinghouseState", "user": account.address, "dex": ""}
        reply = self._http.read(self._trade_info, body=body)
        return accounts.account_state(reply, account.address, now)

    def resting_orders(self, account: VenueAccount) -> list[RestingOrder]:
        """Return what rests in the perpetuals that we list, triggers included: one request."""
        body = {"type": "frontendOpenOrders", "user": account.address, "dex": ""}
        reply = self._http.read(self._trade_info, body=body)
        listed = parse(outcomes.SERVICE, "a list of open orders", replies.OPEN_ORDERS, reply)
        return [accounts.resting_order(order) for order in listed if accounts.is_listed(order.coin)]

    def fills(self, account: VenueAccount, since: datetime) -> list[Fill]:
        """Return every fill of a perpetual since ``since``, oldest first."""
        found = self._all_fills(account, to_ms(since))
        return [accounts.fill_of(fill, account) for fill in found if accounts.is_listed(fill.coin)]

    def cash_flows(self, account: VenueAccount, since: datetime) -> list[CashFlow]:
        """Return funding, deposits and withdrawals of the perpetuals account since ``since``, oldest first."""
        funding = self._pages(
            {"type": "userFunding", "user": account.address},
            to_ms(since),
            replies.FUNDING,
            lambda entry: (entry.time, entry.delta.coin),
        )
        ledger = self._pages(
            {"type": "userNonFundingLedgerUpdates", "user": account.address},
            to_ms(since),
            replies.LEDGER,
            lambda entry: (entry.time, entry.hash, entry.delta),
        )
        flows = accounts.funding_flows(funding, account) + accounts.transfer_flows(ledger, account)
        return sorted(flows, key=lambda flow: flow.at)

    def _sign(self, action: Action, authority: Authority) -> bytes:
        return actions.signed(action, authority, is_mainnet=self._is_mainnet)

    def _all_fills(self, account: VenueAccount, since_ms: int) -> list[replies.UserFill]:
        body = {"type": "userFillsByTime", "user": account.address, "aggregateByTime": False}
        return self._pages(body, since_ms, replies.FILLS, lambda fill: fill.tid)

    def _pages(
        self,
        body: dict[str, Any],
        since_ms: int,
        shape: TypeAdapter[list[_Entry]],
        identity: Callable[[_Entry], Hashable],
    ) -> list[_Entry]:
        """Return all entries since ``since_ms``, each once, oldest first.

        The venue cuts a long answer off without saying so. So the next page starts at the last entry's millisecond,
        which may be cut in the middle, until a page brings nothing new.
        """
        found: dict[Hashable, _Entry] = {}
        start = since_ms
        while True:
            reply = self._http.read(self._trade_info, body={**body, "startTime": start})
            page = parse(outcomes.SERVICE, f"a list of {body['type']}", shape, reply)
            fresh = {identity(entry): entry for entry in page}
            if not fresh.keys() - found.keys():
                return sorted(found.values(), key=lambda entry: entry.time)
            found |= fresh
            start = max(entry.time for entry in page)
