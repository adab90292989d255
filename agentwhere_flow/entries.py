"""Place one entry: sized by policy and account, sent with its protection, or declined for a recorded reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, OrderState
from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import Deployment, Order, OrderSpec, VenueAccount
from agentwhere_core.execution.client_ids import client_id, entry_key
from agentwhere_core.execution.exits import protective_prices
from agentwhere_core.execution.protection import default_stop_pct, strangers
from agentwhere_flow import ledger
from agentwhere_flow.guard import PROTECTION_SLIPPAGE_BPS
from agentwhere_flow.ledger import Desk, Intent
from agentwhere_store import open_orders
from agentwhere_store import positions as position_store
from agentwhere_store import routing as routing_store
from agentwhere_store.leases import Lease
from agentwhere_store.open_orders import EntryWork
from agentwhere_store.untracked import untracked_now

if TYPE_CHECKING:
    from agentwhere_core.venues.protocol import Execution
    from agentwhere_flow.system import System


@dataclass(frozen=True, slots=True)
class Entry:
    """Everything one entry needs, read before anything is sent."""

    work: EntryWork
    deployment: Deployment
    account: VenueAccount | None
    market: Market | None
    quote: Quote | None

    @property
    def side(self) -> OrderSide:
        """Order side that opens the signal's position."""
        return self.work.signal.side.opening


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an entry ended: its order, or why there is none."""

    entry: Entry
    order: Order | None
    reason: Reason | None
    problem: str | None = None


def place_entry(system: System, held: Lease, entry: Entry, now: datetime) -> Outcome:
    """Place one entry, or record why it cannot be placed."""
    work = entry.work
    if work.signal.expires_at <= now:
        return _decline(system, held, entry, Reason.SIGNAL_EXPIRED)
    adapter = system.execution(work.venue)
    if adapter is None:
        return _decline(system, held, entry, Reason.EXECUTION_NOT_AVAILABLE)
    if entry.account is None:
        return _decline(system, held, entry, Reason.NO_ACCOUNT)
    if entry.market is None:
        return _decline(system, held, entry, Reason.NOT_LISTED)
    if entry.quote is None:
        return Outcome(entry, None, Reason.PRICE_UNAVAILABLE)
    if not entry.quote.is_open:
        return Outcome(entry, None, Reason.MARKET_CLOSED)
    desk = Desk(system, held, adapter, entry.account)
    try:
        return _enter(desk, entry, entry.market, entry.quote, now)
    except AgentWhereError as error:
        # Nothing was sent, or the order is recorded as UNKNOWN: the next tick goes on from the ledger.
        problem = f"{work.signal.token} for {entry.deployment.name}: {error}"
        return Outcome(entry, None, None, problem)


def _enter(desk: Desk, entry: Entry, market: Market, quote: Quote, now: datetime) -> Outcome:
    """Size, protect and send one entry."""
    work, system = entry.work, desk.system
    blocked = _blocked(system, work, desk.account)
    if blocked in {Reason.ORDER_PENDING, Reason.KILL_SWITCH}:
        return Outcome(entry, None, blocked)
    if blocked is not None:
        return _decline(system, desk.lease, entry, blocked)
    state = desk.adapter.account_state(desk.account, now)
    if any(position.token == market.token for position in state.positions):
        # Opened by hand, or by fills that are not home yet: an entry would add to it, or close it.
        return _decline(system, desk.lease, entry, Reason.POSITION_EXISTS)
    in_the_way = _in_the_way(desk, market)
    if in_the_way is Reason.ORDER_PENDING:
        return Outcome(entry, None, in_the_way)
    if in_the_way is not None:
        return _decline(system, desk.lease, entry, in_the_way)
    leverage = min(work.leverage, market.max_leverage).to_integral_value(ROUND_DOWN)
    allocation = min(entry.deployment.capital_usd, state.equity_usd)
    margin_usd = allocation * work.fund_percentage / 100 * work.share
    if margin_usd > state.free_margin_usd:
        return _decline(system, desk.lease, entry, Reason.UNFUNDED)
    size, limit_price = desk.adapter.entry(
        market,
        entry.side,
        _notional(entry, market, quote, margin_usd * leverage),
        quote,
        system.settings.max_slippage_bps,
    )
    if size <= 0:
        return _decline(system, desk.lease, entry, Reason.BELOW_MINIMUM)
    stop_pct = _stop_pct(system, entry, leverage)
    specs = _with_protection(
        desk.adapter, entry, market, quote, (size, limit_price), stop_pct=stop_pct
    )
    ledger.set_leverage(desk, market, int(leverage))
    orders = ledger.place(
        desk,
        Intent(
            account=desk.account,
            market=market,
            deployment_id=work.deployment_id,
            signal_id=work.signal.id,
            position_id=None,
            routing_id=work.routing_id,
            attempt=work.attempt,
            leverage=leverage,
            specs=specs,
            mid_price=quote.mid,
            leg=work.leg,
        ),
    )
    return Outcome(entry, orders[0], orders[0].reason)


def _notional(entry: Entry, market: Market, quote: Quote, most_usd: Decimal) -> Decimal:
    """Return what an entry may be worth: its share of the funds, and no more than the quantity that was asked for."""
    quantity = entry.work.signal.quantity
    if quantity is None:
        return most_usd
    price = quote.ask if entry.side is OrderSide.BUY else quote.bid
    return min(most_usd, quantity * entry.work.share / market.size_multiplier * price)


def _with_protection(
    adapter: Execution,
    entry: Entry,
    market: Market,
    quote: Quote,
    sized: tuple[Decimal, Decimal],
    *,
    stop_pct: Decimal | None,
) -> tuple[OrderSpec, ...]:
    """Return the entry, and the take profit and stop loss that travel with it."""
    work, signal = entry.work, entry.work.signal
    size, limit_price = sized

    def spec(
        purpose: OrderPurpose, side: OrderSide, limit: Decimal, trigger: Decimal | None
    ) -> OrderSpec:
        return OrderSpec(
            client_id=_client_id(work, purpose),
            purpose=purpose,
            market_name=market.market_name,
            market_index=market.market_index,
            side=side,
            size=size,
            limit_price=limit,
            trigger_price=trigger,
            reduce_only=purpose is not OrderPurpose.ENTRY,
            size_decimals=market.size_decimals,
            price_decimals=market.price_decimals,
        )

    take_profit, stop_loss = protective_prices(
        signal.side, quote.mid, stop_pct, signal.take_profit_pct
    )
    specs = [spec(OrderPurpose.ENTRY, entry.side, limit_price, None)]
    for purpose, price in (
        (OrderPurpose.TAKE_PROFIT, take_profit),
        (OrderPurpose.STOP_LOSS, stop_loss),
    ):
        if price is not None:
            trigger = adapter.round_price(market, price)
            limit = adapter.limit_price(
                market, signal.side.closing, trigger, PROTECTION_SLIPPAGE_BPS
            )
            specs.append(spec(purpose, signal.side.closing, limit, trigger))
    return tuple(specs)


def _stop_pct(system: System, entry: Entry, leverage: Decimal) -> Decimal | None:
    """Return the stop loss to trade with, in percent of the price; None only where the policy allows to have none."""
    wished = entry.work.signal.stop_loss_pct
    if wished is not None or entry.deployment.policy.allow_unprotected:
        return wished
    return default_stop_pct(system.settings.default_stop_loss_pct, leverage)


def _in_the_way(desk: Desk, market: Market) -> Reason | None:
    """Return why what rests in the market forbids an entry: it would hit the new position.

    Orders of ours are left over from an earlier position: the monitor cancels them, and the entry follows.
    """
    resting = [o for o in desk.adapter.resting_orders(desk.account) if o.token == market.token]
    if not resting:
        return None
    names = [order.client_id for order in resting if order.client_id]
    with desk.system.engine.begin() as conn:
        ours = open_orders.orders_called(conn, desk.account.id, names)
    return Reason.ORDERS_RESTING if strangers(resting, ours) else Reason.ORDER_PENDING


def _blocked(system: System, work: EntryWork, account: VenueAccount) -> Reason | None:
    """Return why the account may not enter now: stopped meanwhile, token held, or another order not settled."""
    with system.engine.begin() as conn:
        switches = routing_store.engaged_switches(conn)
        held = position_store.open_positions(conn, account_ids=[account.id])
        pending = open_orders.pending_tokens(conn, [account.id]).get(account.id, frozenset())
        untracked = {one.token for one in untracked_now(conn, [account.id])}
    if work.is_stopped(switches):
        return Reason.KILL_SWITCH
    if any(position.token == work.signal.token for position in held):
        return Reason.POSITION_EXISTS
    if work.signal.token in untracked:
        return Reason.TOKEN_NOT_FOLLOWED
    return Reason.ORDER_PENDING if work.signal.token in pending else None


def _decline(system: System, held: Lease, entry: Entry, reason: Reason) -> Outcome:
    """Record in the ledger that an entry ended before anything was signed."""
    work = entry.work
    order = Order(
        id=new_id(),
        submission_id=None,
        deployment_id=work.deployment_id,
        account_id=entry.account.id if entry.account else None,
        signal_id=work.signal.id,
        position_id=None,
        leg=work.leg,
        attempt=work.attempt,
        purpose=OrderPurpose.ENTRY,
        venue=work.venue,
        token=work.signal.token,
        market_name=entry.market.market_name if entry.market else work.signal.token,
        side=entry.side,
        reduce_only=False,
        size=Decimal(0),
        limit_price=Decimal(0),
        trigger_price=None,
        leverage=work.leverage,
        client_id=_client_id(work, OrderPurpose.ENTRY),
        state=OrderState.PLANNED,
        filled_size=Decimal(0),
        average_price=None,
        venue_order_id=None,
        reason=None,
    )
    ended = ledger.record_unplaced(
        system, held, order, reason, routing_id=work.routing_id, now=system.clock()
    )
    return Outcome(entry, ended, reason)


def _client_id(work: EntryWork, purpose: OrderPurpose) -> str:
    return client_id(
        work.venue, entry_key(work.deployment_id, work.signal.id, work.leg, purpose), work.attempt
    )
