"""Close positions through the ledger, and clear away protective orders that have nothing left to protect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, OrderState, Venue
from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_core.domain.events import PositionEvent
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import Order, OrderSpec, Position, VenueAccount
from agentwhere_core.execution.client_ids import client_id, exit_key
from agentwhere_core.execution.exits import ExitDecision
from agentwhere_flow import ledger, settling
from agentwhere_flow.fills import sync_account
from agentwhere_flow.ledger import Desk, Intent
from agentwhere_store import fills as fill_store
from agentwhere_store import markets as market_store
from agentwhere_store import open_orders
from agentwhere_store import positions as store
from agentwhere_store.leases import Lease
from agentwhere_store.open_orders import ExitOrders

if TYPE_CHECKING:
    from agentwhere_flow.report import Tally
    from agentwhere_flow.system import System


@dataclass(frozen=True, slots=True)
class ExitDesk:
    """Everything that closing needs, read before anything is sent."""

    system: System
    lease: Lease
    accounts: Mapping[UUID, VenueAccount]
    markets: Mapping[tuple[Venue, str], Market]
    quotes: Mapping[tuple[Venue, str], Quote]
    now: datetime

    def at(self, account: VenueAccount) -> Desk | None:
        """Return the desk of one account, or None where this version cannot trade."""
        adapter = self.system.execution(account.venue)
        return None if adapter is None else Desk(self.system, self.lease, adapter, account)


def close_positions(
    desk: ExitDesk, decisions: Sequence[ExitDecision], open_now: Sequence[Position], tally: Tally
) -> list[Order]:
    """Send a reduce-only order for each decision, then fetch the fills; return the orders as they ended."""
    if not decisions:
        return []
    if not desk.system.settings.may_send:
        tally.refuse(Reason.LIVE_TRADING_OFF, len(decisions))
        return []
    by_id = {position.id: position for position in open_now}
    with desk.system.engine.begin() as conn:
        wanted = [decision.position_id for decision in decisions]
        earlier = open_orders.exits_of(conn, wanted, desk.now)
        ended = open_orders.closed_at_venue(conn, wanted, desk.now)
    sent = []
    for decision in decisions:
        position = by_id[decision.position_id]
        before = earlier.get(position.id, ExitOrders())
        if before.is_pending or position.id in ended:
            tally.refuse(Reason.ORDER_PENDING)
            continue
        try:
            sent += _close(desk, decision, position, before.attempts + 1)
        except AgentWhereError as error:
            tally.problems.append(
                f"{position.token} of account {position.account_id} stays open although {decision.story}: {error}"
            )
    _sync(desk, {order.account_id for order in sent}, tally)
    return sent


def clear_protection(desk: ExitDesk, tally: Tally) -> None:
    """Cancel protective orders whose position is gone, so that none is left to hit a later one."""
    with desk.system.engine.begin() as conn:
        stray = open_orders.stray_protection(conn, shard=desk.system.shard)
        tokens = {order.token for order in stray}
        markets = {(m.venue, m.token): m for m in market_store.markets(conn, tokens=tokens)}
    for account_id, group in groupby(
        sorted(stray, key=lambda order: str(order.account_id)), lambda order: order.account_id
    ):
        account = desk.accounts.get(account_id) if account_id else None
        at = desk.at(account) if account else None
        if at is None:
            continue
        try:
            _clear(at, list(group), markets)
        except AgentWhereError as error:
            tally.problems.append(
                f"protective orders of {at.account.address} may still rest at {at.account.venue}: {error}"
            )


def _close(desk: ExitDesk, decision: ExitDecision, position: Position, attempt: int) -> list[Order]:
    """Close one position at the price that the book gives, within the slippage bound."""
    account = desk.accounts[position.account_id]
    at = desk.at(account)
    if at is None:
        return []
    place = (position.venue, position.token)
    market, quote = desk.markets[place], desk.quotes[place]
    side = position.side.closing
    reference = quote.ask if side is OrderSide.BUY else quote.bid
    with desk.system.engine.begin() as conn:
        store.intend_exit(conn, position.id, decision.reason, desk.now)
        store.add_event(
            conn,
            position.id,
            kind=PositionEvent.EXIT_DECIDED,
            detail=decision.story,
            evidence={"price": decision.price, "level": decision.level},
            at=desk.now,
        )
    spec = OrderSpec(
        client_id=client_id(position.venue, exit_key(position.id), attempt),
        purpose=OrderPurpose.EXIT,
        market_name=market.market_name,
        market_index=market.market_index,
        side=side,
        size=position.size,
        limit_price=at.adapter.limit_price(
            market, side, reference, desk.system.settings.max_slippage_bps
        ),
        trigger_price=None,
        reduce_only=True,
        size_decimals=market.size_decimals,
        price_decimals=market.price_decimals,
    )
    return ledger.place(
        at,
        Intent(
            account=account,
            market=market,
            deployment_id=position.deployment_id,
            signal_id=None,
            position_id=position.id,
            routing_id=None,
            attempt=attempt,
            leverage=position.leverage,
            specs=(spec,),
            mid_price=quote.mid,
        ),
    )


def _sync(desk: ExitDesk, account_ids: set[UUID | None], tally: Tally) -> None:
    """Fetch the fills of accounts that just closed something."""
    with desk.system.engine.begin() as conn:
        watched = fill_store.watched_accounts(
            conn, list(desk.system.venues), shard=desk.system.shard
        )
    for item in watched:
        at = desk.at(item.account)
        if item.account.id not in account_ids or at is None:
            continue
        try:
            sync_account(desk.system, at.adapter, item, desk.now)
        except AgentWhereError as error:
            tally.problems.append(
                f"fills of {item.account.address} follow with the next tick: {error}"
            )


def _clear(at: Desk, stray: Sequence[Order], markets: Mapping[tuple[Venue, str], Market]) -> None:
    """Ask what became of an account's stray orders, cancel those that still rest, and ask again."""
    resting = [
        order
        for order in (settling.refresh(at, item) for item in stray)
        if order.state in {OrderState.ACKED, OrderState.PARTIAL}
    ]
    by_market = groupby(sorted(resting, key=lambda order: order.token), lambda order: order.token)
    for token, group in by_market:
        orders = list(group)
        ledger.cancel(at, markets[at.account.venue, token], orders)
        for order in orders:
            settling.refresh(at, order)
