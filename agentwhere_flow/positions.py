"""The position monitor: bring fills home, compare with the venues, mark, and close what must be closed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import ExitReason, ProtectionState, Venue
from agentwhere_core.domain.errors import RemoteError
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.trade import Position
from agentwhere_core.execution.exits import ExitDecision, decide_exits
from agentwhere_core.execution.protection import IN_DEBT, is_overdue
from agentwhere_flow import ledger, settling
from agentwhere_flow.exits import ExitDesk, clear_protection, close_positions
from agentwhere_flow.marking import mark_positions
from agentwhere_flow.outages import Outages
from agentwhere_flow.protection import protect_accounts
from agentwhere_flow.reconcile import Compared, compare_accounts, looks_of
from agentwhere_flow.report import Tally, step
from agentwhere_store import deployments as deployment_store
from agentwhere_store import markets as market_store
from agentwhere_store import performance as performance_store
from agentwhere_store import positions as store
from agentwhere_store.marks import open_exposures
from agentwhere_store.switches import positions_to_close

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System

SHOWN = 20
"""Rows of the step's table, the newest positions; its details count them all."""


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
            exposed = open_exposures(conn, shard=system.shard)
            markets = _markets_of(conn, exposed.keys(), tally)
            to_kill = positions_to_close(conn)
        quotes = _quotes(system, markets, now, tally)
        marked = mark_positions(system, exposed, quotes, compared, now, to_kill=to_kill)
        desk = ExitDesk(system, held, accounts, markets, quotes, now)
        closed = close_positions(desk, marked.decisions, marked.due, tally)
        protect_accounts(system, held, looks_of(compared), now, tally)
        owing, overdue = _overdue(system, compared, quotes, now)
        closed += close_positions(desk, overdue, owing, tally)
        clear_protection(desk, tally)
        with system.engine.begin() as conn:
            performance_store.snapshot_equity(conn, now)
            open_after, unprotected = store.count_open(conn, IN_DEBT, shard=system.shard)
            newest = store.open_positions(conn, shard=system.shard, limit=SHOWN)
    tally.rows_in = sum(len(positions) for positions in exposed.values())
    tally.rows_out = marked.count
    tally.details |= {
        "accounts": len(compared),
        "settled_from_earlier": len(settled),
        "changed_by_fills": sum(len(item.changed) for item in compared),
        "exits_decided": len(marked.decisions) + len(overdue),
        "unprotected": unprotected,
        "exits_sent": len(closed),
        "open_after": open_after,
    }
    tally.table = [_row(position) for position in newest]
    return tally


def _overdue(
    system: System,
    compared: Sequence[Compared],
    quotes: Mapping[tuple[Venue, str], Quote],
    now: datetime,
) -> tuple[list[Position], list[ExitDecision]]:
    """Return the positions to close because their stop loss does not rest at its venue by its deadline.

    One whose venue could not be asked is closed only if its stop loss was missing when last seen: not to know is not
    the same as to know that it is gone.
    """
    read = {item.watched.account.id for item in compared if item.resting is not None}
    with system.engine.begin() as conn:
        known = [
            position
            for position in store.owing_since(conn, now, shard=system.shard)
            if is_overdue(position, now)
            and (position.account_id in read or position.protection is ProtectionState.MISSING)
        ]
    prices = {place: quote.mid for place, quote in quotes.items()}
    return known, [
        decision
        for decision in decide_exits(known, prices, now)
        if decision.reason is ExitReason.UNPROTECTED
    ]


def _markets_of(
    conn: Connection, held: AbstractSet[tuple[Venue, str]], tally: Tally
) -> dict[tuple[Venue, str], Market]:
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
