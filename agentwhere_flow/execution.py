"""Agent Where, second half: place an entry with its protection for every routed signal.

Orders of earlier ticks that are still in doubt come first: until they are settled, they block their account and token.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import (
    DeploymentStatus,
    OrderPurpose,
    OrderSide,
    OrderState,
    Venue,
)
from agentwhere_core.domain.errors import AgentWhereError, RemoteError
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import Deployment, Order, OrderSpec, VenueAccount
from agentwhere_core.execution.client_ids import client_id, entry_key
from agentwhere_core.execution.exits import protective_prices
from agentwhere_flow import ledger
from agentwhere_flow.fills import sync_account
from agentwhere_flow.ledger import Desk, Intent
from agentwhere_flow.report import Tally, step
from agentwhere_store import agents as agent_store
from agentwhere_store import fills as fill_store
from agentwhere_store import markets as market_store
from agentwhere_store import orders as order_store
from agentwhere_store import positions as position_store
from agentwhere_store import routing as routing_store
from agentwhere_store.leases import Lease
from agentwhere_store.orders import EntryWork

if TYPE_CHECKING:
    from agentwhere_core.venues.protocol import Execution
    from agentwhere_flow.system import System

# A stop that was triggered must fill, however fast the price runs.
PROTECTION_SLIPPAGE_BPS = Decimal(1000)


@dataclass(frozen=True, slots=True)
class _Entry:
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
class _Outcome:
    """How an entry ended: its order, or why there is none."""

    entry: _Entry
    order: Order | None
    reason: Reason | None
    problem: str | None = None


@step("orders")
def execute_orders(system: System, now: datetime) -> Tally:
    """Settle orders in doubt, then send an entry for every routed signal that has none."""
    tally = Tally()
    with ledger.writer(system, now) as held:
        with system.engine.begin() as conn:
            deployments = {item.id: item for item in agent_store.deployments(conn)}
        accounts = {
            account.id: account for item in deployments.values() for account in item.accounts
        }
        settled = ledger.settle(system, held, accounts, tally)
        entries = _read_entries(system, now, deployments, tally)
        outcomes = _place_all(system, held, entries, now)
        settled += _settle_stragglers(system, held, accounts, outcomes, tally)
        placed = [outcome.order for outcome in outcomes if outcome.order]
        touched = {order.account_id for order in (*settled, *placed)}
        _sync_touched(system, touched, now, tally)
    _count(tally, outcomes, settled)
    return tally


def _read_entries(
    system: System, now: datetime, deployments: Mapping[UUID, Deployment], tally: Tally
) -> list[_Entry]:
    """Return the entries to place now, with market, quote and account; kill switches and pauses hold theirs back.

    Expired ones are among them, for their end to be recorded.
    """
    with system.engine.begin() as conn:
        work = order_store.unplaced_entries(conn, now)
        switches = routing_store.engaged_switches(conn)
        tokens = {item.signal.token for item in work}
        markets = {
            (market.venue, market.token): market
            for market in market_store.markets(conn, tokens=tokens)
        }
    tally.rows_in = len(work)
    allowed = []
    for item in work:
        if item.signal.expires_at <= now:
            allowed.append(item)
        elif not system.settings.may_send:
            tally.refuse(Reason.LIVE_TRADING_OFF)
        elif item.is_stopped(switches):
            tally.refuse(Reason.KILL_SWITCH)
        elif deployments[item.deployment_id].status is not DeploymentStatus.ACTIVE:
            tally.refuse(Reason.DEPLOYMENT_INACTIVE)
        else:
            allowed.append(item)
    quotes = _quotes(system, allowed, markets, now, tally)
    return [
        _Entry(
            work=item,
            deployment=deployments[item.deployment_id],
            account=_account(deployments[item.deployment_id], item.venue),
            market=markets.get((item.venue, item.signal.token)),
            quote=quotes.get((item.venue, item.signal.token)),
        )
        for item in allowed
    ]


def _quotes(
    system: System,
    work: Sequence[EntryWork],
    markets: Mapping[tuple[Venue, str], Market],
    now: datetime,
    tally: Tally,
) -> dict[tuple[Venue, str], Quote]:
    """Return current quotes of the markets that will be traded, one batch per venue."""
    wanted: dict[Venue, dict[str, Market]] = defaultdict(dict)
    for item in work:
        market = markets.get((item.venue, item.signal.token))
        if market is not None and system.execution(item.venue) is not None:
            wanted[item.venue][market.token] = market
    quotes: dict[tuple[Venue, str], Quote] = {}
    for venue, listed in wanted.items():
        try:
            found = system.venues[venue].quotes(list(listed.values()), now)
        except RemoteError as error:
            tally.problems.append(f"no entries on {venue} in this tick: {error}")
            continue
        quotes |= {(venue, token): quote for token, quote in found.items()}
    return quotes


def _place_all(
    system: System, held: Lease, entries: Sequence[_Entry], now: datetime
) -> list[_Outcome]:
    """Place entries, those of one account one after another, accounts side by side."""
    by_account: dict[UUID | None, list[_Entry]] = defaultdict(list)
    for entry in entries:
        by_account[entry.account.id if entry.account else entry.deployment.id].append(entry)

    def place_account(items: list[_Entry]) -> list[_Outcome]:
        return [_place(system, held, entry, now) for entry in items]

    if len(by_account) <= 1:
        return [outcome for items in by_account.values() for outcome in place_account(items)]
    with ThreadPoolExecutor(max_workers=system.settings.execution_concurrency) as pool:
        return [o for group in pool.map(place_account, by_account.values()) for o in group]


def _place(system: System, held: Lease, entry: _Entry, now: datetime) -> _Outcome:
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
        return _Outcome(entry, None, Reason.PRICE_UNAVAILABLE)
    if not entry.quote.is_open:
        return _Outcome(entry, None, Reason.MARKET_CLOSED)
    desk = Desk(system, held, adapter, entry.account)
    try:
        return _enter(desk, entry, entry.market, entry.quote, now)
    except AgentWhereError as error:
        # Nothing was sent, or the order is recorded as UNKNOWN: the next tick goes on from the ledger.
        problem = f"{work.signal.token} for {entry.deployment.name}: {error}"
        return _Outcome(entry, None, None, problem)


def _enter(desk: Desk, entry: _Entry, market: Market, quote: Quote, now: datetime) -> _Outcome:
    """Size, protect and send one entry."""
    work, system = entry.work, desk.system
    blocked = _blocked(system, work, desk.account)
    if blocked in {Reason.ORDER_PENDING, Reason.KILL_SWITCH}:
        return _Outcome(entry, None, blocked)
    if blocked is not None:
        return _decline(system, desk.lease, entry, blocked)
    state = desk.adapter.account_state(desk.account, now)
    if any(position.token == market.token for position in state.positions):
        # Opened by hand, or by fills that are not home yet: an entry would add to it, or close it.
        return _decline(system, desk.lease, entry, Reason.POSITION_EXISTS)
    leverage = min(work.leverage, market.max_leverage).to_integral_value(ROUND_DOWN)
    allocation = min(entry.deployment.capital_usd, state.equity_usd)
    margin_usd = allocation * work.fund_percentage / 100
    if margin_usd > state.free_margin_usd:
        return _decline(system, desk.lease, entry, Reason.UNFUNDED)
    size, limit_price = desk.adapter.entry(
        market, entry.side, margin_usd * leverage, quote, system.settings.max_slippage_bps
    )
    if size <= 0:
        return _decline(system, desk.lease, entry, Reason.BELOW_MINIMUM)
    specs = _with_protection(desk.adapter, entry, market, quote, (size, limit_price))
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
        ),
    )
    return _Outcome(entry, orders[0], orders[0].reason)


def _with_protection(
    adapter: Execution,
    entry: _Entry,
    market: Market,
    quote: Quote,
    sized: tuple[Decimal, Decimal],
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
        signal.side, quote.mid, signal.stop_loss_pct, signal.take_profit_pct
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


def _blocked(system: System, work: EntryWork, account: VenueAccount) -> Reason | None:
    """Return why the account may not enter now: stopped meanwhile, token held, or another order not settled."""
    with system.engine.begin() as conn:
        switches = routing_store.engaged_switches(conn)
        held = position_store.open_positions(conn, account_ids=[account.id])
        pending = order_store.pending_tokens(conn, [account.id]).get(account.id, frozenset())
    if work.is_stopped(switches):
        return Reason.KILL_SWITCH
    if any(position.token == work.signal.token for position in held):
        return Reason.POSITION_EXISTS
    return Reason.ORDER_PENDING if work.signal.token in pending else None


def _decline(system: System, held: Lease, entry: _Entry, reason: Reason) -> _Outcome:
    """Record in the ledger that an entry ended before anything was signed."""
    work = entry.work
    order = Order(
        id=new_id(),
        submission_id=None,
        deployment_id=work.deployment_id,
        account_id=entry.account.id if entry.account else None,
        signal_id=work.signal.id,
        position_id=None,
        leg=0,
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
    return _Outcome(entry, ended, reason)


def _settle_stragglers(
    system: System,
    held: Lease,
    accounts: Mapping[UUID, VenueAccount],
    outcomes: Sequence[_Outcome],
    tally: Tally,
) -> list[Order]:
    """Look up at once what this very tick left UNKNOWN, so that a lost reply costs seconds and not a tick."""
    if not any(o.order and o.order.state is OrderState.UNKNOWN for o in outcomes):
        return []
    return ledger.settle(system, held, accounts, tally)


def _sync_touched(
    system: System, account_ids: set[UUID | None], now: datetime, tally: Tally
) -> None:
    """Fetch the fills of the accounts that traded, so that their positions exist at once."""
    with system.engine.begin() as conn:
        watched = [
            item
            for item in fill_store.watched_accounts(conn, list(system.venues))
            if item.account.id in account_ids
        ]
    for item in watched:
        adapter = system.execution(item.account.venue)
        if adapter is None:
            continue
        try:
            sync_account(system, adapter, item, now)
        except AgentWhereError as error:
            tally.problems.append(
                f"fills of {item.account.address} follow with the next tick: {error}"
            )


def _client_id(work: EntryWork, purpose: OrderPurpose) -> str:
    return client_id(
        work.venue, entry_key(work.deployment_id, work.signal.id, 0, purpose), work.attempt
    )


def _account(deployment: Deployment, venue: Venue) -> VenueAccount | None:
    return next((a for a in deployment.accounts if a.venue is venue and a.is_enabled), None)


def _count(tally: Tally, outcomes: Sequence[_Outcome], settled: Sequence[Order]) -> None:
    """Put outcomes into the report."""
    for outcome in outcomes:
        order = outcome.order
        if outcome.problem:
            tally.problems.append(outcome.problem)
        elif order is not None and order.filled_size > 0:
            tally.rows_out += 1
        elif outcome.reason is not None:
            tally.refuse(outcome.reason)
        tally.table.append(
            {
                "deployment": outcome.entry.deployment.name,
                "token": outcome.entry.work.signal.token,
                "side": outcome.entry.work.signal.side.value,
                "venue": outcome.entry.work.venue.value,
                "state": order.state.value if order else "",
                "size": str(order.filled_size) if order else "",
                "price": str(order.average_price) if order and order.average_price else "",
                "reason": outcome.reason.value if outcome.reason else "",
            }
        )
    tally.details["settled_from_earlier"] = len(settled)
