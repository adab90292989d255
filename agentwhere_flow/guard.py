"""Guard one account: see that each of its positions is protected at the venue, and that nothing else rests there.

What rests is compared with what each position owes (`execution.protection`). What is missing is placed again, what has
another size is replaced, the new one before the old one goes. What still is not there at its deadline makes the exit
rules close the position.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from agentwhere_core.domain.enums import OrderPurpose, OrderState, ProtectionState, Severity, Venue
from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_core.domain.events import Incident, PositionEvent
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import AccountState, Order, OrderSpec, Position, RestingOrder
from agentwhere_core.execution.client_ids import client_id, protection_key
from agentwhere_core.execution.orders import IN_DOUBT, is_final
from agentwhere_core.execution.protection import Look, levels, look_at
from agentwhere_flow import ledger, settling
from agentwhere_flow.alerts import raise_alert
from agentwhere_flow.ledger import Desk, Intent
from agentwhere_store import open_orders
from agentwhere_store import positions as store

# A stop that was triggered must fill, however fast the price runs.
PROTECTION_SLIPPAGE_BPS = Decimal(1000)

_LIVE = frozenset({OrderState.ACKED, OrderState.PARTIAL})
_ADDED_TRADE = "only a part of it carries the stop loss: somebody added a trade beside ours; close that one by hand"
_STOP, _TARGET = OrderPurpose.STOP_LOSS, OrderPurpose.TAKE_PROFIT


@dataclass(frozen=True, slots=True)
class Watch:
    """One account under protection: who acts there, what the venue showed, and positions that are being closed."""

    desk: Desk
    state: AccountState
    resting: tuple[RestingOrder, ...]
    markets: Mapping[tuple[Venue, str], Market]
    closing: Collection[UUID]
    now: datetime

    def market(self, token: str) -> Market | None:
        """Return the account's market of a token, None where it is not known."""
        return self.markets.get((self.desk.account.venue, token))


@dataclass(frozen=True, slots=True)
class _Repair:
    """What was done about one position: the orders placed, for which purposes it was tried, and what went wrong."""

    orders: list[Order]
    tried: frozenset[OrderPurpose]
    problems: list[str]


def guard_account(watch: Watch) -> list[str]:
    """Bring the protection of one account's positions to what they owe; return what could not be done."""
    account = watch.desk.account
    with watch.desk.system.engine.begin() as conn:
        held = store.open_positions(conn, account_ids=[account.id])
        placed = open_orders.protection_of(conn, [position.id for position in held])
        ours = open_orders.orders_called(
            conn, account.id, [order.client_id for order in watch.resting if order.client_id]
        )
    problems = _clear_strays(watch, held, ours)
    for position in held:
        try:
            problems += _guard(watch, position, placed.get(position.id, ()))
        except AgentWhereError as error:
            problems.append(
                f"protection of {position.token} on {account.venue} account {account.address}: {error}"
            )
    return problems


def protective_spec(
    desk: Desk, market: Market, position: Position, purpose: OrderPurpose, name: str
) -> OrderSpec:
    """Return the order that protects all of a position, at the price that it owes."""
    trigger = levels(position)[purpose]
    side = position.side.closing
    return OrderSpec(
        client_id=name,
        purpose=purpose,
        market_name=market.market_name,
        market_index=market.market_index,
        side=side,
        size=position.size,
        limit_price=desk.adapter.limit_price(market, side, trigger, PROTECTION_SLIPPAGE_BPS),
        trigger_price=trigger,
        reduce_only=True,
        size_decimals=market.size_decimals,
        price_decimals=market.price_decimals,
    )


def _guard(watch: Watch, position: Position, placed: Sequence[Order]) -> list[str]:
    """Look at one position, repair its protection, and keep how it stands."""
    if position.id in watch.closing:
        _save(watch, position, ProtectionState.CLOSING, None)
        return []
    if position.signal_id is None:
        _save(watch, position, ProtectionState.OUTSIDE, None)
        return []
    if not _agrees(watch, position):
        # Which size to protect is not known before the difference is: that is put before a human.
        return []
    resting = [order for order in watch.resting if order.token == position.token]
    look = look_at(position, resting, {order.client_id for order in placed})
    if _is_carried_in_part(position, resting):
        _save(watch, position, ProtectionState.MISSING, look)
        return [_alarm(watch, position, [_ADDED_TRADE])]
    repair = _repair(watch, position, placed, look)
    state = _state_of(position, look, repair)
    _save(watch, position, state, look, repair.orders)
    if state is ProtectionState.MISSING:
        return [_alarm(watch, position, repair.problems)]
    return repair.problems


def _is_carried_in_part(position: Position, resting: Sequence[RestingOrder]) -> bool:
    """Tell whether our trade carries its stop loss, and a trade that somebody added beside it does not."""
    carried = sum(
        (
            order.size or Decimal(0)
            for order in resting
            if order.is_carried
            and (order.purpose, order.trigger_price) == (_STOP, position.stop_loss_price)
        ),
        Decimal(0),
    )
    return 0 < carried < position.size


def _repair(watch: Watch, position: Position, placed: Sequence[Order], look: Look) -> _Repair:
    """Place what is missing, then cancel what does not fit."""
    wrong_size = {order.purpose for order in look.superfluous}
    unlisted = [p for p in look.missing if p not in wrong_size]
    gone = _gone(watch, placed, unlisted)
    missing = [p for p in look.missing if p in wrong_size or p in gone]
    if gone and position.protection is not ProtectionState.MISSING:
        _tell(
            watch,
            position,
            PositionEvent.PROTECTION_MISSING,
            f"{_names(gone)} of {position.token} does not rest at {position.venue}",
            {
                "resting": [order.venue_order_id for order in watch.resting],
                "owed": levels(position),
            },
        )
    orders: list[Order] = []
    problems: list[str] = []
    if missing:
        orders, problems = _place(watch, position, placed, missing, resized=not gone)
    stands = {order.purpose for order in orders if order.state in _LIVE}
    stands |= levels(position).keys() - set(look.missing)
    unfit = [order for order in look.superfluous if order.purpose in stands]
    if unfit:
        names = {order.client_id: order for order in placed}
        _cancel(watch, [names[o.client_id] for o in unfit if o.client_id in names])
    return _Repair(orders, frozenset(missing), problems)


def _gone(
    watch: Watch, placed: Sequence[Order], purposes: Sequence[OrderPurpose]
) -> list[OrderPurpose]:
    """Return the purposes, of those that the venue does not list, that are really unserved: nothing is in doubt.

    The list and each order's own state are read one after the other. Where one of them has filled meanwhile, it closed
    the position: the next ticks bring its fills, and there is nothing to place again.
    """
    gone = []
    for purpose in purposes:
        of_purpose = [order for order in placed if order.purpose is purpose]
        now = [
            settling.refresh(watch.desk, order, absent=Reason.PROTECTION_LOST)
            for order in of_purpose
            if order.state in _LIVE
        ]
        if any(order.state is OrderState.FILLED for order in now):
            return []
        in_doubt = any(order.state in IN_DOUBT for order in of_purpose)
        if not in_doubt and not any(order.state in _LIVE for order in now):
            gone.append(purpose)
    return gone


def _place(
    watch: Watch,
    position: Position,
    placed: Sequence[Order],
    missing: Sequence[OrderPurpose],
    *,
    resized: bool,
) -> tuple[list[Order], list[str]]:
    """Place protective orders, and say how that went."""
    market = watch.market(position.token)
    if market is None:
        return [], [
            f"{position.token} on {position.venue} cannot be protected: its market is not known"
        ]
    attempt = 1 + max((order.attempt for order in placed), default=0)
    names = {
        purpose: client_id(position.venue, protection_key(position.id, purpose), attempt)
        for purpose in missing
    }
    specs = [protective_spec(watch.desk, market, position, p, names[p]) for p in missing]
    intent = Intent(
        account=watch.desk.account,
        market=market,
        deployment_id=position.deployment_id,
        signal_id=None,
        position_id=position.id,
        routing_id=None,
        attempt=attempt,
        leverage=position.leverage,
        mid_price=position.current_price or position.entry_price,
        specs=tuple(specs),
    )
    try:
        orders = ledger.place(watch.desk, intent)
    except AgentWhereError as error:
        _refused(watch, position, missing, str(error))
        return [], [f"{_names(missing)} of {position.token} cannot be placed: {error}"]
    refused = [order for order in orders if is_final(order.state) and order.filled_size == 0]
    if refused:
        why = f"{', '.join(str(order.reason) for order in refused)}"
        _refused(watch, position, [order.purpose for order in refused], why)
        return orders, [f"{_names(missing)} of {position.token} was refused: {why}"]
    kind = PositionEvent.PROTECTION_RESIZED if resized else PositionEvent.PROTECTION_PLACED
    evidence = {order.purpose: order.trigger_price for order in orders} | {"size": position.size}
    _tell(
        watch,
        position,
        kind,
        f"{_names(missing)} of {position.token} for {position.size}",
        evidence,
    )
    return orders, []


def _clear_strays(watch: Watch, held: Sequence[Position], ours: Mapping[str, Order]) -> list[str]:
    """Cancel protective orders that rest although the ledger saw their end, and their position is closed.

    Those that the ledger knows to rest are cleared at the end of the tick, with the positions that it closes.
    """
    still_open = {position.id for position in held}
    strays = [
        order
        for order in ours.values()
        if order.purpose in open_orders.PROTECTIVE
        and order.position_id is not None
        and order.position_id not in still_open
        and is_final(order.state)
    ]
    try:
        _cancel(watch, strays)
    except AgentWhereError as error:
        return [f"protective orders of {watch.desk.account.address} may still rest: {error}"]
    return []


def _cancel(watch: Watch, orders: Sequence[Order]) -> None:
    """Cancel orders at the venue, and record what became of those that the ledger thought to rest."""
    for token in sorted({order.token for order in orders}):
        market = watch.market(token)
        if market is None:
            continue
        group = [order for order in orders if order.token == token]
        ledger.cancel(watch.desk, market, group)
        for order in group:
            if not is_final(order.state):
                settling.refresh(watch.desk, order, absent=Reason.PROTECTION_REPLACED)


def _agrees(watch: Watch, position: Position) -> bool:
    """Tell whether the venue holds just what our fills say."""
    return any(
        (one.token, one.side, one.size) == (position.token, position.side, position.size)
        for one in watch.state.positions
    )


def _state_of(position: Position, look: Look, repair: _Repair) -> ProtectionState:
    if _STOP not in levels(position):
        return ProtectionState.WAIVED
    states = {order.state for order in repair.orders if order.purpose is _STOP}
    if look.is_protected or states & _LIVE:
        return ProtectionState.PROTECTED
    # In doubt, or just filled: what became of it is known by the next tick.
    is_under_way = bool(states & {OrderState.UNKNOWN, OrderState.FILLED})
    was_tried = _STOP in repair.tried
    return ProtectionState.PENDING if is_under_way or not was_tried else ProtectionState.MISSING


def _save(
    watch: Watch,
    position: Position,
    state: ProtectionState,
    look: Look | None,
    repaired: Sequence[Order] = (),
) -> None:
    """Write how a position stands, if that is news; a debt keeps the deadline that it began with."""
    within = timedelta(seconds=watch.desk.system.settings.protection_deadline_s)
    deadline = None
    if state in {ProtectionState.PENDING, ProtectionState.MISSING}:
        deadline = position.protect_by or watch.now + within
    fresh = {order.purpose: order.trigger_price for order in repaired if order.state in _LIVE}
    resting = (
        (position.resting_stop_price, position.resting_target_price)
        if look is None
        else (fresh.get(_STOP, look.stop_price), fresh.get(_TARGET, look.target_price))
    )
    before = (
        position.protection,
        position.protect_by,
        (position.resting_stop_price, position.resting_target_price),
    )
    if before == (state, deadline, resting):
        return
    with watch.desk.system.engine.begin() as conn:
        store.save_protection(
            conn, position.id, state, protect_by=deadline, resting=resting, now=watch.now
        )


def _alarm(watch: Watch, position: Position, problems: Sequence[str]) -> str:
    """Raise the alert of a position without its stop loss; return what it says."""
    within = timedelta(seconds=watch.desk.system.settings.protection_deadline_s)
    deadline = position.protect_by or watch.now + within
    detail = (
        f"{position.side} {position.token} on {position.venue} has no stop loss at the venue and is closed "
        f"after {deadline:%Y-%m-%d %H:%M:%S} UTC: {'; '.join(problems) or 'it could not be placed'}"
    )
    raise_alert(
        watch.desk.system,
        watch.now,
        incident=Incident.PROTECTION.of(position.id),
        severity=Severity.CRITICAL,
        title=f"{position.token} on {position.venue} is unprotected",
        detail=detail,
    )
    return detail


def _refused(watch: Watch, position: Position, purposes: Sequence[OrderPurpose], why: str) -> None:
    within = timedelta(seconds=watch.desk.system.settings.protection_deadline_s)
    _tell(
        watch,
        position,
        PositionEvent.PROTECTION_REFUSED,
        f"{_names(purposes)} of {position.token} could not be placed: {why}",
        {"owed": levels(position), "deadline": position.protect_by or watch.now + within},
    )


def _tell(
    watch: Watch,
    position: Position,
    kind: PositionEvent,
    detail: str,
    evidence: Mapping[str, object],
) -> None:
    with watch.desk.system.engine.begin() as conn:
        store.add_event(
            conn, position.id, kind=kind, detail=detail, evidence=evidence, at=watch.now
        )


def _names(purposes: Sequence[OrderPurpose]) -> str:
    return " and ".join(purpose.value.lower().replace("_", " ") for purpose in purposes)
