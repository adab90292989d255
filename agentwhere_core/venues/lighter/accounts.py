"""From what Lighter says about an account to our own values: state, fills, movements of money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from agentwhere_core.domain.enums import CashFlowKind, OrderPurpose, OrderSide, Side, Venue
from agentwhere_core.domain.errors import MalformedReplyError
from agentwhere_core.domain.time import from_ms
from agentwhere_core.domain.trade import (
    AccountState,
    CashFlow,
    Fill,
    RestingOrder,
    VenueAccount,
    VenuePosition,
)
from agentwhere_core.venues.lighter import replies
from agentwhere_core.venues.lighter.replies import SERVICE
from agentwhere_core.venues.symbols import canonical

_PERCENT = Decimal(100)
_PARTS_PER_MILLION = Decimal(1_000_000)
_USDC = Decimal("0.000001")
_USDC_ASSET: Final = 3
_FORCED = frozenset({"liquidation", "deleverage"})
_AFTER_PARENT: Final = "parent-order"
_PURPOSES: Final[Mapping[str, OrderPurpose]] = {
    "stop-loss": OrderPurpose.STOP_LOSS,
    "stop-loss-limit": OrderPurpose.STOP_LOSS,
    "take-profit": OrderPurpose.TAKE_PROFIT,
    "take-profit-limit": OrderPurpose.TAKE_PROFIT,
}
_ARRIVED = frozenset({"completed"})
# A withdrawal has left the account as soon as it can be claimed on the chain.
_LEFT = frozenset({"claimable", "completed"})
_FIRST_MILLISECOND_STAMP = 10**11


def moment(stamp: int) -> datetime:
    """Return the time of a stamp: the venue writes some in seconds and some in milliseconds."""
    return from_ms(stamp if stamp >= _FIRST_MILLISECOND_STAMP else stamp * 1000)


def account_state(account: replies.Account, address: str, now: datetime) -> AccountState:
    """Return balances and positions."""
    return AccountState(
        address=address,
        equity_usd=account.total_asset_value,
        free_margin_usd=max(Decimal(0), account.available_balance),
        positions=tuple(_position(one) for one in account.positions if one.position != 0),
        at=now,
    )


def fills_of(trade: replies.Trade, market_name: str, account: VenueAccount) -> list[Fill]:
    """Return the account's side of a trade; both, where it traded with itself.

    Raises
    ------
    MalformedReplyError
        If the account had no part in it.
    """
    mine = int(account.address)
    sides = [
        side
        for side, owner in (
            (OrderSide.SELL, trade.ask_account_id),
            (OrderSide.BUY, trade.bid_account_id),
        )
        if owner == mine
    ]
    if not sides:
        raise MalformedReplyError(
            SERVICE, f"trade {trade.trade_id} is none of account {mine}; no trade was recorded"
        )
    return [_fill(trade, market_name, account, side, alone=len(sides) == 1) for side in sides]


def resting_orders(
    orders: Iterable[replies.ActiveOrder], names: Mapping[int, str]
) -> list[RestingOrder]:
    """Return orders that rest in our words; ``names`` are those of the perpetuals.

    What waits for its parent to fill does not rest yet.
    """
    return [
        RestingOrder(
            venue_order_id=str(order.order_index),
            client_id=str(order.client_order_index) if order.client_order_index else None,
            token=canonical(Venue.LIGHTER, names[order.market_index]).token,
            market_name=names[order.market_index],
            side=OrderSide.SELL if order.is_ask else OrderSide.BUY,
            size=order.remaining_base_amount or None,
            purpose=_PURPOSES.get(order.type),
            trigger_price=order.trigger_price or None,
            reduce_only=order.reduce_only,
        )
        for order in orders
        if order.market_index in names and order.trigger_status != _AFTER_PARENT
    ]


def funding_flows(
    payments: Iterable[replies.Funding], names: Mapping[int, str], account: VenueAccount
) -> list[CashFlow]:
    """Return funding payments as cash flows; ``names`` are those of the perpetuals."""
    return [
        CashFlow(
            venue=Venue.LIGHTER,
            account_id=account.id,
            reference=f"funding:{payment.market_id}:{payment.funding_id}:{payment.timestamp}",
            kind=CashFlowKind.FUNDING,
            token=canonical(Venue.LIGHTER, names[payment.market_id]).token,
            amount_usd=payment.change,
            at=moment(payment.timestamp),
        )
        for payment in payments
        if payment.market_id in names
    ]


def transfer_flows(
    deposits: Iterable[replies.Transfer],
    withdrawals: Iterable[replies.Transfer],
    account: VenueAccount,
) -> list[CashFlow]:
    """Return deposits and withdrawals of USDC that took place."""
    arrived = [one for one in deposits if one.status in _ARRIVED and one.asset_id == _USDC_ASSET]
    left = [one for one in withdrawals if one.status in _LEFT and one.asset_id == _USDC_ASSET]
    return [
        *(_transfer(one, CashFlowKind.DEPOSIT, one.amount, account) for one in arrived),
        *(_transfer(one, CashFlowKind.WITHDRAWAL, -one.amount, account) for one in left),
    ]


def _transfer(
    transfer: replies.Transfer, kind: CashFlowKind, amount: Decimal, account: VenueAccount
) -> CashFlow:
    return CashFlow(
        venue=Venue.LIGHTER,
        account_id=account.id,
        reference=f"{kind.value.lower()}:{transfer.id}",
        kind=kind,
        token=None,
        amount_usd=amount,
        at=moment(transfer.timestamp),
    )


def _position(position: replies.HeldPosition) -> VenuePosition:
    if position.sign == 0 or position.initial_margin_fraction <= 0:
        raise MalformedReplyError(
            SERVICE, f"the position in {position.symbol} has a size but no side or no margin"
        )
    return VenuePosition(
        token=canonical(Venue.LIGHTER, position.symbol).token,
        market_name=position.symbol,
        side=Side.LONG if position.sign > 0 else Side.SHORT,
        size=abs(position.position),
        entry_price=position.avg_entry_price,
        leverage=_PERCENT / position.initial_margin_fraction,
        unrealized_pnl_usd=position.unrealized_pnl,
        liquidation_price=position.liquidation_price or None,
    )


def _fill(
    trade: replies.Trade, market_name: str, account: VenueAccount, side: OrderSide, *, alone: bool
) -> Fill:
    is_ask = side is OrderSide.SELL
    is_maker = trade.is_maker_ask == is_ask
    rate = Decimal(trade.maker_fee if is_maker else trade.taker_fee) / _PARTS_PER_MILLION
    client_id = trade.ask_client_id if is_ask else trade.bid_client_id
    return Fill(
        venue=Venue.LIGHTER,
        account_id=account.id,
        fill_id=str(trade.trade_id) if alone else f"{trade.trade_id}:{side.value}",
        venue_order_id=str(trade.ask_id if is_ask else trade.bid_id),
        client_id=str(client_id) if client_id else None,
        token=canonical(Venue.LIGHTER, market_name).token,
        market_name=market_name,
        side=side,
        size=trade.size,
        price=trade.price,
        fee_usd=(trade.usd_amount * rate).quantize(_USDC),
        closed_pnl_usd=trade.ask_account_pnl if is_ask else trade.bid_account_pnl,
        at=moment(trade.timestamp),
        is_liquidation=trade.type in _FORCED and not is_maker,
        raw=trade.raw(),
    )
