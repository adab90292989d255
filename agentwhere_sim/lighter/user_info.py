"""What an account may ask of itself: balances, orders, trades, funding, transactions.

Balances are public, as at the venue; the rest needs an auth token of the account: ``expiry:account:key:signature``,
valid for at most eight hours. The signature cannot be checked here, everything else about a token is.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agentwhere_sim.lighter import refusals
from agentwhere_sim.lighter.refusals import RefusalError
from agentwhere_sim.lighter.wire import account_of, order_of, trade_of, tx_of
from agentwhere_sim.universe import lighter_by_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentwhere_sim.lighter.ledger import Ledger, Order
    from agentwhere_sim.lighter.margin import Margins
    from agentwhere_sim.world import World

_LONGEST_TOKEN_S = 8 * 3600
_MOST_ROWS = 100
_MOST_CLIENT_INDEXES = 20
_DAY_MS = 86_400_000
_LIVE = "('pending', 'open', 'in-progress')"


class UserInfo:
    """Answer questions that concern one account."""

    def __init__(self, world: World, ledger: Ledger, margins: Margins) -> None:
        self._world = world
        self._ledger = ledger
        self._margins = margins
        self.questions: dict[str, Callable[[Mapping[str, str], str], dict[str, Any]]] = {
            "account": self._account,
            "accountsByL1Address": self._by_address,
            "apikeys": self._keys,
            "nextNonce": self._next_nonce,
            "tx": self._tx,
            "accountOrders": self._orders,
            "accountActiveOrders": self._active,
            "accountInactiveOrders": self._inactive,
            "accountTxs": self._txs,
            "trades": self._trades,
            "positionFunding": self._funding,
            "deposit/history": self._deposits,
            "withdraw/history": self._withdrawals,
        }

    def _account(self, question: Mapping[str, str], _token: str) -> dict[str, Any]:
        value = question["value"]
        index = (
            self._ledger.account_of(value.lower()) if question["by"] == "l1_address" else int(value)
        )
        address = None if index is None else self._ledger.l1_address(index)
        if index is None or address is None:
            raise RefusalError(refusals.ACCOUNT_NOT_FOUND, "account not found")
        now_ms = self._world.now_ms()
        shown = account_of(
            index,
            address,
            self._margins.account(index, now_ms),
            self._margins.available(index, now_ms),
            self._ledger.live_orders(index),
        )
        return {"total": 1, "accounts": [shown]}

    def _by_address(self, question: Mapping[str, str], _token: str) -> dict[str, Any]:
        address = question["l1_address"].lower()
        index = self._ledger.account_of(address)
        if index is None:
            raise RefusalError(refusals.ACCOUNT_NOT_FOUND, "account not found")
        return {"l1_address": address, "sub_accounts": [{"index": index, "l1_address": address}]}

    def _keys(self, question: Mapping[str, str], _token: str) -> dict[str, Any]:
        account = int(question["account_index"])
        wanted = int(question.get("api_key_index", "255"))
        keys = [
            {
                "account_index": account,
                "api_key_index": row["key_index"],
                "nonce": row["nonce"],
                "public_key": row["public_key"],
            }
            for row in self._ledger.keys(account)
            if wanted in (255, row["key_index"])
        ]
        if not keys:
            raise RefusalError(refusals.API_KEY_NOT_FOUND, "api key not found")
        return {"api_keys": keys}

    def _next_nonce(self, question: Mapping[str, str], _token: str) -> dict[str, Any]:
        nonce = self._ledger.next_nonce(
            int(question["account_index"]), int(question["api_key_index"])
        )
        if nonce is None:
            raise RefusalError(refusals.API_KEY_NOT_FOUND, "api key not found")
        return {"nonce": nonce}

    def _tx(self, question: Mapping[str, str], _token: str) -> dict[str, Any]:
        by = {"hash": "hash", "sequence_index": "sequence"}[question["by"]]
        found = self._ledger.transactions(f"{by} = ?", question["value"])
        if not found:
            raise RefusalError(refusals.TX_NOT_FOUND, "transaction not found")
        return tx_of(found[0], self._ledger.l1_address(found[0].account_index) or "")

    def _orders(self, question: Mapping[str, str], token: str) -> dict[str, Any]:
        account = self._authorize(question, token)
        indexes = [int(part) for part in question["client_order_indexes"].split(",")]
        if len(indexes) > _MOST_CLIENT_INDEXES:
            raise RefusalError(refusals.INVALID_PARAMETER, "too many client order indexes")
        marks = ", ".join("?" * len(indexes))
        found = self._ledger.orders(
            f"account_index = ? AND client_index IN ({marks}) AND client_index != 0 "
            f"AND (status IN {_LIVE} OR updated_ms > ?)",
            account,
            *indexes,
            self._world.now_ms() - _DAY_MS,
        )
        return {"orders": [order_of(order) for order in found]}

    def _active(self, question: Mapping[str, str], token: str) -> dict[str, Any]:
        account = self._authorize(question, token)
        market = question.get("market_id", "255")
        found = [
            order
            for order in self._ledger.live_orders(account)
            if market == "255" or order.market_id == int(market)
        ]
        return {"orders": [order_of(order) for order in found]}

    def _inactive(self, question: Mapping[str, str], token: str) -> dict[str, Any]:
        account = self._authorize(question, token)
        ended: list[Order] = self._ledger.orders(
            f"account_index = ? AND status NOT IN {_LIVE}", account
        )
        return _page(question, "orders", [order_of(order) for order in reversed(ended)])

    def _txs(self, question: Mapping[str, str], token: str) -> dict[str, Any]:
        account = self._authorize({"account_index": question["value"]}, token)
        address = self._ledger.l1_address(account) or ""
        found = self._ledger.transactions("account_index = ?", account)
        limit, index = int(question["limit"]), int(question.get("index", "0"))
        newest = [tx_of(one, address) for one in reversed(found)]
        return {"txs": newest[index : index + limit]}

    def _trades(self, question: Mapping[str, str], token: str) -> dict[str, Any]:
        account = self._authorize(question, token)
        order_index = question.get("order_index")
        found = [
            trade
            for trade in reversed(self._ledger.trades(account))
            if order_index in (None, str(trade.order_index))
        ]
        return _page(question, "trades", [trade_of(trade) for trade in found])

    def _funding(self, question: Mapping[str, str], token: str) -> dict[str, Any]:
        account = self._authorize(question, token)
        start = int(question.get("start_timestamp", "0"))
        rows = self._ledger.db.query(
            "SELECT * FROM lt_fundings WHERE account_index = ? AND time_ms >= ? ORDER BY id DESC",
            (account, start),
        )
        listed = [
            {
                "timestamp": row["time_ms"] // 1000,
                "market_id": row["market_id"],
                "funding_id": row["id"],
                "change": row["change"],
                "discount": "0.000000",
                "rate": row["rate"],
                "position_size": _sized(abs(Decimal(row["held"])), row["market_id"]),
                "position_side": "long" if Decimal(row["held"]) > 0 else "short",
            }
            for row in rows
        ]
        return _page(question, "position_fundings", listed)

    def _deposits(self, question: Mapping[str, str], token: str) -> dict[str, Any]:
        account = self._authorize(question, token)
        if question["l1_address"].lower() != self._ledger.l1_address(account):
            raise RefusalError(refusals.INVALID_PARAMETER, "invalid l1_address")
        rows = self._ledger.db.query(
            "SELECT * FROM lt_deposits WHERE account_index = ? ORDER BY id DESC", (account,)
        )
        listed = [
            {
                "id": str(row["id"]),
                "amount": row["usdc"],
                "timestamp": row["time_ms"],
                "status": "completed",
                "l1_tx_hash": f"0x{row['id']:064x}",
                "asset_id": 3,
            }
            for row in rows
        ]
        return {"deposits": listed, "cursor": ""}

    def _withdrawals(self, question: Mapping[str, str], token: str) -> dict[str, Any]:
        self._authorize(question, token)
        return {"withdraws": [], "cursor": ""}

    def _authorize(self, question: Mapping[str, str], token: str) -> int:
        """Give the account that is asked about, if ``token`` is one of its own and still valid."""
        account = int(question["account_index"])
        parts = token.split(":")
        try:
            expiry, owner, key = (int(part) for part in parts[:3])
            bytes.fromhex(parts[3])
        except (ValueError, IndexError):
            raise RefusalError(refusals.UNAUTHORIZED, "invalid auth token") from None
        now_s = self._world.wall_ms() // 1000
        if not now_s < expiry <= now_s + _LONGEST_TOKEN_S + 1:
            raise RefusalError(refusals.UNAUTHORIZED, "auth token expired or valid for too long")
        if owner != account or self._ledger.next_nonce(account, key) is None or not parts[3]:
            raise RefusalError(refusals.UNAUTHORIZED, "auth token of another account")
        return account


def _page(
    question: Mapping[str, str], name: str, listed: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Give one page of a list, and the cursor of the next if there is one."""
    limit = int(question["limit"])
    if not 1 <= limit <= _MOST_ROWS:
        raise RefusalError(refusals.INVALID_PARAMETER, "invalid param : limit")
    start = int(question.get("cursor") or 0)
    page: dict[str, Any] = {name: list(listed[start : start + limit])}
    if start + limit < len(listed):
        page["next_cursor"] = str(start + limit)
    return page


def _sized(size: Decimal, market_id: int) -> str:
    return f"{size:.{lighter_by_id()[market_id].size_decimals}f}"
