"""``sendTx``: what the API checks at once, and what the sequencer does with it a moment later.

An accepted transaction is remembered before the answer leaves, uses up its nonce, and is executed when its time has
come, in the order of acceptance. The sequencer may lose one without a word (fault ``sequencer_drop``): then it never
happened, and if nothing came after it under the same key, its nonce is expected again.

Nonce and expiry are judged by real time, because the signer has no other clock.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING

from agentwhere_sim.lighter import refusals
from agentwhere_sim.lighter import transactions as tx
from agentwhere_sim.lighter.ledger import TX_EXECUTED, TX_PENDING, Transaction
from agentwhere_sim.lighter.refusals import RefusalError
from agentwhere_sim.universe import lighter_by_id

if TYPE_CHECKING:
    from agentwhere_sim.lighter.engine import Engine
    from agentwhere_sim.lighter.ledger import Ledger, Order
    from agentwhere_sim.lighter.margin import Margins
    from agentwhere_sim.lighter.transactions import OrderInfo, TxInfo
    from agentwhere_sim.universe import LighterMarket
    from agentwhere_sim.world import World

EXECUTION_DELAY_MS = 300
"""What a standard account's taker orders wait."""

_LONGEST_LIFE_MS = 24 * 3_600_000
_ORDER_LIFE_MS = (5 * 60_000 - 5_000, 30 * 24 * 3_600_000)
_HASH_DIGITS = 80


class Sequencer:
    """Accept transactions, and execute them in their order."""

    def __init__(self, world: World, ledger: Ledger, margins: Margins, engine: Engine) -> None:
        self._world = world
        self._ledger = ledger
        self._margins = margins
        self._engine = engine

    def accept(self, tx_type: int, text: str, *, will_be_dropped: bool) -> Transaction:
        """Check a transaction and give it its place.

        Raises
        ------
        RefusalError
            If the API refuses it: nothing is remembered, and its nonce stays free.
        """
        info = tx.read(tx_type, text)
        with self._ledger.db.transaction():
            self._authorize(info)
            for order in info.orders:
                self._check_order(order, info)
            self._check_margin(info)
            wall_ms = self._world.wall_ms()
            accepted = Transaction(
                sequence=self._ledger.next_sequence(),
                hash=(sha256(text.encode()).hexdigest() * 2)[:_HASH_DIGITS],
                account_index=info.account_index,
                key_index=info.key_index,
                nonce=info.nonce,
                type=info.type,
                info=text,
                status=TX_PENDING,
                expires_ms=info.expires_ms,
                due_ms=wall_ms + EXECUTION_DELAY_MS,
                queued_ms=self._world.now_ms(),
                executed_ms=0,
                will_be_dropped=will_be_dropped,
            )
            self._ledger.save(accepted)
            self._ledger.set_nonce(info.account_index, info.key_index, info.nonce + 1)
        return accepted

    def execute_due(self) -> None:
        """Execute what is due by now."""
        due = self._ledger.transactions(
            "status = ? AND due_ms <= ?", TX_PENDING, self._world.wall_ms()
        )
        for transaction in due:
            if transaction.will_be_dropped:
                self._drop(transaction)
            else:
                self._execute(transaction)

    def _authorize(self, info: TxInfo) -> None:
        account, key = info.account_index, info.key_index
        if self._ledger.l1_address(account) is None:
            raise RefusalError(refusals.ACCOUNT_NOT_FOUND, "account not found")
        expected = self._ledger.next_nonce(account, key)
        if expected is None:
            raise RefusalError(refusals.API_KEY_NOT_FOUND, "api key not found")
        wall_ms = self._world.wall_ms()
        if not wall_ms < info.expires_ms < wall_ms + _LONGEST_LIFE_MS:
            raise RefusalError(refusals.INVALID_EXPIRY, "invalid expired at")
        if info.nonce != expected:
            raise RefusalError(refusals.INVALID_NONCE, "invalid nonce")

    def _check_order(self, order: OrderInfo, info: TxInfo) -> None:
        market = lighter_by_id().get(order.market_id)
        if market is None:
            raise RefusalError(refusals.INVALID_MARKET, "market not found")
        if order.client_index and self._ledger.orders(
            "account_index = ? AND client_index = ?", info.account_index, order.client_index
        ):
            raise RefusalError(refusals.CLIENT_INDEX_IN_USE, "client order index already exists")
        if order.expires_ms:
            left_ms = order.expires_ms - self._world.wall_ms()
            if not _ORDER_LIFE_MS[0] <= left_ms <= _ORDER_LIFE_MS[1]:
                raise RefusalError(refusals.INVALID_EXPIRY, "invalid order expiry")
        check_amounts(order, market)

    def _check_margin(self, info: TxInfo) -> None:
        for order in info.orders:
            if order.reduce_only or order.type in tx.TRIGGERS:
                continue
            market = lighter_by_id()[order.market_id]
            size = Decimal(order.base_amount).scaleb(-market.size_decimals)
            price = Decimal(order.price).scaleb(-market.price_decimals)
            change = -size if order.is_ask else size
            if not self._margins.affords(
                info.account_index, market, change, price, self._world.now_ms()
            ):
                raise RefusalError(
                    refusals.NOT_ENOUGH_MARGIN, "not enough margin to create the order"
                )
        if info.type == tx.UPDATE_LEVERAGE:
            market_index = info.details["MarketIndex"]
            if market_index not in lighter_by_id():
                raise RefusalError(refusals.INVALID_MARKET, "market not found")
            least = lighter_by_id()[market_index].min_initial_margin_fraction
            if not least <= info.details["InitialMarginFraction"] <= 10_000:
                raise RefusalError(refusals.INVALID_LEVERAGE, "invalid initial margin fraction")

    def _drop(self, transaction: Transaction) -> None:
        account, key = transaction.account_index, transaction.key_index
        self._ledger.forget(transaction)
        if self._ledger.next_nonce(account, key) == transaction.nonce + 1:
            self._ledger.set_nonce(account, key, transaction.nonce)

    def _execute(self, transaction: Transaction) -> None:
        now_ms = self._world.now_ms()
        info = tx.read(transaction.type, transaction.info)
        if info.orders:
            lifetime_ms = now_ms - self._world.wall_ms()
            self._engine.place(info, transaction, lifetime_ms, now_ms)
        elif info.type == tx.CANCEL_ORDER:
            self._cancel(info, now_ms)
        elif info.type == tx.CANCEL_ALL:
            for order in self._ledger.live_orders(info.account_index):
                self._engine.cancel(order, "canceled", now_ms)
        else:
            self._ledger.db.execute(
                "INSERT OR REPLACE INTO lt_leverage VALUES (?, ?, ?, ?)",
                (
                    info.account_index,
                    info.details["MarketIndex"],
                    info.details["InitialMarginFraction"],
                    info.details["MarginMode"],
                ),
            )
        transaction.status, transaction.executed_ms = TX_EXECUTED, now_ms
        self._ledger.save(transaction)

    def _cancel(self, info: TxInfo, now_ms: int) -> None:
        """Cancel by the venue's index or, if it is small enough to be one, by the client's."""
        wanted = info.details["Index"]

        def is_meant(order: Order) -> bool:
            index = order.client_index if wanted <= tx.MAX_CLIENT_INDEX else order.order_index
            return index == wanted and order.market_id == info.details["MarketIndex"]

        for order in self._ledger.live_orders(info.account_index):
            if is_meant(order):
                self._engine.cancel(order, "canceled", now_ms)


def check_amounts(order: OrderInfo, market: LighterMarket) -> None:
    """Check an order against its market's minimums, which do not bind what only reduces.

    Raises
    ------
    RefusalError
        If it is too small.
    """
    if order.reduce_only:
        return
    size = Decimal(order.base_amount).scaleb(-market.size_decimals)
    worth = size * Decimal(order.price).scaleb(-market.price_decimals)
    if size < Decimal(market.min_base_amount) or worth < Decimal(market.min_quote_amount):
        raise RefusalError(refusals.INVALID_AMOUNT, "invalid order base or quote amount")
