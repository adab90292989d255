"""What is stored before it is sent: signed transactions, and which order of ours each part of them is.

The chain knows nothing of our client ids, so the envelope keeps them beside the raw bytes; a transaction's hash follows
from its bytes. An envelope is one submission: most hold one transaction, a pair of take profit and stop loss holds two.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from pydantic import TypeAdapter, ValidationError

from agentwhere_core.domain.enums import OrderPurpose
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.venues.checked import PlainWire


class Kind(StrEnum):
    """What a transaction does."""

    OPEN = "OPEN"
    CLOSE = "CLOSE"
    TAKE_PROFIT = "TAKE_PROFIT"
    STOP_LOSS = "STOP_LOSS"
    APPROVE = "APPROVE"
    RECLAIM = "RECLAIM"
    BURN = "BURN"


class Leg(PlainWire):
    """One signed transaction.

    ``pair``, ``index`` and ``trade_id`` name the trade that it concerns; ``size`` is what it closes. ``take_profit``
    and ``stop_loss`` are prices x 1e18, zero for none.
    """

    kind: Kind
    raw: str
    nonce: int
    max_fee: int
    tip: int
    pair: int = 0
    index: int = 0
    trade_id: int = 0
    size: Decimal = Decimal(0)
    take_profit: int = 0
    stop_loss: int = 0

    @property
    def tx_hash(self) -> str:
        """Hash of the transaction."""
        from eth_utils.crypto import keccak

        return "0x" + keccak(hexstr=self.raw).hex()


class Named(PlainWire):
    """An order of ours inside the envelope; ``leg`` is the transaction that carries it."""

    client_id: str
    purpose: OrderPurpose
    size: Decimal
    leg: int


class Envelope(PlainWire):
    """Signed transactions of one signer for one trader, in the order of their nonces."""

    chain_id: int
    signer: str
    trader: str
    legs: tuple[Leg, ...]
    orders: tuple[Named, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the envelope as it is stored."""
        return self.model_dump_json().encode()

    def order(self, client_id: str) -> tuple[Named, Leg]:
        """Return the order of that client id, and the transaction that carries it.

        Raises
        ------
        InvariantError
            If the envelope holds no such order.
        """
        for named in self.orders:
            if named.client_id == client_id:
                return named, self.legs[named.leg]
        raise InvariantError(f"the payload that was stored holds no order {client_id}")


_ENVELOPE = TypeAdapter(Envelope)


def read_envelope(payload: bytes) -> Envelope:
    """Return a stored envelope.

    Raises
    ------
    InvariantError
        If the bytes are none.
    """
    try:
        return _ENVELOPE.validate_json(payload)
    except ValidationError as error:
        raise InvariantError(f"a stored payload is no envelope of Ostium: {error}") from error
