"""Client ids: the names that orders carry at a venue, made from what the order is for.

An intent key says what an order is for; intent key and attempt number make the client id. The same intent and attempt
always make the same id, on every machine and after every restart, so that a venue itself refuses a double, and an order
can be looked up by a process that never saw it sent. Only a new attempt has a new id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from uuid import UUID

from agentwhere_core.domain.enums import OrderPurpose, Venue
from agentwhere_core.domain.errors import ConfigurationError

_HYPERLIQUID_BYTES = 16
_LIGHTER_BITS = 48


def entry_key(
    deployment_id: UUID,
    signal_id: UUID,
    leg: int = 0,
    purpose: OrderPurpose = OrderPurpose.ENTRY,
) -> str:
    """Return the key of an order that a signal brings about: the entry, or the protection sent with it.

    ``leg`` numbers the parts of a signal that is split across venues.
    """
    return f"entry:{deployment_id}:{signal_id}:{leg}:{purpose.value}"


def exit_key(position_id: UUID) -> str:
    """Return the key of the order that closes a position."""
    return f"exit:{position_id}"


def protection_key(position_id: UUID, purpose: OrderPurpose) -> str:
    """Return the key of a protective order that is placed for a position after its entry."""
    return f"protection:{position_id}:{purpose.value}"


def client_id(venue: Venue, intent_key: str, attempt: int) -> str:
    """Return the client id of one attempt at an intent, in the form that the venue takes.

    Hyperliquid takes 128 bits as ``0x`` and 32 hexadecimal digits, Lighter a whole number below 2^48 as decimal digits.
    Other venues get the form of Hyperliquid. A number of 48 bits can collide (once in about 20 million orders): a
    unique constraint in the ledger turns that into an error before anything is sent.

    Raises
    ------
    ConfigurationError
        If ``venue`` is MULTI, which is no place to trade, or ``attempt`` is below 1.
    """
    if venue is Venue.MULTI:
        raise ConfigurationError(f"{intent_key} has no venue yet: route it before it is executed")
    if attempt < 1:
        raise ConfigurationError(f"{intent_key}: attempts count from 1, not {attempt}")
    digest = sha256(f"{venue.value}|{intent_key}|{attempt}".encode()).digest()
    return _FORMS.get(venue, _hex_128)(digest)


def _hex_128(digest: bytes) -> str:
    return "0x" + digest[:_HYPERLIQUID_BYTES].hex()


def _decimal_48(digest: bytes) -> str:
    """Return 48 bits as a number; zero means "no client id" at Lighter and is avoided."""
    return str(int.from_bytes(digest[: _LIGHTER_BITS // 8]) or 1)


_FORMS: Mapping[Venue, Callable[[bytes], str]] = {Venue.LIGHTER: _decimal_48}
