"""Adapters as tests make them, where the account does not matter."""

from __future__ import annotations

from agentwhere_core.domain.trade import VenueAccount
from agentwhere_core.http import HttpClient
from agentwhere_core.venues.lighter import TESTNET_CHAIN_ID, Lighter


def no_key(account: VenueAccount) -> str:
    """Refuse: what is read here is public."""
    raise AssertionError(f"nothing of account {account.address} needs a signature")


def lighter(http: HttpClient, url: str) -> Lighter:
    """Return an adapter that reads what is public."""
    return Lighter(http, data_url=url, trade_url=url, chain_id=TESTNET_CHAIN_ID, keys=no_key)
