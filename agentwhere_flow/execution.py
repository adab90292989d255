"""Agent Where, second half: place an entry with its protection for every routed signal.

Orders of earlier ticks that are still in doubt come first: until they are settled, they block their account and token.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import (
    DeploymentStatus,
    OrderState,
    Venue,
)
from agentwhere_core.domain.errors import AgentWhereError, RemoteError
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import Deployment, Order, VenueAccount
from agentwhere_core.tracing import carried
from agentwhere_flow import ledger, settling
from agentwhere_flow.entries import Entry, Outcome, place_entry
from agentwhere_flow.failover import fail_over
from agentwhere_flow.fills import sync_account
from agentwhere_flow.outages import Outages
from agentwhere_flow.protection import AccountLook, protect_accounts
from agentwhere_flow.report import Tally, step
from agentwhere_store import deployments as deployment_store
from agentwhere_store import fills as fill_store
from agentwhere_store import markets as market_store
from agentwhere_store import open_orders
from agentwhere_store import routing as routing_store
from agentwhere_store.leases import Lease
from agentwhere_store.open_orders import EntryWork

if TYPE_CHECKING:
    from agentwhere_flow.system import System


@step("orders")
def execute_orders(system: System, now: datetime) -> Tally:
    """Settle orders in doubt, then send an entry for every routed signal that has none."""
    tally, outages = Tally(), Outages()
    with ledger.writer(system, now) as held:
        with system.engine.begin() as conn:
            deployments = {
                item.id: item for item in deployment_store.deployments(conn, shard=system.shard)
            }
        accounts = {
            account.id: account for item in deployments.values() for account in item.accounts
        }
        settled = settling.settle(system, held, accounts, tally, outages)
        # What an earlier tick was refused and could not take elsewhere any more.
        fail_over(system, deployments, tally)
        entries = _read_entries(system, now, deployments, tally)
        outcomes = _place_all(system, held, entries, now)
        settled += _settle_stragglers(system, held, accounts, outcomes, tally, outages=outages)
        while moved := fail_over(system, deployments, tally):
            entries = _read_entries(system, now, deployments, tally, only=moved)
            outcomes += _place_all(system, held, entries, now)
            settled += _settle_stragglers(system, held, accounts, outcomes, tally, outages=outages)
        placed = [outcome.order for outcome in outcomes if outcome.order]
        touched = {order.account_id for order in (*settled, *placed)}
        _bring_home(system, held, touched, now, tally)
        tally.problems += outages.problems()
    _count(tally, outcomes, settled)
    return tally


def _read_entries(
    system: System,
    now: datetime,
    deployments: Mapping[UUID, Deployment],
    tally: Tally,
    *,
    only: Collection[tuple[UUID, int]] | None = None,
) -> list[Entry]:
    """Return the entries to place now, with market, quote and account; kill switches and pauses hold theirs back.

    Expired ones are among them, for their end to be recorded. ``only`` names the decisions and legs that are meant.
    """
    with system.engine.begin() as conn:
        work = [
            item
            for item in open_orders.unplaced_entries(conn, now, shard=system.shard)
            if only is None or (item.routing_id, item.leg) in only
        ]
        switches = routing_store.engaged_switches(conn)
        tokens = {item.signal.token for item in work}
        markets = {
            (market.venue, market.token): market
            for market in market_store.markets(conn, tokens=tokens)
        }
    tally.rows_in += len(work)
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
        Entry(
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
    system: System, held: Lease, entries: Sequence[Entry], now: datetime
) -> list[Outcome]:
    """Place entries, those of one account one after another, accounts side by side."""
    by_account: dict[UUID | None, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_account[entry.account.id if entry.account else entry.deployment.id].append(entry)

    def place_account(items: list[Entry]) -> list[Outcome]:
        return [place_entry(system, held, entry, now) for entry in items]

    if len(by_account) <= 1:
        return [outcome for items in by_account.values() for outcome in place_account(items)]
    with ThreadPoolExecutor(max_workers=system.settings.execution_concurrency) as pool:
        return [o for group in pool.map(carried(place_account), by_account.values()) for o in group]


def _settle_stragglers(
    system: System,
    held: Lease,
    accounts: Mapping[UUID, VenueAccount],
    outcomes: Sequence[Outcome],
    tally: Tally,
    *,
    outages: Outages,
) -> list[Order]:
    """Look up at once what this very tick left UNKNOWN, so that a lost reply costs seconds and not a tick."""
    if not any(o.order and o.order.state is OrderState.UNKNOWN for o in outcomes):
        return []
    return settling.settle(system, held, accounts, tally, outages)


def _bring_home(
    system: System, held: Lease, account_ids: set[UUID | None], now: datetime, tally: Tally
) -> None:
    """Fetch the fills of the accounts that traded, and see at once that their positions are protected."""
    with system.engine.begin() as conn:
        watched = [
            item
            for item in fill_store.watched_accounts(conn, list(system.venues), shard=system.shard)
            if item.account.id in account_ids
        ]
    looks = []
    for item in watched:
        adapter = system.execution(item.account.venue)
        if adapter is None:
            continue
        try:
            sync_account(system, adapter, item, now)
            looks.append(
                AccountLook(
                    item.account,
                    adapter.account_state(item.account, now),
                    tuple(adapter.resting_orders(item.account)),
                )
            )
        except AgentWhereError as error:
            tally.problems.append(
                f"fills and protection of {item.account.address} follow with the next tick: {error}"
            )
    protect_accounts(system, held, looks, now, tally)


def _account(deployment: Deployment, venue: Venue) -> VenueAccount | None:
    return next((a for a in deployment.accounts if a.venue is venue and a.is_enabled), None)


def _count(tally: Tally, outcomes: Sequence[Outcome], settled: Sequence[Order]) -> None:
    """Put outcomes into the report, as they stand after this tick settled what it had left unclear."""
    latest = {order.id: order for order in settled}
    for outcome in outcomes:
        sent = outcome.order
        order = latest.get(sent.id, sent) if sent else None
        reason = order.reason if order is not sent and order else outcome.reason
        if outcome.problem:
            tally.problems.append(outcome.problem)
        elif order is not None and order.filled_size > 0:
            tally.rows_out += 1
        elif reason is not None:
            tally.refuse(reason)
        tally.table.append(
            {
                "deployment": outcome.entry.deployment.name,
                "token": outcome.entry.work.signal.token,
                "side": outcome.entry.work.signal.side.value,
                "venue": outcome.entry.work.venue.value,
                "state": order.state.value if order else "",
                "size": str(order.filled_size) if order else "",
                "price": str(order.average_price) if order and order.average_price else "",
                "reason": reason.value if reason else "",
            }
        )
    tally.details["settled_from_earlier"] = len(settled)
