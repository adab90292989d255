"""Bring an account's fills and cash flows home.

Each token is stored and folded by itself: one whose fills contradict each other is stopped, with an alert, and the rest
of the account goes on. It is tried again with every look, and followed again once it agrees.

A fill that does not say whose order made it may be that of an order in doubt. Until that order is settled its token's
fills are left at the venue: who caused a change is not guessed, and never corrected afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError

from agentwhere_core.domain.enums import OrderSide, Severity, UntrackedCause
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.events import Incident, PositionEvent
from agentwhere_core.domain.trade import AccountState, Fill, Position, VenuePosition
from agentwhere_flow.alerts import close_alert, raise_alert
from agentwhere_flow.folding import Folder, fold
from agentwhere_store import cash_flows, open_orders
from agentwhere_store import fills as store
from agentwhere_store.fills import WatchedAccount
from agentwhere_store.positions import add_event
from agentwhere_store.untracked import follow_again, stop_following, untracked_now

if TYPE_CHECKING:
    from agentwhere_core.venues.protocol import Execution
    from agentwhere_flow.system import System

# A venue may list a fill a little after one that it follows; what is read twice is stored once.
OVERLAP = timedelta(minutes=10)


def sync_account(
    system: System, adapter: Execution, watched: WatchedAccount, now: datetime
) -> list[Position]:
    """Store the account's new fills, and return the positions that they changed.

    Raises
    ------
    RemoteError
        If the venue did not answer; nothing is changed then.
    """
    fills = adapter.fills(watched.account, watched.fills_since - OVERLAP)
    if watched.is_new:
        _leave_older(system, watched, adapter.account_state(watched.account, now), fills, now)
    return store_fills(system, watched, fills, now)


def store_fills(
    system: System, watched: WatchedAccount, fills: Sequence[Fill], now: datetime
) -> list[Position]:
    """Store fills that are not known yet, fold them, and return the positions that they changed."""
    account = watched.account
    by_token = {
        token: list(group)
        for token, group in groupby(sorted(fills, key=lambda one: one.token), lambda one: one.token)
    }
    changed: list[Position] = []
    broken: dict[str, str] = {}
    with system.engine.begin() as conn:
        in_doubt = open_orders.tokens_in_doubt(conn, account.id)
        waiting = in_doubt & store.unexplained(conn, account.id, fills) if in_doubt else in_doubt
        within = timedelta(seconds=system.settings.protection_deadline_s)
        folder = Folder(conn, watched, now, within)
        stopped = {
            one.token
            for one in untracked_now(conn, [account.id])
            if one.cause is UntrackedCause.FILLS_CONTRADICT
        }
        for token in sorted((by_token.keys() | stopped) - waiting):
            try:
                with conn.begin_nested():
                    fresh = store.insert_fills(conn, account.id, by_token.get(token, []), now)
                    if fresh or token in stopped:
                        changed += fold(folder, token)
            except (InvariantError, IntegrityError) as error:
                broken[token] = _said(watched, token, error)
                stop_following(
                    conn,
                    account.id,
                    token,
                    UntrackedCause.FILLS_CONTRADICT,
                    detail=broken[token],
                    evidence={"fills": [one.fill_id for one in by_token.get(token, [])]},
                    now=now,
                )
        mended = stopped - broken.keys() - waiting
        for token in mended:
            follow_again(conn, account.id, token, now)
        _advance(folder, by_token, broken.keys() | waiting)
    _tell(system, watched, broken, mended, now)
    return changed


def sync_cash_flows(
    system: System, adapter: Execution, watched: WatchedAccount, now: datetime
) -> int:
    """Store the account's new funding, deposits and withdrawals; return how many there were.

    Raises
    ------
    RemoteError
        If the venue did not answer, or with a kind of entry that is not known; nothing is changed then.
    """
    flows = adapter.cash_flows(watched.account, watched.flows_since - OVERLAP)
    with system.engine.begin() as conn:
        count = cash_flows.insert_cash_flows(conn, watched.account.id, flows, now)
        for position_id, amount, references in cash_flows.funding_booked(
            conn, watched.account.id, now
        ):
            add_event(
                conn,
                position_id,
                kind=PositionEvent.FUNDING_BOOKED,
                detail=f"{amount:+.6f} USD of funding or cost of holding",
                evidence={"cash_flows": references},
                at=now,
            )
    return count


def _leave_older(
    system: System,
    watched: WatchedAccount,
    state: AccountState,
    fills: Sequence[Fill],
    now: datetime,
) -> None:
    """At the first look at an account, adopt nothing that was opened before its registration.

    That is what its fills since then do not explain, in tokens in which nothing was ever sent from here.
    """
    account = watched.account
    explained: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        explained[fill.token] += fill.size if fill.side is OrderSide.BUY else -fill.size
    with system.engine.begin() as conn:
        ours = store.tokens_sent(conn, account.id)
        older = [
            held
            for held in state.positions
            if held.token not in ours and explained[held.token] != held.size * held.side.sign
        ]
        for held in older:
            stop_following(
                conn,
                account.id,
                held.token,
                UntrackedCause.OLDER_POSITION,
                detail=_older(watched, held),
                evidence={"size": held.size, "side": held.side, "entry_price": held.entry_price},
                now=now,
            )
        store.want_fills_since(conn, account.id, watched.fills_since)
    for held in older:
        raise_alert(
            system,
            now,
            incident=Incident.OLDER_POSITION.of(account.id, held.token),
            severity=Severity.WARNING,
            title=f"{held.token} was held before the account was registered",
            detail=_older(watched, held),
        )


def _older(watched: WatchedAccount, held: VenuePosition) -> str:
    account = watched.account
    return (
        f"{account.venue} account {account.address} held {held.side} {held.size} {held.token} before it was "
        "registered: it is not adopted, not protected and not closed; entries in it are refused until it is flat"
    )


def _advance(folder: Folder, by_token: Mapping[str, Sequence[Fill]], left: Collection[str]) -> None:
    """Ask from the newest fill on the next time, but not past one of a token that was not stored."""
    times = [fill.at for fills in by_token.values() for fill in fills]
    if not times:
        return
    unstored = [fill.at for token in left for fill in by_token.get(token, ())]
    since = min([max(times), *unstored])
    store.want_fills_since(folder.conn, folder.watched.account.id, since)


def _tell(
    system: System,
    watched: WatchedAccount,
    broken: Mapping[str, str],
    mended: set[str],
    now: datetime,
) -> None:
    for token, detail in broken.items():
        raise_alert(
            system,
            now,
            incident=Incident.FILLS.of(watched.account.id, token),
            severity=Severity.CRITICAL,
            title=f"{token} is not followed: its fills contradict each other",
            detail=detail,
        )
    for token in mended:
        close_alert(system, now, Incident.FILLS.of(watched.account.id, token))


def _said(watched: WatchedAccount, token: str, error: Exception) -> str:
    account = watched.account
    what = error.orig if isinstance(error, IntegrityError) else error
    return (
        f"fills of {account.venue} account {account.address} in {token} make no position: {what}; "
        "the token is stopped until they do, look at them at the venue"
    )
