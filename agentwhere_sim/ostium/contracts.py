"""What the contracts do when they are called: USDC, the trading contract, its storage and the registry.

Checks and the errors they revert with follow the published contracts. Opening and closing at market only file an order;
the keeper settles it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agentwhere_sim.ostium import abi
from agentwhere_sim.ostium.abi import Call, Log, RevertError, answer, log, read_call
from agentwhere_sim.ostium.book import PENDING, TIMED_OUT, Order, Trade
from agentwhere_sim.universe import ostium_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentwhere_sim.ostium.book import Book
    from agentwhere_sim.ostium.chain import Chain
    from agentwhere_sim.universe import OstiumPair
    from agentwhere_sim.world import World

MARKET_ORDERS_TIMEOUT = 30
MAX_TRADES_PER_PAIR = 3
MAX_PENDING_ORDERS = 5
MAX_COLLATERAL = 1_000_000 * 10**6
MAX_GAIN_PCT = 900
MAX_LOSS_PCT = 85
WHOLE = 10_000
KEEPER_DELAY_MS = 300


@dataclass(frozen=True, slots=True)
class Context:
    """Who calls, in which block and transaction."""

    sender: str
    block: int
    tx_hash: str


class Contracts:
    """Carry out calls. Whoever calls wraps them in a transaction of the memory."""

    def __init__(self, world: World, chain: Chain, book: Book) -> None:
        self._world = world
        self._chain = chain
        self._book = book
        self._actions: dict[str, Callable[..., list[Log]]] = {
            "approve": self._approve,
            "transfer": self._transfer,
            "openTrade": self._open_trade,
            "closeTradeMarket": self._close_trade,
            "openTradeMarketTimeout": self._time_out_open,
            "closeTradeMarketTimeout": self._time_out_close,
            "updateTp": self._update_tp,
            "updateSl": self._update_sl,
            "delegatedAction": self._act_for,
            "setDelegate": self._set_delegate,
            "removeDelegate": self._remove_delegate,
        }

    def execute(self, contract: str, data: str, context: Context) -> list[Log]:
        """Carry out a transaction's call and give its events. Raises ``RevertError``."""
        called = read_call(contract, bytes.fromhex(data[2:]))
        action = self._actions.get(called.function)
        return [] if action is None else action(context, *called.arguments)

    def view(self, contract: str, data: str) -> str:
        """Answer a reading call. Raises ``RevertError``."""
        called = read_call(contract, bytes.fromhex(data[2:]))
        match called.function, called.arguments:
            case "balanceOf", (address,):
                return answer(["uint256"], self._chain.usdc(address))
            case "allowance", (owner, spender):
                allowed = self._chain.allowance(owner) if spender == abi.STORAGE else 0
                return answer(["uint256"], allowed)
            case "delegations", (address,):
                return answer(["address"], self._chain.delegate(address) or abi.NOBODY)
            case "registry", ():
                return answer(["address"], abi.REGISTRY)
            case "usdc", ():
                return answer(["address"], abi.USDC)
            case "getContractAddress", (name,):
                known = abi.NAMES.get(name.rstrip(b"\0").decode(), abi.NOBODY)
                return answer(["address"], known)
            case ("isPaused", ()):
                return answer(["bool"], False)
            case _:
                return self._view_storage(called)

    def _view_storage(self, called: Call) -> str:
        numbers = {
            "marketOrdersTimeout": MARKET_ORDERS_TIMEOUT,
            "maxAllowedCollateral": MAX_COLLATERAL,
            "maxTradesPerPair": MAX_TRADES_PER_PAIR,
            "maxPendingMarketOrders": MAX_PENDING_ORDERS,
        }
        match called.function, called.arguments:
            case name, () if name in numbers:
                return answer(["uint256"], numbers[name])
            case "getOpenTrade", (trader, pair, index):
                trade = self._book.trade(trader, pair, index)
                return answer([abi.TRADE], trade_tuple(trade))
            case "getOpenTradeInfo", (trader, pair, index):
                trade = self._book.trade(trader, pair, index)
                info = (
                    (0, 0, 0, 0, 0, 0, False)
                    if trade is None
                    else (
                        trade.trade_id,
                        trade.size,
                        trade.leverage,
                        0,
                        0,
                        trade.opened_block,
                        False,
                    )
                )
                return answer(["(uint256,uint256,uint32,uint32,uint32,uint32,bool)"], info)
            case "openTradesCount", (trader, pair):
                count = sum(t.pair == pair for t in self._book.trades(trader))
                return answer(["uint256"], count)
            case "getPendingOrderIds", (trader,):
                ids = [order.id for order in self._book.orders(trader, PENDING)]
                return answer(["uint256[]"], ids)
            case "reqID_pendingMarketOrder", (order_id,):
                return answer(
                    ["uint256", "uint192", "uint32", abi.TRADE, "uint16"],
                    *pending_tuple(self._pending(order_id)),
                )
            case _:
                return "0x"

    def _approve(self, context: Context, spender: str, amount: int) -> list[Log]:
        if spender == abi.STORAGE:
            self._chain.change(context.sender, allowance=amount)
        return [log(abi.USDC, "Approval", context.sender, spender, amount)]

    def _transfer(self, context: Context, target: str, amount: int) -> list[Log]:
        return [self._chain.move(context.sender, target, amount)]

    def _open_trade(
        self, context: Context, wish: tuple[Any, ...], _builder: Any, order_type: int, slippage: int
    ) -> list[Log]:
        collateral, price, tp, sl, _, leverage, pair_id, _, buy, _ = wish
        pair = self._pair(pair_id)
        trader = context.sender
        if slippage >= WHOLE or order_type != 0:
            raise RevertError("WrongParams()")
        pending = self._book.orders(trader, PENDING)
        there = [t for t in self._book.trades(trader) if t.pair == pair_id]
        coming = [o for o in pending if o.pair == pair_id and o.action == "Open"]
        if len(there) + len(coming) >= MAX_TRADES_PER_PAIR:
            raise RevertError("MaxTradesPerPairReached(address,uint16)", trader, pair_id)
        self._check_pending(trader)
        if not 100 <= leverage <= pair.max_leverage * 100:
            raise RevertError("WrongLeverage(uint32)", leverage)
        if collateral > MAX_COLLATERAL:
            raise RevertError("AboveMaxAllowedCollateral()")
        self._check_minimum(pair, collateral * leverage // 100)
        if tp and (tp <= price if buy else tp >= price):
            raise RevertError("WrongTP()")
        if sl and (sl >= price if buy else sl <= price):
            raise RevertError("WrongSL()")
        order = self._file(context, "Open", pair_id, buy=buy, wanted=(price, slippage))
        order = replace(order, collateral=collateral, leverage=leverage, tp=tp, sl=sl)
        self._book.save_order(replace(order, trade_id=order.id))
        return [
            self._take_collateral(trader, collateral),
            log(abi.TRADING, "MarketOpenOrderInitiated", order.id, trader, pair_id),
        ]

    def _close_trade(  # noqa: PLR0917 - a contract's arguments
        self, context: Context, pair_id: int, index: int, share: int, price: int, slippage: int
    ) -> list[Log]:
        if share > WHOLE or slippage >= WHOLE:
            raise RevertError("WrongParams()")
        share = share or WHOLE
        trade = self._trade(context.sender, pair_id, index)
        self._check_pending(context.sender)
        if share != WHOLE:
            left = trade.collateral * (WHOLE - share) // WHOLE
            self._check_minimum(self._pair(pair_id), left * trade.leverage // 100)
        order = self._file(context, "Close", pair_id, buy=trade.buy, wanted=(price, slippage))
        order = replace(
            order, index=index, trade_id=trade.trade_id, share=share, leverage=trade.leverage
        )
        self._book.save_order(order)
        return [
            log(
                abi.TRADING,
                "MarketCloseOrderInitiatedV2",
                order.id,
                trade.trade_id,
                context.sender,
                pair_id,
                share,
            )
        ]

    def _time_out_open(self, context: Context, order_id: int) -> list[Log]:
        order = self._timed_out(context, order_id, "Open")
        return [
            self.pay(order.trader, order.collateral),
            log(abi.TRADING, "MarketOpenTimeoutExecutedV2", order.id, pending_tuple(order)),
        ]

    def _time_out_close(self, context: Context, order_id: int, retry: bool) -> list[Log]:
        order = self._timed_out(context, order_id, "Close")
        logs = []
        if retry:
            logs = self._close_trade(
                context, order.pair, order.index, order.share, order.wanted_price, order.slippage
            )
        told = pending_tuple(order)
        return [
            *logs,
            log(abi.TRADING, "MarketCloseTimeoutExecutedV2", order.id, order.trade_id, told),
        ]

    def _update_tp(self, context: Context, pair_id: int, index: int, price: int) -> list[Log]:
        trade = self._trade(context.sender, pair_id, index)
        room = trade.open_price * MAX_GAIN_PCT // trade.leverage
        if price and (
            price > trade.open_price + room if trade.buy else price < trade.open_price - room
        ):
            raise RevertError("WrongTP()")
        self._book.save_trade(replace(trade, tp=price))
        ids = (trade.trade_id, context.sender, pair_id)
        return [log(abi.TRADING, "TpUpdated", *ids, index, price)]

    def _update_sl(self, context: Context, pair_id: int, index: int, price: int) -> list[Log]:
        trade = self._trade(context.sender, pair_id, index)
        room = trade.open_price * MAX_LOSS_PCT // trade.leverage
        if price and (
            price < trade.open_price - room if trade.buy else price > trade.open_price + room
        ):
            raise RevertError("WrongSL()")
        self._book.save_trade(replace(trade, sl=price))
        ids = (trade.trade_id, context.sender, pair_id)
        return [log(abi.TRADING, "SlUpdated", *ids, index, price)]

    def _act_for(self, context: Context, trader: str, data: bytes) -> list[Log]:
        if self._chain.delegate(trader) != context.sender:
            raise RevertError("NotDelegate(address,address)", trader, context.sender)
        if read_call(abi.TRADING, data).function == "delegatedAction":
            raise RevertError("BadArguments()")
        return self.execute(abi.TRADING, "0x" + data.hex(), replace(context, sender=trader))

    def _set_delegate(self, context: Context, delegate: str) -> list[Log]:
        if delegate == abi.NOBODY:
            raise RevertError("NullAddr()")
        self._chain.change(context.sender, delegate=delegate)
        return [log(abi.TRADING, "DelegateAdded", context.sender, delegate)]

    def _remove_delegate(self, context: Context) -> list[Log]:
        delegate = self._chain.delegate(context.sender)
        if delegate is None:
            raise RevertError("NoDelegate(address)", context.sender)
        self._chain.change(context.sender, delegate=None)
        return [log(abi.TRADING, "DelegateRemoved", context.sender, delegate)]

    def pay(self, trader: str, amount: int) -> Log:
        """Pay a trader out of the storage; the vault behind it never runs dry."""
        self._chain.change(abi.STORAGE, usdc=max(amount, self._chain.usdc(abi.STORAGE)))
        return self._chain.move(abi.STORAGE, trader, amount)

    def _take_collateral(self, trader: str, amount: int) -> Log:
        allowed = self._chain.allowance(trader)
        if allowed < amount:
            raise RevertError(
                "ERC20InsufficientAllowance(address,uint256,uint256)", abi.STORAGE, allowed, amount
            )
        moved = self._chain.move(trader, abi.STORAGE, amount)
        self._chain.change(trader, allowance=allowed - amount)
        return moved

    def _file(
        self, context: Context, action: str, pair: int, *, buy: bool, wanted: tuple[int, int]
    ) -> Order:
        return Order(
            id=self._book.next_id(),
            trader=context.sender,
            action=action,
            kind="Market",
            pair=pair,
            index=0,
            trade_id=0,
            buy=buy,
            collateral=0,
            leverage=0,
            wanted_price=wanted[0],
            slippage=wanted[1],
            tp=0,
            sl=0,
            share=WHOLE,
            block=context.block,
            initiated_ms=self._world.now_ms(),
            due_wall_ms=self._world.wall_ms() + KEEPER_DELAY_MS,
            tx_hash=context.tx_hash,
        )

    def _timed_out(self, context: Context, order_id: int, action: str) -> Order:
        order = self._pending(order_id)
        if order is None:
            raise RevertError("NoTradeToTimeoutFound(uint256)", order_id)
        if order.trader != context.sender:
            raise RevertError("NotYourOrder(uint256,address)", order_id, order.trader)
        if order.action != action:
            raise RevertError(f"Not{action}MarketTimeoutOrder(uint256)", order_id)
        if context.block < order.block + MARKET_ORDERS_TIMEOUT:
            raise RevertError("WaitTimeout(uint256)", order_id)
        ended = replace(
            order,
            state=TIMED_OUT,
            executed_ms=self._world.now_ms(),
            executed_block=context.block,
            executed_tx=context.tx_hash,
        )
        self._book.save_order(ended)
        return ended

    def _pending(self, order_id: int) -> Order | None:
        order = self._book.order(order_id)
        return order if order is not None and order.state == PENDING else None

    def _trade(self, trader: str, pair: int, index: int) -> Trade:
        trade = self._book.trade(trader, pair, index)
        if trade is None:
            raise RevertError("NoTradeFound(address,uint16,uint8)", trader, pair, index)
        return trade

    def _pair(self, pair_id: int) -> OstiumPair:
        pair = next((p for p in ostium_pairs() if p.pair_id == pair_id), None)
        if pair is None:
            raise RevertError("PairNotListed(uint16)", pair_id)
        return pair

    def _check_pending(self, trader: str) -> None:
        if len(self._book.orders(trader, PENDING)) >= MAX_PENDING_ORDERS:
            raise RevertError("MaxPendingMarketOrdersReached(address)", trader)

    def _check_minimum(self, pair: OstiumPair, notional: int) -> None:
        if notional < int(pair.min_notional_usd * 10**6):
            raise RevertError("BelowMinLevPos()")


def trade_tuple(trade: Trade | None) -> tuple[Any, ...]:
    """Give a trade as the contracts' structure; empty where there is none."""
    if trade is None:
        return (0, 0, 0, 0, abi.NOBODY, 0, 0, 0, False, False)
    return (
        trade.collateral,
        trade.open_price,
        trade.tp,
        trade.sl,
        trade.trader,
        trade.leverage,
        trade.pair,
        trade.index,
        trade.buy,
        False,
    )


def pending_tuple(order: Order | None) -> tuple[Any, ...]:
    """Give a waiting order as the contracts' structure; empty where there is none."""
    if order is None:
        return (0, 0, 0, trade_tuple(None), 0)
    leverage = order.leverage if order.action == "Open" else 0
    trade = (
        order.collateral,
        0,
        order.tp,
        order.sl,
        order.trader,
        leverage,
        order.pair,
        order.index,
        order.buy,
        False,
    )
    share = 0 if order.action == "Open" else order.share
    return (order.block, order.wanted_price, order.slippage, trade, share)
