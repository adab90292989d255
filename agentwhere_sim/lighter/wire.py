"""How the venue writes what it knows: accounts, orders, trades, transactions (models of the official SDK)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agentwhere_sim.universe import lighter_by_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentwhere_sim.lighter.ledger import Order, Trade, Transaction
    from agentwhere_sim.lighter.margin import Account, Holding

_TYPES = (
    "limit",
    "market",
    "stop-loss",
    "stop-loss-limit",
    "take-profit",
    "take-profit-limit",
    "twap",
    "twap-sub",
    "liquidation",
)
_TIMES_IN_FORCE = ("immediate-or-cancel", "good-till-time", "post-only")
_COUNTERPARTY = 281_474_976_600_001
_COUNTER_ORDER = 562_949_953_421_311
_PARTS_PER_MILLION = 1_000_000


def account_of(
    index: int, address: str, worth: Account, available: Decimal, live: Sequence[Order]
) -> dict[str, Any]:
    """Write an account with its positions."""
    return {
        "code": 200,
        "account_type": 0,
        "index": index,
        "l1_address": address,
        "total_order_count": len(live),
        "pending_order_count": sum(1 for order in live if order.status == "pending"),
        "available_balance": _usd(available),
        "status": 1,
        "collateral": _usd(worth.collateral),
        "account_index": index,
        "name": "",
        "positions": [_position(worth, one, live) for one in worth.holdings],
        "assets": [],
        "total_asset_value": _usd(worth.value),
        "cross_asset_value": _usd(worth.value),
        "cross_initial_margin_requirement": _usd(worth.initial_margin),
        "cross_maintenance_margin_requirement": _usd(worth.maintenance_margin),
    }


def order_of(order: Order) -> dict[str, Any]:
    """Write an order."""
    market = lighter_by_id()[order.market_id]
    size, price = market.size_decimals, market.price_decimals
    return {
        "order_index": order.order_index,
        "client_order_index": order.client_index,
        "order_id": str(order.order_index),
        "client_order_id": str(order.client_index),
        "market_index": order.market_id,
        "owner_account_index": order.account_index,
        "initial_base_amount": f"{order.initial:.{size}f}",
        "price": f"{order.price:.{price}f}",
        "nonce": order.nonce,
        "remaining_base_amount": f"{order.remaining:.{size}f}",
        "is_ask": order.is_ask,
        "base_size": int(order.remaining.scaleb(size)),
        "base_price": int(order.price.scaleb(price)),
        "filled_base_amount": f"{order.filled_base:.{size}f}",
        "filled_quote_amount": _usd(order.filled_quote),
        "side": "",
        "type": _TYPES[order.type],
        "time_in_force": _TIMES_IN_FORCE[order.tif],
        "reduce_only": order.reduce_only,
        "trigger_price": f"{order.trigger_price or Decimal(0):.{price}f}",
        "order_expiry": order.expires_ms,
        "status": order.status,
        "trigger_status": order.trigger_status,
        "trigger_time": 0,
        "parent_order_index": order.parent_index,
        "parent_order_id": str(order.parent_index),
        "block_height": 0,
        "timestamp": order.updated_ms // 1000,
        "created_at": order.created_ms // 1000,
        "updated_at": order.updated_ms // 1000,
        "transaction_time": order.updated_ms * 1000,
        "market_symbol": market.symbol,
        "market_kind": "perps",
    }


def trade_of(trade: Trade) -> dict[str, Any]:
    """Write an execution as the account that asks sees it; nobody else trades here, so the other side is made up."""
    market = lighter_by_id()[trade.market_id]
    ours, theirs = ("ask", "bid") if trade.is_ask else ("bid", "ask")
    role = "maker" if trade.is_maker else "taker"
    value = trade.price * trade.size
    written: dict[str, Any] = {
        "trade_id": trade.trade_id,
        "trade_id_str": str(trade.trade_id),
        "tx_hash": trade.tx_hash,
        "type": trade.type,
        "market_id": trade.market_id,
        "size": f"{trade.size:.{market.size_decimals}f}",
        "price": f"{trade.price:.{market.price_decimals}f}",
        "usd_amount": _usd(value),
        "is_maker_ask": trade.is_ask == trade.is_maker,
        "block_height": 0,
        "timestamp": trade.time_ms,
        "transaction_time": trade.time_ms * 1000,
        f"{role}_position_size_before": f"{trade.held_before:.{market.size_decimals}f}",
    }
    sides = {
        ours: (trade.order_index, trade.client_index, trade.account_index, trade.pnl),
        theirs: (_COUNTER_ORDER, 0, _COUNTERPARTY, Decimal(0)),
    }
    for side, (order_index, client_index, account, pnl) in sides.items():
        written |= {
            f"{side}_id": order_index,
            f"{side}_id_str": str(order_index),
            f"{side}_client_id": client_index,
            f"{side}_client_id_str": str(client_index),
            f"{side}_account_id": account,
            f"{side}_account_pnl": _usd(pnl),
        }
    if trade.fee:
        written[f"{role}_fee"] = int(trade.fee / value * _PARTS_PER_MILLION)
    return written


def tx_of(tx: Transaction, address: str) -> dict[str, Any]:
    """Write a transaction."""
    return {
        "hash": tx.hash,
        "type": tx.type,
        "info": tx.info,
        "event_info": "{}",
        "status": tx.status,
        "transaction_index": 0,
        "l1_address": address,
        "account_index": tx.account_index,
        "nonce": tx.nonce,
        "expire_at": tx.expires_ms,
        "block_height": 0,
        "queued_at": tx.queued_ms,
        "executed_at": tx.executed_ms,
        "sequence_index": tx.sequence,
        "parent_hash": "",
        "api_key_index": tx.key_index,
        "transaction_time": tx.executed_ms * 1000,
    }


def _position(worth: Account, holding: Holding, live: Sequence[Order]) -> dict[str, Any]:
    position, market = holding.position, holding.market
    here = [order for order in live if order.market_id == position.market_id]
    return {
        "market_id": market.market_id,
        "symbol": market.symbol,
        "initial_margin_fraction": f"{Decimal(holding.margin_fraction) / 100:.2f}",
        "open_order_count": len(here),
        "pending_order_count": sum(1 for order in here if order.status == "pending"),
        "position_tied_order_count": sum(1 for order in here if order.is_tied),
        "sign": 1 if position.held > 0 else -1,
        "position": f"{abs(position.held):.{market.size_decimals}f}",
        "avg_entry_price": f"{position.entry_px:.{market.price_decimals + 6}f}",
        "position_value": _usd(holding.notional),
        "unrealized_pnl": _usd(holding.unrealized),
        "realized_pnl": _usd(position.realized),
        "liquidation_price": f"{worth.liquidation_price(holding):.6f}",
        "total_funding_paid_out": _usd(position.funding),
        "margin_mode": 0,
        "allocated_margin": _usd(Decimal(0)),
        "total_discount": _usd(Decimal(0)),
    }


def _usd(amount: Decimal) -> str:
    return f"{amount:.6f}"
