"""From what Hyperliquid says about an account to our own values: state, fills, movements of money."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

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
from agentwhere_core.venues.checked import parse
from agentwhere_core.venues.hyperliquid import replies
from agentwhere_core.venues.hyperliquid.outcomes import SERVICE
from agentwhere_core.venues.hyperliquid.replies import (
    FundingEntry,
    LedgerDelta,
    LedgerEntry,
    OpenOrder,
    UserFill,
)
from agentwhere_core.venues.symbols import canonical

_ZERO = Decimal(0)
_PERPS_DEX: Final = ""
# Movements between spot wallets, or of things that are no margin: the perpetuals account does not see them.
_OUTSIDE_PERPS = frozenset(
    {
        "spotTransfer",
        "spotGenesis",
        "rewardsClaim",
        "cStakingTransfer",
        "deployGasAuction",
        "accountActivationGas",
    }
)
# Shown in the ledger, but told by fills already.
_TOLD_BY_FILLS = frozenset({"liquidation"})


def account_state(reply: Any, address: str, now: datetime) -> AccountState:
    """Return balances and positions from an answer to ``clearinghouseState``.

    Free margin is what cross positions have left: value of the cross account minus the margin in use.
    """
    state = parse(SERVICE, "an account's state", replies.STATE, reply)
    cross = state.cross_margin_summary
    held = (item.position for item in state.asset_positions)
    return AccountState(
        address=address,
        equity_usd=state.margin_summary.account_value,
        free_margin_usd=max(_ZERO, cross.account_value - cross.total_margin_used),
        positions=tuple(_position(position) for position in held if position.szi != 0),
        at=now,
    )


def is_listed(coin: str) -> bool:
    """Tell the perpetuals that we list from what is not ours to follow.

    Spot pairs (``@107``, ``PURR/USDC``) are no perpetuals. Builders' markets (``xyz:TSLA``) have accounts of their own:
    their positions are in no state of ours, so neither may their fills and their funding be.
    """
    return not coin.startswith("@") and "/" not in coin and ":" not in coin


def resting_order(order: OpenOrder) -> RestingOrder:
    """Return an order that rests in our words."""
    return RestingOrder(
        venue_order_id=str(order.oid),
        client_id=order.cloid,
        token=canonical(Venue.HYPERLIQUID, order.coin).token,
        market_name=order.coin,
        side=OrderSide.BUY if order.side == "B" else OrderSide.SELL,
        size=None if order.is_position_tpsl else order.sz,
        purpose=_purpose(order),
        trigger_price=order.trigger_px if order.is_trigger else None,
        reduce_only=order.reduce_only,
    )


def fill_of(fill: UserFill, account: VenueAccount) -> Fill:
    """Return a fill in our words.

    Raises
    ------
    MalformedReplyError
        If its fee is not in USDC.
    """
    if fill.fee_token != "USDC" and fill.fee != 0:
        raise MalformedReplyError(
            SERVICE,
            f"fill {fill.tid} of {account.address} has a fee in {fill.fee_token}, expected USDC; "
            "its cost in dollars is unknown",
        )
    liquidated = fill.liquidation.liquidated_user if fill.liquidation else None
    return Fill(
        venue=Venue.HYPERLIQUID,
        account_id=account.id,
        fill_id=str(fill.tid),
        venue_order_id=str(fill.oid),
        client_id=fill.cloid,
        token=canonical(Venue.HYPERLIQUID, fill.coin).token,
        market_name=fill.coin,
        side=OrderSide.BUY if fill.side == "B" else OrderSide.SELL,
        size=fill.sz,
        price=fill.px,
        fee_usd=fill.fee,
        closed_pnl_usd=fill.closed_pnl,
        at=from_ms(fill.time),
        is_liquidation=liquidated is not None and liquidated.lower() == account.address.lower(),
        raw=fill.raw(),
    )


def funding_flows(entries: Iterable[FundingEntry], account: VenueAccount) -> list[CashFlow]:
    """Return funding payments as cash flows; the venue gives them no id, so market and time are their reference."""
    return [
        CashFlow(
            venue=Venue.HYPERLIQUID,
            account_id=account.id,
            reference=f"funding:{entry.delta.coin}:{entry.time}",
            kind=CashFlowKind.FUNDING,
            token=canonical(Venue.HYPERLIQUID, entry.delta.coin).token,
            amount_usd=entry.delta.usdc,
            at=from_ms(entry.time),
        )
        for entry in entries
        if is_listed(entry.delta.coin)
    ]


def transfer_flows(entries: Iterable[LedgerEntry], account: VenueAccount) -> list[CashFlow]:
    """Return what entered or left the perpetuals account, without movements that do not touch it."""
    flows = []
    for entry in entries:
        amount = _perps_amount(entry.delta, account.address.lower())
        if amount:
            flows.append(
                CashFlow(
                    venue=Venue.HYPERLIQUID,
                    account_id=account.id,
                    reference=f"{entry.delta.type}:{entry.hash}:{entry.time}:{amount}",
                    kind=CashFlowKind.DEPOSIT if amount > 0 else CashFlowKind.WITHDRAWAL,
                    token=None,
                    amount_usd=amount,
                    at=from_ms(entry.time),
                )
            )
    return flows


def _purpose(order: OpenOrder) -> OrderPurpose | None:
    if not order.is_trigger:
        return None
    if order.order_type.startswith("Take Profit"):
        return OrderPurpose.TAKE_PROFIT
    return OrderPurpose.STOP_LOSS if order.order_type.startswith("Stop") else None


def _position(position: replies.HeldPosition) -> VenuePosition:
    if position.entry_px is None:
        raise MalformedReplyError(
            SERVICE, f"the position in {position.coin} has a size but no entry price"
        )
    return VenuePosition(
        token=canonical(Venue.HYPERLIQUID, position.coin).token,
        market_name=position.coin,
        side=Side.LONG if position.szi > 0 else Side.SHORT,
        size=abs(position.szi),
        entry_price=position.entry_px,
        leverage=position.leverage.value,
        unrealized_pnl_usd=position.unrealized_pnl,
        liquidation_price=position.liquidation_px,
    )


def _perps_amount(delta: LedgerDelta, address: str) -> Decimal:
    """Return the change of the perpetuals account in USD, zero where it is not touched.

    Raises
    ------
    MalformedReplyError
        If the kind is unknown: leaving it out would make up or hide profit.
    """
    if delta.type in _OUTSIDE_PERPS or delta.type in _TOLD_BY_FILLS:
        return _ZERO
    if delta.type == "send":
        return _sent_amount(delta, address)
    if delta.type == "vaultWithdraw":
        return _field(delta, "net_withdrawn_usd")
    usdc = _field(delta, "usdc")
    match delta.type:
        case "deposit" | "vaultDistribution":
            return usdc
        case "withdraw":
            return -(usdc + (delta.fee or _ZERO))
        case "accountClassTransfer":
            return usdc if delta.to_perp else -usdc
        case "internalTransfer" | "subAccountTransfer":
            came_in = (delta.destination or "").lower() == address
            return usdc if came_in else -(usdc + (delta.fee or _ZERO))
        case "vaultDeposit" | "vaultCreate":
            return -(usdc + (delta.fee or _ZERO))
    raise MalformedReplyError(
        SERVICE,
        f"the ledger of {address} has an entry of the unknown kind {delta.type!r}; "
        "its effect on the account must be known before returns can be told",
    )


def _sent_amount(delta: LedgerDelta, address: str) -> Decimal:
    """Return the change by a ``send`` between wallets and markets; only USDC of the main perpetuals counts."""
    if delta.token != "USDC":
        return _ZERO
    amount = _field(delta, "amount")
    change = _ZERO
    if delta.destination_dex == _PERPS_DEX and (delta.destination or "").lower() == address:
        change += amount
    if delta.source_dex == _PERPS_DEX and (delta.user or "").lower() == address:
        change -= amount
    return change


def _field(delta: LedgerDelta, name: str) -> Decimal:
    value: Decimal | None = getattr(delta, name)
    if value is None:
        raise MalformedReplyError(
            SERVICE, f"a ledger entry of kind {delta.type!r} has no {name}; nothing was recorded"
        )
    return value
