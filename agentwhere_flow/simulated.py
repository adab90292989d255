"""Accounts at the simulated venues: opened, given keys of their own, and funded over the simulator's ``/control``.

Only the profile ``sim`` has money to give away.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError, NotFoundError
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import Deployment, VenueAccount
from agentwhere_flow.settings import Profile

if TYPE_CHECKING:
    from agentwhere_core.venues.protocol import Execution
    from agentwhere_flow.system import System

_HOST = "127.0.0.1"
_LIGHTER_KEY_INDEX = 4


def require_simulation(system: System) -> None:
    """Raise ConfigurationError unless the profile is ``sim``: there is no money to give away elsewhere."""
    if system.settings.profile is not Profile.SIM:
        raise ConfigurationError(
            "the demonstration lives in the profile sim: set AGENTWHERE_PROFILE=sim"
        )


def address_of(system: System, key_name: str) -> str:
    """Return the address of the key called ``key_name``, making the key if there is none."""
    from eth_account import Account

    if not system.secrets.has(key_name):
        system.secrets.put(key_name, Account.create().key.to_0x_hex())
    address = Account.from_key(system.secrets.get(key_name).get_secret_value()).address
    return str(address).lower()


def open_account(system: System, venue: Venue, deployment_id: UUID, key_name: str) -> VenueAccount:
    """Return an account of the key called ``key_name``; Lighter opens and numbers one, others take the address."""
    address = address_of(system, key_name)
    if venue is Venue.LIGHTER:
        return _lighter_account(system, deployment_id, address, key_name)
    return VenueAccount(new_id(), deployment_id, venue, address, address, key_name)


def ensure_funds(system: System, deployment: Deployment, now: datetime) -> list[VenueAccount]:
    """Deposit the deployment's capital where the simulated venue holds none of it; return the accounts that got it."""
    funded = []
    for account in deployment.accounts:
        adapter = system.execution(account.venue)
        if adapter is None or _equity(adapter, account, now) > 0:
            continue
        _deposit(system, deployment.subscriber_wallet, account, deployment.capital_usd)
        funded.append(account)
    return funded


def _equity(adapter: Execution, account: VenueAccount, now: datetime) -> Decimal:
    """Return what the venue holds for an account; nothing if it forgot the account."""
    try:
        return adapter.account_state(account, now).equity_usd
    except NotFoundError:
        return Decimal(0)


def _deposit(system: System, wallet: str, account: VenueAccount, usdc: Decimal) -> None:
    wish = {"venue": account.venue.value, "address": wallet, "usdc": str(usdc)}
    if account.venue is Venue.LIGHTER:
        wish |= _lighter_key(system, account.key_name)
    _fund(system, wish)


def _lighter_account(
    system: System, deployment_id: UUID, wallet: str, key_name: str
) -> VenueAccount:
    """Open an account at the simulated Lighter, which numbers it, and give it an API key of its own."""
    name = f"{key_name}-lighter"
    wish = {"venue": Venue.LIGHTER.value, "address": wallet, "usdc": "0"}
    answer = _fund(system, wish | _lighter_key(system, name))
    index = str(answer["account_index"])
    signer = f"{index}:{_LIGHTER_KEY_INDEX}"
    return VenueAccount(new_id(), deployment_id, Venue.LIGHTER, index, signer, name)


def _lighter_key(system: System, name: str) -> dict[str, str]:
    """Return what registers the API key called ``name``, making the key if there is none."""
    from agentwhere_core.venues.lighter.signer import new_api_key

    if not system.secrets.has(name):
        private, public = new_api_key()
        system.secrets.put(f"{name}-public", public)
        system.secrets.put(name, private)
    public_key = system.secrets.get(f"{name}-public").get_secret_value()
    return {"api_key_index": str(_LIGHTER_KEY_INDEX), "public_key": public_key}


def _fund(system: System, wish: dict[str, str]) -> dict[str, Any]:
    import json

    from agentwhere_core.http import HttpClient

    control = HttpClient("simulator", allowed_hosts=frozenset({_HOST}))
    try:
        url = f"http://{_HOST}:{system.settings.sim_port}/control/accounts"
        answer: dict[str, Any] = control.write(url, json.dumps(wish).encode())
        return answer
    finally:
        control.close()
