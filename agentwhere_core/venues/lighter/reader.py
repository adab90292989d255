"""Ask Lighter about an account: page by page, with the auth token that it wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from pydantic import TypeAdapter

from agentwhere_core.domain.errors import MalformedReplyError, RefusedError
from agentwhere_core.domain.time import Clock
from agentwhere_core.domain.trade import VenueAccount
from agentwhere_core.http import HttpClient
from agentwhere_core.venues.checked import parse
from agentwhere_core.venues.lighter import outcomes, replies
from agentwhere_core.venues.lighter.accounts import moment
from agentwhere_core.venues.lighter.replies import SERVICE
from agentwhere_core.venues.lighter.signer import ApiKey, Signer
from agentwhere_core.venues.lighter.transactions import api_key_of

# The venue accepts eight hours at most; a token is thrown away well before it ends.
_TOKEN_LIFE_S: Final = 3600
_TOKEN_RESERVE_S: Final = 300
_PAGE: Final = 100
_PAGES_OF_OLD_ORDERS: Final = 5


Params = Mapping[str, str | int]


class _Paged(Protocol):
    @property
    def next_cursor(self) -> str | None: ...


_Page = TypeVar("_Page", bound=_Paged)


class Reader:
    """Questions about accounts.

    Parameters
    ----------
    http, url
        Connections, and the base of the interface.
    signer
        Makes auth tokens.
    keys
        Gives the private key of an account.
    clock
        Source of the time for the life of tokens.
    """

    def __init__(
        self,
        http: HttpClient,
        url: str,
        signer: Signer,
        *,
        keys: Callable[[VenueAccount], str],
        clock: Clock,
    ) -> None:
        self._http = http
        self._url = url
        self._signer = signer
        self._keys = keys
        self._clock = clock
        self._tokens: dict[ApiKey, tuple[int, str]] = {}

    def known(self, account: VenueAccount) -> ApiKey:
        """Return the account's API key, ready to sign tokens.

        Raises
        ------
        ConfigurationError
            If the key is missing, or none.
        """
        key = api_key_of(account)
        if not self._signer.knows(key):
            self._signer.learn(key, self._keys(account))
        return key

    def account(self, account: VenueAccount) -> replies.Account:
        """Return an account's money and positions; they are public.

        Raises
        ------
        NotFoundError
            If there is no such account.
        """
        params: Params = {"by": "index", "value": account.address}
        try:
            reply = self._http.read(f"{self._url}/account", params=params)
            outcomes.require_ok(reply)
        except RefusedError as error:
            raise outcomes.no_such_account(error, account.address) from error
        found = parse(SERVICE, "an account", replies.ACCOUNTS, reply).accounts
        if len(found) != 1:
            raise MalformedReplyError(
                SERVICE, f"expected one account {account.address}, got {len(found)}"
            )
        return found[0]

    def orders(self, key: ApiKey, indexes: Sequence[int]) -> dict[int, replies.Order]:
        """Return orders by their client order index: all that rest, and what ended within a day."""
        params: Params = {
            "account_index": key.account_index,
            "client_order_indexes": ",".join(str(index) for index in indexes),
        }
        reply = self._ask(key, "accountOrders", params)
        listed = parse(SERVICE, "a list of orders", replies.ORDERS, reply).orders
        return {order.client_order_index: order for order in listed}

    def active_orders(self, key: ApiKey) -> list[replies.ActiveOrder]:
        """Return every order of an account that rests, in all markets."""
        reply = self._ask(key, "accountActiveOrders", {"account_index": key.account_index})
        return parse(SERVICE, "a list of active orders", replies.ACTIVE_ORDERS, reply).orders

    def older_orders(self, key: ApiKey, index: int) -> dict[int, replies.Order]:
        """Return an order that ended longer ago, by its client order index, as far back as is reasonable."""
        params: Params = {"account_index": key.account_index, "limit": _PAGE}
        pages = self._pages(key, "accountInactiveOrders", params, replies.ORDERS)
        for number, page in enumerate(pages, start=1):
            for order in page.orders:
                if order.client_order_index == index:
                    return {index: order}
            if number == _PAGES_OF_OLD_ORDERS:
                break
        return {}

    def transactions(self, key: ApiKey) -> list[replies.Transaction]:
        """Return the newest transactions of an account."""
        params: Params = {"by": "account_index", "value": key.account_index, "limit": _PAGE}
        reply = self._ask(key, "accountTxs", params)
        return parse(SERVICE, "a list of transactions", replies.TRANSACTIONS, reply).txs

    def trades(self, key: ApiKey, since: datetime) -> list[replies.Trade]:
        """Return all executions since ``since``, newest first, each once."""
        params: Params = {
            "account_index": key.account_index,
            "sort_by": "timestamp",
            "sort_dir": "desc",
            "limit": _PAGE,
        }
        found: dict[int, replies.Trade] = {}
        for page in self._pages(key, "trades", params, replies.TRADES):
            found |= {one.trade_id: one for one in page.trades if moment(one.timestamp) >= since}
            if any(moment(one.timestamp) < since for one in page.trades):
                break
        return sorted(found.values(), key=lambda one: one.trade_id, reverse=True)

    def fundings(self, key: ApiKey, since: datetime) -> list[replies.Funding]:
        """Return all funding payments since ``since``."""
        params: Params = {"account_index": key.account_index, "limit": _PAGE}
        found: dict[tuple[int, int, int], replies.Funding] = {}
        for page in self._pages(key, "positionFunding", params, replies.FUNDINGS):
            for one in page.position_fundings:
                found[one.market_id, one.funding_id, one.timestamp] = one
            if any(moment(one.timestamp) < since for one in page.position_fundings):
                break
        return list(found.values())

    def deposits(self, key: ApiKey, wallet: str) -> list[replies.Transfer]:
        """Return the account's latest deposits."""
        params: Params = {"account_index": key.account_index, "l1_address": wallet}
        reply = self._ask(key, "deposit/history", params)
        return parse(SERVICE, "a list of deposits", replies.DEPOSITS, reply).deposits

    def withdrawals(self, key: ApiKey) -> list[replies.Transfer]:
        """Return the account's latest withdrawals."""
        reply = self._ask(key, "withdraw/history", {"account_index": key.account_index})
        return parse(SERVICE, "a list of withdrawals", replies.WITHDRAWALS, reply).withdraws

    def _pages(
        self,
        key: ApiKey,
        name: str,
        params: Params,
        shape: TypeAdapter[_Page],
    ) -> Iterator[_Page]:
        """Yield page after page; a cursor that repeats ends it."""
        cursors: set[str] = set()
        following: dict[str, str | int] = {}
        while True:
            page = parse(
                SERVICE, f"a page of {name}", shape, self._ask(key, name, {**params, **following})
            )
            yield page
            if not page.next_cursor or page.next_cursor in cursors:
                return
            cursors.add(page.next_cursor)
            following = {"cursor": page.next_cursor}

    def _ask(self, key: ApiKey, name: str, params: Params) -> Any:
        headers = {"authorization": self._token(key)}
        reply = self._http.read(f"{self._url}/{name}", params=params, headers=headers)
        outcomes.require_ok(reply)
        return reply

    def _token(self, key: ApiKey) -> str:
        now_s = int(self._clock().timestamp())
        expires_s, token = self._tokens.get(key, (0, ""))
        if expires_s - _TOKEN_RESERVE_S <= now_s:
            expires_s = now_s + _TOKEN_LIFE_S
            token = self._signer.token(key, expires_s)
            self._tokens[key] = expires_s, token
        return token
