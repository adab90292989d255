"""What became of a transaction, and what that means for an order.

A receipt says whether the request was filed; only the settlement event says whether it was carried out. Both are
looked for on the chain, at the contracts' own addresses: anybody can emit an event of the same shape elsewhere.

A transaction that is in no block has no deadline of its own: while its nonce is free it can still arrive. Once another
transaction used that nonce it never will. That is believed on evidence only: the receipt of the other transaction, or
a nonce that was used a minute ago while a node that knows all blocks since finds no receipt. One node's word that the
nonce is used, and another's that there is no receipt, may both be about the very transaction that was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from agentwhere_core.domain.enums import OrderPurpose, OrderState
from agentwhere_core.domain.errors import MalformedReplyError, RefusedError, TimedOutError
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import OrderReport
from agentwhere_core.venues.ostium import contracts, rules
from agentwhere_core.venues.ostium.envelopes import Envelope, Kind, Leg, Named
from agentwhere_core.venues.ostium.node import SERVICE, LogEntry, Node, NodeRefusedError, Receipt
from agentwhere_core.venues.ostium.reader import Reader

_ZERO = Decimal(0)
# One minute of Arbitrum's blocks.
_SETTLED_BLOCKS: Final = 240
_OPENED, _CLOSED = "MarketOpenExecuted", "MarketCloseExecutedV2"
_OPEN_REFUSED, _CLOSE_REFUSED = "MarketOpenCanceled", "MarketCloseCanceled"
_OPEN_EXPIRED, _CLOSE_EXPIRED = "MarketOpenTimeoutExecutedV2", "MarketCloseTimeoutExecutedV2"
_TRIGGERED = "LimitCloseExecuted"
_INITIATED = {Kind.OPEN: "MarketOpenOrderInitiated", Kind.CLOSE: "MarketCloseOrderInitiatedV2"}
_SETTLED = {
    Kind.OPEN: (_OPENED, _OPEN_REFUSED, _OPEN_EXPIRED),
    Kind.CLOSE: (_CLOSED, _CLOSE_REFUSED, _CLOSE_EXPIRED),
}
_TRIGGERS: Final = {OrderPurpose.TAKE_PROFIT: 0, OrderPurpose.STOP_LOSS: 1}
_CANCEL_REASONS: Final[Mapping[int, tuple[str, Reason]]] = {
    1: ("PAUSED", Reason.INACTIVE),
    2: ("MARKET_CLOSED", Reason.MARKET_CLOSED),
    3: ("SLIPPAGE", Reason.NOT_FILLED),
    4: ("TP_REACHED", Reason.NOT_FILLED),
    5: ("SL_REACHED", Reason.NOT_FILLED),
    6: ("EXPOSURE_LIMITS", Reason.VENUE_REJECTED),
    7: ("PRICE_IMPACT", Reason.NOT_FILLED),
    8: ("MAX_LEVERAGE", Reason.LEVERAGE_TOO_HIGH),
    9: ("NO_TRADE", Reason.POSITION_CLOSED),
    10: ("UNDER_LIQUIDATION", Reason.VENUE_REJECTED),
    11: ("NOT_HIT", Reason.VENUE_REJECTED),
    12: ("GAIN_LOSS", Reason.VENUE_REJECTED),
    13: ("DAY_TRADE_NOT_ALLOWED", Reason.VENUE_REJECTED),
    14: ("CLOSE_DAY_TRADE_NOT_ALLOWED", Reason.VENUE_REJECTED),
}


class Absence(Enum):
    """Why a transaction has no receipt; UNPROVEN: its nonce is used, and it is not certain that by another."""

    MAY_ARRIVE = "MAY_ARRIVE"
    UNPROVEN = "UNPROVEN"
    NEVER = "NEVER"


@dataclass(frozen=True, slots=True)
class Filed:
    """A market order that waits for the keeper: its number, and the block in which it was filed."""

    order_id: int
    block: int


class Outcomes:
    """Read from the chain what became of stored transactions."""

    def __init__(self, node: Node, reader: Reader) -> None:
        self._node = node
        self._reader = reader
        self._used_by: dict[tuple[str, int], str] = {}

    def fate(self, envelope: Envelope, leg: Leg) -> Receipt | Absence:
        """Return a transaction's receipt, or why there is none."""
        place = (envelope.signer, leg.nonce)
        receipt = self._node.receipt(leg.tx_hash)
        if receipt is None and self._used_by.get(place, leg.tx_hash) != leg.tx_hash:
            return Absence.NEVER
        if receipt is None and self._node.nonce(envelope.signer) <= leg.nonce:
            return Absence.MAY_ARRIVE
        if receipt is None:
            receipt, newest = self._node.receipt_as_of(leg.tx_hash)
            if receipt is None:
                return self._long_used(envelope.signer, leg.nonce, newest)
        self._used_by[place] = leg.tx_hash
        return receipt

    def _long_used(self, signer: str, nonce: int, newest: int) -> Absence:
        """Tell whether a nonce was used so long ago that a node at block ``newest`` must know by whom.

        Raises
        ------
        RefusedError
            If the node does not keep what was so long ago.
        """
        then = newest - _SETTLED_BLOCKS
        try:
            is_old = then > 0 and self._node.nonce(signer, hex(then)) > nonce
        except NodeRefusedError as error:
            raise RefusedError(
                SERVICE,
                f"the node does not tell the nonce of {_SETTLED_BLOCKS} blocks ago ({error.said}), so that an order "
                "stays in doubt: set AGENTWHERE_OSTIUM_RPC_URL to a node that keeps the last minutes",
            ) from error
        return Absence.NEVER if is_old else Absence.UNPROVEN

    def report(self, envelope: Envelope, client_id: str) -> OrderReport | None:
        """Return what is known of an order, None if its transaction is in no block.

        Raises
        ------
        TimedOutError
            If its nonce is used, and it is not certain by whom.
        """
        named, leg = envelope.order(client_id)
        fate = self.fate(envelope, leg)
        if fate is Absence.UNPROVEN:
            raise TimedOutError(
                SERVICE,
                f"nonce {leg.nonce} of {envelope.signer} is used, and no node shows {leg.tx_hash} in a block: "
                "whether it was used by that one is certain a minute later",
            )
        if not isinstance(fate, Receipt):
            return None
        raw = fate.model_dump(mode="json")
        if not fate.succeeded:
            story = f"transaction {leg.tx_hash} was reverted in block {fate.block}"
            return _report(named, OrderState.REJECTED, Reason.VENUE_REJECTED, story, raw=raw)
        if leg.kind is Kind.OPEN:
            return self._of_open(envelope, named, leg, fate)
        if leg.kind is Kind.CLOSE:
            return self._of_close(named, leg, fate)
        return self._of_protection(envelope.trader, named, leg, leg.trade_id, fate.block)

    def filed(self, leg: Leg, receipt: Receipt) -> Filed:
        """Return the market order that a transaction filed.

        Raises
        ------
        MalformedReplyError
            If its receipt holds no such event.
        """
        trading, wanted = self._reader.addresses().trading, _INITIATED[leg.kind]
        for entry in receipt.logs:
            if entry.address.lower() == trading and contracts.name_of(entry) == wanted:
                return Filed(int(contracts.read(entry)["orderId"]), receipt.block)
        raise MalformedReplyError(
            SERVICE,
            f"transaction {leg.tx_hash} succeeded without {wanted}: look at it in a block explorer",
        )

    def settlement(self, leg: Leg, filed: Filed) -> LogEntry | None:
        """Return the event that settled a market order, or None while it waits."""
        found = self._events(
            _SETTLED[leg.kind], contracts.number_topic(filed.order_id), filed.block
        )
        return found[0] if found else None

    def is_timed_out(self, filed: Filed) -> bool:
        """Tell whether a market order has waited so long that its trader may end it."""
        return self._node.block().number >= filed.block + self._reader.timeout_blocks()

    def _of_open(self, envelope: Envelope, named: Named, leg: Leg, receipt: Receipt) -> OrderReport:
        filed = self.filed(leg, receipt)
        event = self.settlement(leg, filed)
        if event is None:
            return self._waiting(named, leg, filed)
        told = contracts.read(event)
        name = contracts.name_of(event)
        if name != _OPENED:
            return _not_done(named, filed, name, told, event)
        if named.purpose in _TRIGGERS:
            opened = leg.model_copy(update={"index": int(told["t"]["index"])})
            return self._of_protection(envelope.trader, named, opened, filed.order_id, event.block)
        return _report(
            named,
            OrderState.FILLED,
            None,
            "",
            order_id=filed.order_id,
            # Sized in dollars: it may come to a little more of the base than was asked. The fill has it exactly.
            filled=min(named.size, Decimal(told["tradeNotional"]) / rules.ONE),
            price=Decimal(told["t"]["openPrice"]) / rules.ONE,
            raw=event.model_dump(mode="json"),
        )

    def _of_close(self, named: Named, leg: Leg, receipt: Receipt) -> OrderReport:
        filed = self.filed(leg, receipt)
        event = self.settlement(leg, filed)
        if event is None:
            return self._waiting(named, leg, filed)
        told = contracts.read(event)
        name = contracts.name_of(event)
        if name != _CLOSED:
            return _not_done(named, filed, name, told, event)
        if told["tradeId"] != leg.trade_id:
            raise MalformedReplyError(
                SERVICE,
                f"order {filed.order_id} closed trade {told['tradeId']} instead of {leg.trade_id}",
            )
        return _report(
            named,
            OrderState.FILLED,
            None,
            "",
            order_id=filed.order_id,
            filled=min(named.size, leg.size),
            price=Decimal(told["price"]) / rules.ONE,
            raw=event.model_dump(mode="json"),
        )

    def _of_protection(
        self, trader: str, named: Named, leg: Leg, trade_id: int, since: int
    ) -> OrderReport:
        """Return the state of a take profit or stop loss, which is a price of its trade and nothing by itself."""
        trade = self._reader.trade(trader, leg.pair, leg.index)
        is_profit = named.purpose is OrderPurpose.TAKE_PROFIT
        if trade is not None and trade.trade_id == trade_id:
            wanted = leg.take_profit if is_profit else leg.stop_loss
            if (trade.take_profit if is_profit else trade.stop_loss) == wanted:
                return _report(named, OrderState.ACKED, None, f"rests with trade {trade_id}")
            story = f"trade {trade_id} has another price now, or none"
            return _report(named, OrderState.CANCELLED, Reason.PROTECTION_REPLACED, story)
        topic = contracts.number_topic(trade_id)
        for event in self._events((_TRIGGERED,), None, since, topic):
            told = contracts.read(event)
            if told["orderType"] == _TRIGGERS[named.purpose]:
                return _report(
                    named,
                    OrderState.FILLED,
                    None,
                    "",
                    order_id=int(told["orderId"]),
                    filled=named.size,
                    price=Decimal(told["price"]) / rules.ONE,
                    raw=event.model_dump(mode="json"),
                )
        return _report(
            named, OrderState.CANCELLED, Reason.POSITION_CLOSED, f"trade {trade_id} is closed"
        )

    def _waiting(self, named: Named, leg: Leg, filed: Filed) -> OrderReport:
        story = f"order {filed.order_id} waits for the keeper since block {filed.block}"
        if self.is_timed_out(filed):
            story += "; it has timed out and can be reclaimed"
        is_protection = leg.kind is Kind.OPEN and named.purpose in _TRIGGERS
        order_id = None if is_protection else filed.order_id
        return _report(named, OrderState.ACKED, None, story, order_id=order_id)

    def _events(
        self, names: tuple[str, ...], order_topic: str | None, since: int, *topics: str
    ) -> list[LogEntry]:
        addresses = self._reader.addresses()
        order = None if order_topic is None else [order_topic]
        wanted = [[contracts.topic(name) for name in names], order, *([item] for item in topics)]
        last = self._node.block().number
        return self._node.logs([addresses.callbacks, addresses.trading], wanted, since, last)


def _not_done(
    named: Named, filed: Filed, name: str | None, told: Mapping[str, Any], event: LogEntry
) -> OrderReport:
    """Report a market order that ended without being carried out; what came with an entry goes with it."""
    if name in {_OPEN_EXPIRED, _CLOSE_EXPIRED}:
        reason, story = Reason.NOT_FILLED, "timed out and reclaimed"
    else:
        code = int(told["cancelReason"])
        word, reason = _CANCEL_REASONS.get(code, (f"reason {code}", Reason.VENUE_REJECTED))
        story = f"cancelled by the keeper: {word}"
    is_protection = name in {_OPEN_REFUSED, _OPEN_EXPIRED} and named.purpose in _TRIGGERS
    return _report(
        named,
        OrderState.CANCELLED,
        Reason.POSITION_CLOSED if is_protection else reason,
        f"order {filed.order_id} was {story}",
        order_id=None if is_protection else filed.order_id,
        raw=event.model_dump(mode="json"),
    )


def _report(
    named: Named,
    state: OrderState,
    reason: Reason | None,
    detail: str,
    *,
    order_id: int | None = None,
    filled: Decimal = _ZERO,
    price: Decimal | None = None,
    raw: dict[str, Any] | None = None,
) -> OrderReport:
    return OrderReport(
        client_id=named.client_id,
        state=state,
        reason=reason,
        venue_order_id=None if order_id is None else str(order_id),
        filled_size=filled,
        average_price=price,
        detail=detail,
        raw=raw or {},
    )
