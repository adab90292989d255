"""Lighter as the flow sees it: `venues.protocol.Execution`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from agentwhere_core.domain.enums import OrderSide, Venue
from agentwhere_core.domain.errors import InvariantError, RefusedError, RemoteError
from agentwhere_core.domain.market import Book, Candle, Market, Quote
from agentwhere_core.domain.time import Clock, to_ms, utc_now
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
from agentwhere_core.venues.lighter import accounts, outcomes, replies, rules, transactions
from agentwhere_core.venues.lighter import markets as market_data
from agentwhere_core.venues.lighter.reader import Reader
from agentwhere_core.venues.lighter.signer import ApiKey, Signer
from agentwhere_core.venues.lighter.transactions import Authority

# Each book is a request, and a standard account has 60 a minute.
_BOOKS_AT_ONCE = 10
_BARS_AT_ONCE = 500
_CANDLES: Final = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "12h": timedelta(hours=12),
    "1d": timedelta(days=1),
}
# Orders of each side that a whole book is asked for with; the venue gives 250 at most.
_DEEP = 100
# The signer gives every transaction ten minutes from when it signs, and a busy machine comes to that a while after the
# deadline was fixed.
_LIFE: Final = timedelta(minutes=10)
_UNTIL_SIGNED: Final = timedelta(seconds=30)
_FORM: Final = "application/x-www-form-urlencoded"
_LONGEST_WAIT_S = 1.0
_SECOND_LOOK_S = 0.3
_USUAL_DELAY_S = 0.4
_TX_FAILED = 0
_TX_EXECUTED = 2


class Lighter:
    """Perpetuals of Lighter's order books.

    An account's ``address`` is its index in decimal digits, its ``signer_address`` is ``<index>:<API key index>``.

    Parameters
    ----------
    http
        Connections, with the hosts that may be reached.
    data_url, trade_url
        Base URLs for market data, and for accounts and orders; they differ where orders are simulated
        on real prices.
    chain_id
        304 for mainnet, 300 for everything else: for which chain signatures are valid.
    keys
        Gives the private key of an account, to sign what authorises reading its orders.
    sleep
        How to wait for the sequencer.
    clock
        Source of the time for the life of auth tokens.
    """

    venue: Venue = Venue.LIGHTER
    can_execute: bool = True

    def __init__(
        self,
        http: HttpClient,
        *,
        data_url: str,
        trade_url: str,
        chain_id: int,
        keys: Callable[[VenueAccount], str],
        sleep: Callable[[float], None] = time.sleep,
        clock: Clock = utc_now,
    ) -> None:
        self._http = http
        self._data = f"{data_url}/api/v1"
        self._trade = f"{trade_url}/api/v1"
        self._signer = Signer(chain_id)
        self._reader = Reader(http, self._trade, self._signer, keys=keys, clock=clock)
        self._sleep = sleep
        self._known_names: dict[int, str] = {}

    def list_markets(self, now: datetime) -> list[Market]:
        """Return every perpetual: one request. The venue's list states no spread."""
        return market_data.market_list(self._details(), now)

    def quotes(self, markets: Sequence[Market], now: datetime) -> dict[str, Quote]:
        """Return quotes by token: the top of the book of a few markets, or the last trades of many.

        A book costs a request each, so more than ten markets are answered by one list, where bid and ask are the price
        of the last trade.
        """
        if len(markets) > _BOOKS_AT_ONCE:
            return market_data.last_prices(self._details(), markets, now)
        found = {market.token: self.book_quote(market, now) for market in markets}
        return {token: quote for token, quote in found.items() if quote is not None}

    def book(self, market: Market, now: datetime) -> Book | None:
        """Return the best hundred orders of each side of the book, or None if a side is empty."""
        return market_data.book_of(self._orders(market, _DEEP), market, now)

    def book_quote(self, market: Market, now: datetime) -> Quote | None:
        """Return the top of one market's book, or None if a side of it is empty."""
        return market_data.quote_of_book(self._orders(market, 1), market, now)

    def _orders(self, market: Market, limit: int) -> replies.Book:
        params = {"market_id": market.market_index, "limit": limit}
        reply = self._http.read(f"{self._data}/orderBookOrders", params=params)
        outcomes.require_ok(reply)
        return parse(replies.SERVICE, "a book of bids and asks", replies.BOOK, reply)

    def candles(
        self, market: Market, interval: str, start: datetime, end: datetime, now: datetime
    ) -> list[Candle]:
        """Return bars that open in [start, end), oldest first, 500 with a request; none of other intervals."""
        length = _CANDLES.get(interval)
        if length is None:
            return []
        found: dict[datetime, Candle] = {}
        while start < end:
            stop = min(end, start + length * _BARS_AT_ONCE)
            params: dict[str, str | int] = {
                "market_id": market.market_index,
                "resolution": interval,
                "start_timestamp": to_ms(start),
                "end_timestamp": to_ms(stop) - 1,
                "count_back": _BARS_AT_ONCE,
            }
            reply = self._http.read(f"{self._data}/candles", params=params)
            outcomes.require_ok(reply)
            bars = parse(replies.SERVICE, "a list of candles", replies.BARS, reply).bars
            for bar in market_data.candles_of(bars, market, interval, length, now):
                if start <= bar.open_time < stop:
                    found[bar.open_time] = bar
            start = stop
        return list(found.values())

    def entry(
        self,
        market: Market,
        side: OrderSide,
        notional_usd: Decimal,
        quote: Quote,
        max_slippage_bps: Decimal,
    ) -> tuple[Decimal, Decimal]:
        """Return (size, limit price) of an entry that takes from the book; size 0 if below the market's minimums."""
        price = quote.ask if side is OrderSide.BUY else quote.bid
        limit = self.limit_price(market, side, price, max_slippage_bps)
        return rules.entry_size(market, notional_usd, price, limit), limit

    def round_price(self, market: Market, price: Decimal) -> Decimal:
        """Return the nearest valid price."""
        return rules.round_price(market, price)

    def limit_price(
        self, market: Market, side: OrderSide, reference: Decimal, max_slippage_bps: Decimal
    ) -> Decimal:
        """Return the worst valid price within the bound."""
        return rules.limit_price(market, side, reference, max_slippage_bps)

    def deadline(self, now: datetime, usual: timedelta) -> datetime:  # noqa: ARG002
        """Return ``now`` plus ten minutes, from when the signer signs: it offers no other life."""
        return now + _LIFE + _UNTIL_SIGNED

    def next_nonce(self, account: VenueAccount) -> int | None:
        """Return the nonce that the account's API key must use next."""
        key = transactions.api_key_of(account)
        params = {"account_index": key.account_index, "api_key_index": key.key_index}
        reply = self._http.read(f"{self._trade}/nextNonce", params=params)
        outcomes.require_ok(reply)
        return parse(replies.SERVICE, "the next nonce", replies.NONCE, reply).nonce

    def sign_orders(
        self,
        specs: Sequence[OrderSpec],
        account: VenueAccount,
        key: str,
        nonce: int,
        deadline: datetime,
    ) -> bytes:
        """Return the request body that places ``specs``; see `transactions` for how they are grouped."""
        authority = Authority(account, key, nonce, deadline)
        return transactions.signed_orders(self._signer, specs, authority)

    def sign_cancel(
        self,
        specs: Sequence[OrderSpec],
        account: VenueAccount,
        key: str,
        nonce: int,
        deadline: datetime,
    ) -> bytes:
        """Return the request body that cancels ``specs`` by client id."""
        authority = Authority(account, key, nonce, deadline)
        return transactions.signed_cancel(self._signer, specs, authority)

    def sign_leverage(  # noqa: PLR0917 - the same tail of arguments as its siblings
        self,
        market: Market,
        leverage: int,
        account: VenueAccount,
        key: str,
        nonce: int,
        deadline: datetime,
    ) -> bytes | None:
        """Return the request body that sets the leverage of a market, with cross margin; None if it stands.

        The venue takes few such transactions a minute, so its newest one about the market is looked at first.
        """
        authority = Authority(account, key, nonce, deadline)
        wish = transactions.signed_leverage(self._signer, market.market_index, leverage, authority)
        [wanted] = transactions.transactions_in(wish)
        for tx in self._reader.transactions(self._reader.known(account)):
            before = transactions.leverage_in(tx.info, market.market_index)
            if before is not None:
                stands = before == wanted["InitialMarginFraction"] and tx.status >= _TX_EXECUTED
                return None if stands else wish
        return wish

    def send(self, payload: bytes, client_ids: Sequence[str], now: datetime) -> list[OrderReport]:
        """Post signed bytes once, and wait until the sequencer should have executed them.

        An order is reported as what the venue then lists; one that it does not list yet is UNKNOWN.
        """
        name = "sendTxBatch" if transactions.is_batch(payload) else "sendTx"
        try:
            reply = self._http.write(f"{self._trade}/{name}", payload, content_type=_FORM)
            outcomes.require_ok(reply)
        except RefusedError as error:
            if not client_ids:
                raise
            reports = [outcomes.report_of_refusal(client_id, error) for client_id in client_ids]
            if not outcomes.is_said_of_a_repetition(error):
                return reports
            unlisted = [outcomes.report_of_unlisted(client_id, error) for client_id in client_ids]
            wait_s = _USUAL_DELAY_S
        else:
            accepted = parse(replies.SERVICE, "a queued transaction", replies.ACCEPTED, reply)
            queued_as = str(accepted.tx_hash)
            reports = [outcomes.report_of_queued(client_id, queued_as) for client_id in client_ids]
            unlisted = reports
            wait_s = _wait_s(accepted, now)
        self._sleep(wait_s)
        listed = self._listed(payload, client_ids) if client_ids else None
        if listed is None:
            return reports
        return [
            outcomes.report_of_order(report.client_id, listed[report.client_id])
            if report.client_id in listed
            else report
            # Bytes of which the venue lists a part have arrived whole.
            for report in (reports if listed else unlisted)
        ]

    def sign_abort(self, account: VenueAccount, key: str, payload: bytes) -> bytes | None:  # noqa: ARG002
        """Return None: bytes are void after their deadline, and what was accepted ends by itself."""
        return None

    def look_up(
        self,
        account: VenueAccount,
        client_id: str,
        payload: bytes = b"",  # noqa: ARG002 - the venue knows client ids
    ) -> OrderReport | None:
        """Return what the venue lists of an order; None if it never saw it."""
        index = transactions.client_index(client_id)
        known = self._reader.known(account)
        found = self._reader.orders(known, [index]) or self._reader.older_orders(known, index)
        return outcomes.report_of_order(client_id, found[index]) if index in found else None

    def is_void(self, account: VenueAccount, payload: bytes) -> bool:
        """Return whether another transaction used up the nonce of ``payload``, or its own failed."""
        [ours, *_] = transactions.transactions_in(payload)
        key = transactions.api_key_of(account)
        for tx in self._reader.transactions(self._reader.known(account)):
            if (tx.api_key_index, tx.nonce) == (key.key_index, ours["Nonce"]):
                return tx.status == _TX_FAILED or ours["Sig"] not in tx.info
        return False

    def account_state(self, account: VenueAccount, now: datetime) -> AccountState:
        """Return balances and positions.

        Raises
        ------
        NotFoundError
            If there is no such account: nothing was ever deposited.
        """
        return accounts.account_state(self._reader.account(account), account.address, now)

    def resting_orders(self, account: VenueAccount) -> list[RestingOrder]:
        """Return what rests in the perpetuals, triggers included: one request."""
        active = self._reader.active_orders(self._reader.known(account))
        return accounts.resting_orders(active, self._names({one.market_index for one in active}))

    def fills(self, account: VenueAccount, since: datetime) -> list[Fill]:
        """Return every fill of a perpetual since ``since``, oldest first."""
        trades = self._reader.trades(self._reader.known(account), since)
        names = self._names({trade.market_id for trade in trades})
        return [
            fill
            for trade in reversed(trades)
            if trade.market_id in names
            for fill in accounts.fills_of(trade, names[trade.market_id], account)
        ]

    def cash_flows(self, account: VenueAccount, since: datetime) -> list[CashFlow]:
        """Return funding, deposits and withdrawals since ``since``, oldest first."""
        key = self._reader.known(account)
        payments = self._reader.fundings(key, since)
        names = self._names({payment.market_id for payment in payments})
        wallet = self._reader.account(account).l1_address
        flows = [
            *accounts.funding_flows(payments, names, account),
            *accounts.transfer_flows(
                self._reader.deposits(key, wallet), self._reader.withdrawals(key), account
            ),
        ]
        return sorted((one for one in flows if one.at >= since), key=lambda flow: flow.at)

    def _names(self, market_ids: Collection[int]) -> Mapping[int, str]:
        """Return the names of perpetuals by id; what is still missing after asking anew is no perpetual."""
        if not self._known_names.keys() >= set(market_ids):
            self._known_names = {one.market_id: one.symbol for one in self._details()}
        return self._known_names

    def _details(self) -> list[replies.Detail]:
        reply = self._http.read(f"{self._data}/orderBookDetails")
        outcomes.require_ok(reply)
        what = "order book details"
        return parse(replies.SERVICE, what, replies.DETAILS, reply).order_book_details

    def _listed(
        self, payload: bytes, client_ids: Sequence[str]
    ) -> Mapping[str, replies.Order] | None:
        """Return, by client id, the orders that the venue lists by now; None where it cannot be asked."""
        sent: Mapping[str, Any] = transactions.transactions_in(payload)[0]
        key = ApiKey(sent["AccountIndex"], sent["ApiKeyIndex"])
        indexes = [transactions.client_index(client_id) for client_id in client_ids]
        inside = {one["ClientOrderIndex"] for one in sent.get("Orders", [sent])}
        if missing := set(indexes) - inside:
            raise InvariantError(f"the payload that was sent holds no order {sorted(missing)}")
        if not self._signer.knows(key):
            return None
        found: Mapping[int, replies.Order] = {}
        try:
            found = self._reader.orders(key, indexes)
            if len(found) < len(indexes):
                self._sleep(_SECOND_LOOK_S)
                found = self._reader.orders(key, indexes)
        except RemoteError:
            # What was sent was sent, whatever becomes of this question; the ledger asks again.
            return None
        return {str(index): order for index, order in found.items()}


def _wait_s(accepted: replies.Accepted, now: datetime) -> float:
    """Return how long the venue predicts that execution takes, within reason."""
    predicted = accepted.predicted_execution_time_ms
    ahead_s = (predicted - to_ms(now)) / 1000 if predicted else _USUAL_DELAY_S
    return min(max(ahead_s, 0.0), _LONGEST_WAIT_S)
