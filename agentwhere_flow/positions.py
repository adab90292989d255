"""The position monitor: bring fills home, compare with the venues, mark, and close what must be closed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import ExitReason, ProtectionState, Venue
from agentwhere_core.domain.errors import RemoteError
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.trade import Position, VenuePosition
from agentwhere_core.execution.exits import ExitDecision, advance_best_price, decide_exits
from agentwhere_core.execution.positions import mark
from agentwhere_core.execution.protection import IN_DEBT, is_overdue
from agentwhere_flow import ledger, settling
from agentwhere_flow.exits import ExitDesk, clear_protection, close_positions
from agentwhere_flow.outages import Outages
from agentwhere_flow.protection import protect_accounts
from agentwhere_flow.reconcile import Compared, compare_accounts, looks_of
from agentwhere_flow.report import Tally, step
from agentwhere_store import deployments as deployment_store
from agentwhere_store import markets as market_store
from agentwhere_store import performance as performance_store
from agentwhere_store import positions as store
from agentwhere_store.switches import positions_to_close

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System


@step("positions")
def monitor_positions(system: System, now: datetime) -> Tally:
    """Look after every open position once; an account or venue that fails delays no other."""
    tally, outages = Tally(), Outages()
    with ledger.writer(system, now) as held:
        with system.engine.begin() as conn:
            deployments = deployment_store.deployments(conn, shard=system.shard)
        accounts = {account.id: account for item in deployments for account in item.accounts}
        settled = settling.settle(system, held, accounts, tally, outages)
        compared = compare_accounts(system, now, tally, outages)
        with system.engine.begin() as conn:
            open_now = store.open_positions(conn, shard=system.shard)
            markets = _markets_of(conn, open_now, tally)
            to_kill = positions_to_close(conn)
        quotes = _quotes(system, markets, now, tally)
        open_now = _mark_all(system, open_now, quotes, compared, now)
        prices = {place: quote.mid for place, quote in quotes.items()}
        # Whether protection is overdue is decided below, after it was looked at.
        decisions = [
            decision
            for decision in decide_exits(open_now, prices, now, to_kill=to_kill)
            if decision.reason is not ExitReason.UNPROTECTED
        ]
        desk = ExitDesk(system, held, accounts, markets, quotes, now)
        closed = close_positions(desk, decisions, open_now, tally)
        protect_accounts(system, held, looks_of(compared), now, tally)
        overdue = _overdue(system, compared, prices, now)
        closed += close_positions(desk, overdue, open_now, tally)
        clear_protection(desk, tally)
        with system.engine.begin() as conn:
            performance_store.snapshot_equity(conn, now)
            left = store.open_positions(conn, shard=system.shard)
    tally.rows_in = len(open_now)
    tally.rows_out = sum(1 for p in open_now if (p.venue, p.token) in quotes)
    tally.details |= {
        "accounts": len(compared),
        "settled_from_earlier": len(settled),
        "changed_by_fills": sum(len(item.changed) for item in compared),
        "exits_decided": len(decisions) + len(overdue),
        "unprotected": sum(1 for position in left if position.protection in IN_DEBT),
        "exits_sent": len(closed),
        "open_after": len(left),
    }
    tally.table = [_row(position) for position in left]
    return tally


def _overdue(
    system: System,
    compared: Sequence[Compared],
    prices: Mapping[tuple[Venue, str], Decimal],
    now: datetime,
) -> list[ExitDecision]:
    """Return the positions to close because their stop loss does not rest at its venue by its deadline.

    One whose venue could not be asked is closed only if its stop loss was missing when last seen: not to know is not
    the same as to know that it is gone.
    """
    read = {item.watched.account.id for item in compared if item.resting is not None}
    with system.engine.begin() as conn:
        known = [
            position
            for position in store.open_positions(conn, shard=system.shard)
            if is_overdue(position, now)
            and (position.account_id in read or position.protection is ProtectionState.MISSING)
        ]
    return [
        decision
        for decision in decide_exits(known, prices, now)
        if decision.reason is ExitReason.UNPROTECTED
    ]


def _markets_of(
    conn: Connection, open_now: Sequence[Position], tally: Tally
) -> dict[tuple[Venue, str], Market]:
    held = {(position.venue, position.token) for position in open_now}
    found = {
        (market.venue, market.token): market
        for market in market_store.markets(conn, tokens={token for _, token in held})
        if (market.venue, market.token) in held
    }
    tally.problems += [
        f"{token} on {venue} is held, but its market is not known, so that it cannot be marked or closed: "
        f"run `agentwhere sync-markets {venue}`"
        for venue, token in sorted(held - found.keys())
    ]
    return found


def _quotes(
    system: System,
    markets: Mapping[tuple[Venue, str], Market],
    now: datetime,
    tally: Tally,
) -> dict[tuple[Venue, str], Quote]:
    """Return current quotes of all held markets, one batch per venue."""
    by_venue: dict[Venue, list[Market]] = defaultdict(list)
    for market in markets.values():
        by_venue[market.venue].append(market)
    quotes: dict[tuple[Venue, str], Quote] = {}
    for venue, listed in by_venue.items():
        if venue not in system.venues:
            tally.problems.append(
                f"positions on {venue} are not looked after: add it to AGENTWHERE_VENUES"
            )
            continue
        try:
            found = system.venues[venue].quotes(listed, now)
        except RemoteError as error:
            tally.problems.append(f"positions on {venue} keep their old marks: {error}")
            continue
        quotes |= {(venue, token): quote for token, quote in found.items()}
        tally.problems += [
            f"{market.token} on {venue} has no price: its position keeps its old mark, and only the stop orders "
            f"at the venue protect it; look at {market.market_name} there"
            for market in listed
            if market.token not in found
        ]
    return quotes


def _mark_all(
    system: System,
    open_now: Sequence[Position],
    quotes: Mapping[tuple[Venue, str], Quote],
    compared: Sequence[Compared],
    now: datetime,
) -> list[Position]:
    """Write price, unrealized PnL, best price and liquidation price of every position that has a price.

    Return the positions as they are then: exits must be decided by the liquidation price of now. It stays as it was
    where the account could not be read.
    """
    read = {item.watched.account.id for item in compared if item.state is not None}
    at_venue: dict[tuple[UUID, str], VenuePosition] = {
        (item.watched.account.id, position.token): position
        for item in compared
        if item.state is not None
        for position in item.state.positions
    }
    marks = []
    for position in open_now:
        quote = quotes.get((position.venue, position.token))
        if quote is None:
            continue
        there = at_venue.get((position.account_id, position.token))
        liquidation = there.liquidation_price if there else None
        marks.append(
            store.Mark(
                position_id=position.id,
                price=quote.mid,
                unrealized_pnl_usd=mark(position, quote.mid),
                best_price=advance_best_price(position, quote.mid),
                liquidation_price=liquidation
                if position.account_id in read
                else position.liquidation_price,
            )
        )
    with system.engine.begin() as conn:
        store.save_marks(conn, marks, now)
        return store.open_positions(conn, shard=system.shard)


def _row(position: Position) -> dict[str, str]:
    return {
        "token": position.token,
        "side": position.side.value,
        "venue": position.venue.value,
        "size": f"{position.size.normalize():f}",
        "entry": f"{position.entry_price.normalize():f}",
        "price": f"{position.current_price.normalize():f}" if position.current_price else "",
        "pnl_usd": f"{position.unrealized_pnl_usd:.2f}",
        "stop_loss": f"{position.stop_loss_price.normalize():f}"
        if position.stop_loss_price
        else "",
        "take_profit": f"{position.take_profit_price.normalize():f}"
        if position.take_profit_price
        else "",
    }
