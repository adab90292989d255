"""The venues' own books, compared with ours: what must be true when everything has come to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agentwhere_core.domain.enums import OrderPurpose, Venue
from agentwhere_core.domain.trade import VenueAccount
from agentwhere_core.venues.ostium.envelopes import read_envelope
from agentwhere_core.venues.protocol import Execution
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.world import rows

ONE = Decimal(10) ** 18
CAPITAL_USD = Decimal(10_000)
# Bound on the price that an entry accepts, and a little for what rounding to the dollar costs.
WORST = Decimal("1.0101")
ROUNDED = Decimal("1e-9")

OPEN = "SELECT token_symbol, side, size, signal_id FROM agentwhere.positions WHERE status = 'OPEN' AND account_id = :id"
UNSETTLED = (
    "SELECT venue, token_symbol, purpose, attempt, state, reason, detail FROM agentwhere.orders "
    "WHERE state IN ('PLANNED', 'SENDING', 'UNKNOWN') "
    "OR (state IN ('ACKED', 'PARTIAL') AND purpose IN ('ENTRY', 'EXIT'))"
)
ENTRIES = (
    "SELECT o.client_id, s.payload, o.deployment_id, o.signal_id, o.leg, o.purpose, o.attempt, d.fund_percentage, "
    "d.leverage FROM agentwhere.orders o JOIN agentwhere.submissions s ON s.id = o.submission_id "
    "JOIN agentwhere.policy_decisions d ON d.signal_id = o.signal_id AND d.deployment_id = o.deployment_id "
    "WHERE o.account_id = :id AND o.purpose = 'ENTRY'"
)


@dataclass(frozen=True)
class Opened:
    """An order at the venue that may open a position: by what it is known there, and what it filled at which price."""

    key: str
    filled: Decimal
    price: Decimal


@dataclass(frozen=True)
class Meant:
    """What our ledger says an entry was for."""

    intent: tuple[Any, ...]
    attempt: int
    most_usd: Decimal


def unsettled(system: System) -> list[tuple[Any, ...]]:
    """Return our orders of which nobody knows the end."""
    return rows(system, UNSETTLED)


def check(
    system: System,
    sim: Simulator,
    adapter: Execution,
    account: VenueAccount,
    *,
    outside: Collection[str],
) -> None:
    """Compare one account with its venue; ``outside`` are the keys of orders that were placed by hand."""
    entries = [one for one in opened_at(sim, account) if one.key not in outside]
    meant = meant_by_us(system, account)
    assert Counter(one.key for one in entries).total() == len({one.key for one in entries}), entries
    for one in entries:
        assert one.key in meant, f"nobody meant {one}"
        worth = one.filled * one.price
        assert worth <= meant[one.key].most_usd * WORST, (
            f"{one} is worth more than {meant[one.key]}"
        )
    done = Counter(meant[one.key].intent for one in entries if one.filled > 0)
    assert all(times == 1 for times in done.values()), f"traded twice: {done}"

    if not rows(
        system, "SELECT 1 FROM agentwhere.orders WHERE account_id = :id LIMIT 1", id=account.id
    ):
        # Nothing was ever done there by us, so that nobody looks after what is done by hand.
        return
    held = adapter.account_state(account, system.clock())
    theirs = {position.token: position.size * position.side.sign for position in held.positions}
    ours = {
        token: size if side == "LONG" else -size
        for token, side, size, _ in rows(system, OPEN, id=account.id)
    }
    assert {t: s.quantize(ROUNDED) for t, s in ours.items()} == {
        t: s.quantize(ROUNDED) for t, s in theirs.items()
    }

    resting = adapter.resting_orders(account)
    stops = Counter(one.token for one in resting if one.purpose is OrderPurpose.STOP_LOSS)
    for token, _, _, signal_id in rows(system, OPEN, id=account.id):
        if signal_id is not None:
            assert stops[token] == 1, f"{token} has {stops[token]} stops: {resting}"
    assert {one.token for one in resting} <= theirs.keys(), f"left behind: {resting}"


def opened_at(sim: Simulator, account: VenueAccount) -> list[Opened]:
    """Return every order that the venue accepted and that may open a position."""
    query = {"venue": account.venue.value, "address": account.address}
    orders = sim.http.get("/control/orders", params=query).json()["orders"]
    if account.venue is Venue.OSTIUM:
        return [
            Opened(
                one["tx_hash"],
                Decimal(one["size"]) / ONE if one["state"] == "executed" else Decimal(0),
                Decimal(one["price"]) / ONE,
            )
            for one in orders
            if one["action"] == "Open"
        ]
    found = []
    for one in orders:
        if one["reduce_only"]:
            continue
        if account.venue is Venue.LIGHTER:
            filled = Decimal(one["filled_base"])
            price = Decimal(one["filled_quote"]) / filled if filled else Decimal(0)
            found.append(Opened(str(one["client_index"]), filled, price))
        else:
            filled = Decimal(one["orig_sz"]) - Decimal(one["sz"])
            found.append(Opened(one["cloid"], filled, Decimal(one["limit_px"])))
    return found


def meant_by_us(system: System, account: VenueAccount) -> dict[str, Meant]:
    """Return, by what the venue knows them by, the entries of our ledger."""
    found = {}
    for client_id, payload, *intent, attempt, fund, leverage in rows(
        system, ENTRIES, id=account.id
    ):
        most = CAPITAL_USD * fund / 100 * leverage
        found[key_of(account.venue, client_id, bytes(payload))] = Meant(
            tuple(intent), attempt, most
        )
    return found


def key_of(venue: Venue, client_id: str, payload: bytes) -> str:
    """Return by what a venue knows an order."""
    if venue is Venue.OSTIUM:
        return read_envelope(payload).order(client_id)[1].tx_hash
    return client_id
