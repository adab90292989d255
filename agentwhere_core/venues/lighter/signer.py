"""Lighter's own signing library, called for signatures and nothing else.

The package ``lighter-sdk`` carries it as a shared object for Linux, macOS and Windows. It is found by the package's
place and loaded by `ctypes`, so that the SDK itself (an HTTP client of its own, with old pins) is never imported. The
library holds the keys that it was given; signing with an explicit nonce needs no network.

Declarations follow the SDK's ``signer_client.py`` (version 1.1.8). A loaded library cannot survive ``fork``.
"""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from agentwhere_core.domain.errors import ConfigurationError, InvariantError

MAINNET_CHAIN_ID: Final = 304
TESTNET_CHAIN_ID: Final = 300

_NO_URL = b"http://127.0.0.1:1"
_KEEP_NONCES_STRICT = 0
_CROSS_MARGIN = 0
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_LIBRARIES = {
    ("Linux", "amd64"): "lighter-signer-linux-amd64.so",
    ("Linux", "arm64"): "lighter-signer-linux-arm64.so",
    ("Darwin", "amd64"): "lighter-signer-darwin-amd64.dylib",
    ("Darwin", "arm64"): "lighter-signer-darwin-arm64.dylib",
    ("Windows", "amd64"): "lighter-signer-windows-amd64.dll",
}

_INT, _LONG, _BYTE, _TEXT = ctypes.c_int, ctypes.c_longlong, ctypes.c_uint8, ctypes.c_char_p


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Which key of which account signs."""

    account_index: int
    key_index: int


@dataclass(frozen=True, slots=True)
class WireOrder:
    """One order in the whole numbers of its market, in the order of the library's structure.

    ``expires_ms`` is when it lapses: Unix milliseconds for what waits for its trigger, 0 for what executes at once.
    Orders of one group must say the same, so it is not left to the library, which would look at the clock for each.
    """

    market_index: int
    client_order_index: int
    base_amount: int
    price: int
    is_ask: bool
    type: int
    time_in_force: int
    reduce_only: bool
    trigger_price: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class SignedTx:
    """A signed transaction: its type and the exact text that is sent."""

    type: int
    info: str


class _Order(ctypes.Structure):
    _fields_ = (
        ("MarketIndex", _LONG),
        ("ClientOrderIndex", _LONG),
        ("BaseAmount", _LONG),
        ("Price", ctypes.c_uint32),
        ("IsAsk", _BYTE),
        ("Type", _BYTE),
        ("TimeInForce", _BYTE),
        ("ReduceOnly", _BYTE),
        ("TriggerPrice", ctypes.c_uint32),
        ("OrderExpiry", _LONG),
    )


class _Signed(ctypes.Structure):
    _fields_ = (
        ("type", _BYTE),
        ("info", ctypes.c_void_p),
        ("hash", ctypes.c_void_p),
        ("message", ctypes.c_void_p),
        ("error", ctypes.c_void_p),
    )


class _Token(ctypes.Structure):
    _fields_ = (("token", ctypes.c_void_p), ("error", ctypes.c_void_p))


class _NewKey(ctypes.Structure):
    _fields_ = (
        ("private", ctypes.c_void_p),
        ("public", ctypes.c_void_p),
        ("error", ctypes.c_void_p),
    )


class Signer:
    """Sign for one chain; what is asked for a key that was not given before is refused.

    Parameters
    ----------
    chain_id
        304 for mainnet, 300 for everything else. A signature for the wrong chain is worthless, which is what keeps
        simulated orders from being real ones.
    """

    def __init__(self, chain_id: int) -> None:
        self._chain_id = chain_id
        self._known: dict[ApiKey, str] = {}
        self._lock = threading.Lock()

    def knows(self, key: ApiKey) -> bool:
        """Tell whether the private key of ``key`` was given."""
        return key in self._known

    def learn(self, key: ApiKey, private_key: str) -> None:
        """Take a private key, so that it can sign.

        Raises
        ------
        ConfigurationError
            If it is none; the message never holds the key.
        """
        with self._lock:
            if self._known.get(key) == private_key:
                return
            secret = private_key.strip().removeprefix("0x")
            error = _library().CreateClient(
                _NO_URL, secret.encode(), self._chain_id, key.key_index, key.account_index
            )
            if _take(error) is not None:
                raise ConfigurationError(
                    f"the API key {key.key_index} of Lighter account {key.account_index} is no private key; "
                    "store its 40 bytes in hex under the account's key name"
                )
            self._known[key] = private_key

    def order(self, key: ApiKey, order: WireOrder, nonce: int) -> SignedTx:
        """Sign one order."""
        return self._sign(
            _library().SignCreateOrder(
                order.market_index,
                order.client_order_index,
                order.base_amount,
                order.price,
                order.is_ask,
                order.type,
                order.time_in_force,
                order.reduce_only,
                order.trigger_price,
                order.expires_ms,
                *_NO_INTEGRATOR,
                *self._tail(key, nonce),
            )
        )

    def group(
        self, key: ApiKey, grouping: int, orders: Sequence[WireOrder], nonce: int
    ) -> SignedTx:
        """Sign orders that belong together."""
        array = (_Order * len(orders))(
            *(
                _Order(
                    one.market_index,
                    one.client_order_index,
                    one.base_amount,
                    one.price,
                    one.is_ask,
                    one.type,
                    one.time_in_force,
                    one.reduce_only,
                    one.trigger_price,
                    one.expires_ms,
                )
                for one in orders
            )
        )
        return self._sign(
            _library().SignCreateGroupedOrders(
                grouping, array, len(orders), *_NO_INTEGRATOR, *self._tail(key, nonce)
            )
        )

    def cancel(self, key: ApiKey, market_index: int, client_index: int, nonce: int) -> SignedTx:
        """Sign the cancelling of one order, named by its client order index."""
        return self._sign(
            _library().SignCancelOrder(market_index, client_index, *self._tail(key, nonce))
        )

    def leverage(
        self, key: ApiKey, market_index: int, margin_fraction: int, nonce: int
    ) -> SignedTx:
        """Sign the initial margin fraction (1/10000) of a market, with cross margin."""
        return self._sign(
            _library().SignUpdateLeverage(
                market_index, margin_fraction, _CROSS_MARGIN, *self._tail(key, nonce)
            )
        )

    def token(self, key: ApiKey, expires_s: int) -> str:
        """Return an auth token that is valid until ``expires_s`` (Unix seconds)."""
        self._require(key)
        result = _library().CreateAuthToken(expires_s, key.key_index, key.account_index)
        token, error = _take(result.token), _take(result.error)
        if error is not None or token is None:
            raise InvariantError(f"Lighter's signer gave no auth token: {error}")
        return token

    def _tail(self, key: ApiKey, nonce: int) -> tuple[int, int, int, int]:
        self._require(key)
        if nonce < 0:
            raise InvariantError(f"{nonce} is no nonce; the library would ask the network for one")
        return _KEEP_NONCES_STRICT, nonce, key.key_index, key.account_index

    def _require(self, key: ApiKey) -> None:
        if key not in self._known:
            raise InvariantError(f"no private key was given for {key}")

    @staticmethod
    def _sign(result: Any) -> SignedTx:
        info, error = _take(result.info), _take(result.error)
        _take(result.hash)
        _take(result.message)
        if error is not None or info is None:
            raise InvariantError(f"Lighter's signer refuses: {error}; nothing was sent")
        return SignedTx(int(result.type), info)


_NO_INTEGRATOR = (0, 0, 0, 0, 0)


def new_api_key() -> tuple[str, str]:
    """Return a new (private key, public key), both in hex; the public one is registered with the account."""
    result = _library().GenerateAPIKey()
    private, public, error = _take(result.private), _take(result.public), _take(result.error)
    if private is None or public is None:
        raise InvariantError(f"Lighter's signer made no key: {error}")
    return private, public


@cache
def _library() -> Any:
    """Load the library of this platform.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    machine = _MACHINES.get(platform.machine().lower(), platform.machine())
    name = _LIBRARIES.get((platform.system(), machine))
    package = find_spec("lighter")
    places = package.submodule_search_locations if package is not None else None
    path = Path(places[0]) / "signers" / name if places and name else None
    if path is None or not path.exists():
        raise ConfigurationError(
            f"no Lighter signer for {platform.system()} on {platform.machine()}: install lighter-sdk on a platform "
            "that it supports, or take LIGHTER out of AGENTWHERE_VENUES"
        )
    library = ctypes.CDLL(str(path))
    tail = [_BYTE, _LONG, _INT, _LONG]
    attributes = [_LONG, _INT, _INT, _BYTE, _BYTE]
    order = [_LONG, _LONG, _LONG, *[_INT] * 6, _LONG]
    _declare(library.CreateClient, [_TEXT, _TEXT, _INT, _INT, _LONG], ctypes.c_void_p)
    _declare(library.SignCreateOrder, [*order, *attributes, *tail], _Signed)
    group = [_BYTE, ctypes.POINTER(_Order), _INT]
    _declare(library.SignCreateGroupedOrders, [*group, *attributes, *tail], _Signed)
    _declare(library.SignCancelOrder, [_LONG, _LONG, *tail], _Signed)
    _declare(library.SignUpdateLeverage, [_LONG, _INT, _INT, *tail], _Signed)
    _declare(library.CreateAuthToken, [_LONG, _INT, _LONG], _Token)
    _declare(library.GenerateAPIKey, [], _NewKey)
    _declare(library.Free, [ctypes.c_void_p], None)
    return library


def _declare(function: Callable[..., Any], takes: Sequence[Any], gives: Any) -> None:
    function.argtypes, function.restype = takes, gives  # type: ignore[attr-defined]


def _take(pointer: int | None) -> str | None:
    """Return the text that the library allocated, and give its memory back."""
    if not pointer:
        return None
    try:
        value = ctypes.cast(pointer, ctypes.c_char_p).value
        return None if value is None else value.decode()
    finally:
        _library().Free(pointer)
