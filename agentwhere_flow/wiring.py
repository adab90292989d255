"""From settings to clients: venue adapters, the X API, feeds, and the language model.

Whatever holds connections is entered into ``closing``, the stack that the `System` empties at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.http import HttpClient
from agentwhere_flow.profiles import Endpoints
from agentwhere_flow.settings import Profile, Settings

if TYPE_CHECKING:
    import httpx

    from agentwhere_core.arena.provider import Provider
    from agentwhere_core.llm.client import LLMClient
    from agentwhere_core.sources.feeds import FeedClient
    from agentwhere_core.sources.x import XClient
    from agentwhere_core.venues.protocol import Execution, MarketData
    from agentwhere_flow.secrets import SecretStore

_USER_AGENT = "agentwhere/0.1 (feed reader)"


def make_venues(
    settings: Settings, endpoints: Endpoints, secrets: SecretStore, closing: ExitStack
) -> Mapping[Venue, MarketData]:
    """Return an adapter for each enabled venue.

    Raises
    ------
    ConfigurationError
        If a venue is enabled that has no adapter.
    """
    makers = {Venue.HYPERLIQUID: _hyperliquid, Venue.OSTIUM: _ostium, Venue.LIGHTER: _lighter}
    if unknown := [venue for venue in settings.venues if venue not in makers]:
        raise ConfigurationError(
            f"no adapter for {', '.join(unknown)}: AGENTWHERE_VENUES may name {', '.join(makers)}"
        )
    return {
        venue: makers[venue](endpoints, _venue_http(venue, settings, endpoints, closing), secrets)
        for venue in settings.venues
    }


def make_x_client(
    settings: Settings, endpoints: Endpoints, bearer_token: str, closing: ExitStack
) -> XClient:
    """Return a client of the X API."""
    from agentwhere_core.sources.x import XClient

    return XClient(endpoints.x, bearer_token, _http(settings, closing))


def make_feed_client(settings: Settings, closing: ExitStack) -> FeedClient:
    """Return a reader of RSS and Atom feeds, which reaches no private network unless the settings allow it."""
    from agentwhere_core.sources.feeds import FeedClient

    if settings.feeds_private:
        return FeedClient(_http(settings, closing))
    from agentwhere_core.sources.guard import PublicOnly

    in_sim = settings.profile is Profile.SIM
    allowed = [("127.0.0.1", settings.sim_port)] if in_sim else []
    return FeedClient(_http(settings, closing, PublicOnly(allowed)))


def make_llm_client(
    settings: Settings, endpoints: Endpoints, api_key: str, closing: ExitStack
) -> LLMClient:
    """Return a client of the OpenAI-compatible endpoint."""
    from agentwhere_core.llm.client import LLMClient

    client = LLMClient(
        endpoints.llm, api_key, endpoints.llm_model, timeout_s=settings.llm_timeout_s
    )
    return closing.enter_context(client)


def make_provider(
    settings: Settings, endpoints: Endpoints, api_key: str, closing: ExitStack
) -> Provider:
    """Return a client of the same endpoint for the arena's models, which name themselves with each question."""
    from agentwhere_core.arena.provider import Provider

    client = Provider(endpoints.llm, api_key, timeout_s=settings.llm_timeout_s)
    return closing.enter_context(client)


def _hyperliquid(endpoints: Endpoints, http: HttpClient, _secrets: SecretStore) -> Execution:
    from agentwhere_core.venues.hyperliquid import Hyperliquid

    return Hyperliquid(
        http,
        data_url=endpoints.hyperliquid_data,
        trade_url=endpoints.hyperliquid_trade,
        is_mainnet=endpoints.hyperliquid_is_mainnet,
    )


def _ostium(endpoints: Endpoints, http: HttpClient, _secrets: SecretStore) -> Execution:
    from agentwhere_core.venues.ostium import Ostium

    return Ostium(
        http,
        data_url=endpoints.ostium_data,
        subgraph_url=endpoints.ostium_subgraph,
        chain=endpoints.ostium_chain,
    )


def _lighter(endpoints: Endpoints, http: HttpClient, secrets: SecretStore) -> Execution:
    from agentwhere_core.venues.lighter import MAINNET_CHAIN_ID, TESTNET_CHAIN_ID, Lighter

    return Lighter(
        http,
        data_url=endpoints.lighter_data,
        trade_url=endpoints.lighter_trade,
        chain_id=MAINNET_CHAIN_ID if endpoints.lighter_is_mainnet else TESTNET_CHAIN_ID,
        keys=lambda account: secrets.get(account.key_name).get_secret_value(),
    )


def _venue_http(
    venue: Venue, settings: Settings, endpoints: Endpoints, closing: ExitStack
) -> HttpClient:
    client = HttpClient(
        venue.value.lower(),
        allowed_hosts=endpoints.allowed_hosts,
        writable_hosts=endpoints.trade_hosts if settings.may_send else frozenset(),
        timeout_s=settings.http_timeout_s,
    )
    closing.callback(client.close)
    return client


def _http(
    settings: Settings, closing: ExitStack, transport: httpx.BaseTransport | None = None
) -> httpx.Client:
    import httpx

    client = httpx.Client(
        transport=transport,
        timeout=httpx.Timeout(settings.http_timeout_s),
        headers={"user-agent": _USER_AGENT},
        # The simulator is on this machine: a proxy of the environment must not stand in between.
        trust_env=settings.profile is not Profile.SIM,
    )
    return closing.enter_context(client)
