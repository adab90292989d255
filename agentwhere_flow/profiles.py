"""What each profile points at. Simulation, paper, testnet and live differ here and in keys, never in code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from agentwhere_core.domain.errors import ConfigurationError, InvariantError
from agentwhere_core.venues.ostium.node import OstiumChain
from agentwhere_flow.settings import Profile, Settings

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base URLs of every service, and whether signatures are for mainnet.

    ``feeds`` stands for ``sim://feeds`` in the addresses of feeds; None where nothing is simulated.
    ``*_data`` serve public market data, ``*_trade`` take orders; they differ only in the profile ``paper``.
    """

    hyperliquid_data: str
    hyperliquid_trade: str
    hyperliquid_is_mainnet: bool
    ostium_data: str
    ostium_subgraph: str
    ostium_chain: OstiumChain | None
    lighter_data: str
    lighter_trade: str
    lighter_is_mainnet: bool
    x: str
    feeds: str | None
    llm: str
    llm_model: str

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Hosts that venue adapters may open a connection to."""
        urls = (
            self.hyperliquid_data,
            self.hyperliquid_trade,
            self.ostium_data,
            self.ostium_subgraph,
            *((chain.rpc_url, chain.subgraph_url) if (chain := self.ostium_chain) else ()),
            self.lighter_data,
            self.lighter_trade,
        )
        return _hosts(urls)

    @property
    def trade_hosts(self) -> frozenset[str]:
        """Hosts that what is signed may be sent to."""
        chain = self.ostium_chain
        return _hosts(
            (self.hyperliquid_trade, self.lighter_trade, *((chain.rpc_url,) if chain else ()))
        )

    def feed_address(self, locator: str) -> str:
        """Return where a feed is fetched: its own address, or where the simulator listens today.

        Raises
        ------
        ConfigurationError
            If the feed is simulated and the profile is not.
        """
        if not locator.startswith(SIM_FEEDS):
            return locator
        if self.feeds is None:
            raise ConfigurationError(
                f"{locator} exists in the profile sim only: give the agent another feed"
            )
        return self.feeds + locator.removeprefix(SIM_FEEDS)


SIM_FEEDS = "sim://feeds"
"""Begins the address of a simulated feed, wherever the simulator listens."""

_HYPERLIQUID = "https://api.hyperliquid.xyz"
_HYPERLIQUID_TESTNET = "https://api.hyperliquid-testnet.xyz"
_LIGHTER = "https://mainnet.zklighter.elliot.ai"
_LIGHTER_TESTNET = "https://testnet.zklighter.elliot.ai"
_OSTIUM_SUBGRAPH = "https://subgraph.satsuma-prod.com/391a61815d32/ostium/ost-prod/api"
_OSTIUM_SUBGRAPH_SEPOLIA = "https://subgraph.satsuma-prod.com/391a61815d32/ostium/ost-sep-final/api"
_OSTIUM_PRICES = "https://metadata-backend.ostium.io"
_SIMULATED_CHAIN_ID = 412_346
# Ostium's own addresses, as its SDK 3.3.1 has them; the adapter asks the node for its chain before it signs.
_ARBITRUM_ONE = OstiumChain(
    rpc_url="https://arb1.arbitrum.io/rpc",
    subgraph_url=_OSTIUM_SUBGRAPH,
    chain_id=42_161,
    trading="0x6D0bA1f9996DBD8885827e1b2e8f6593e7702411",
)
_ARBITRUM_SEPOLIA = OstiumChain(
    rpc_url="https://sepolia-rollup.arbitrum.io/rpc",
    subgraph_url=_OSTIUM_SUBGRAPH_SEPOLIA,
    chain_id=421_614,
    trading="0x2A9B9c988393f46a2537B0ff11E98c2C15a95afe",
)
_LLM = "https://openrouter.ai/api/v1"
_LLM_MODEL = "openai/gpt-4o-mini"
_X = "https://api.x.com"


def endpoints(settings: Settings) -> Endpoints:
    """Return the endpoints of ``settings.profile``, with explicit overrides applied.

    Raises
    ------
    InvariantError
        If a profile that trades here would send anything elsewhere, or sign for a real chain.
    """
    found = _endpoints(settings)
    _require_contained(settings, found)
    return found


def _endpoints(settings: Settings) -> Endpoints:
    simulated = f"http://{LOOPBACK}:{settings.sim_port}"
    in_sim = settings.profile is Profile.SIM
    testnet = settings.profile is Profile.TESTNET
    hyperliquid = _HYPERLIQUID_TESTNET if testnet else _HYPERLIQUID
    lighter = _LIGHTER_TESTNET if testnet else _LIGHTER
    subgraph = _OSTIUM_SUBGRAPH_SEPOLIA if testnet else _OSTIUM_SUBGRAPH

    def data(path: str, override: str | None, public: str) -> str:
        return f"{simulated}/{path}" if in_sim else override or public

    def trade(path: str, public: str) -> str:
        return f"{simulated}/{path}" if settings.trades_here else public

    return Endpoints(
        hyperliquid_data=data("hyperliquid", settings.hyperliquid_data_url, hyperliquid),
        hyperliquid_trade=trade("hyperliquid", hyperliquid),
        hyperliquid_is_mainnet=settings.profile is Profile.LIVE,
        ostium_data=data("ostium", settings.ostium_data_url, _OSTIUM_PRICES),
        ostium_subgraph=data("ostium/subgraph", settings.ostium_data_subgraph_url, subgraph),
        ostium_chain=_ostium_chain(settings, simulated),
        lighter_data=data("lighter", settings.lighter_data_url, lighter),
        lighter_trade=trade("lighter", lighter),
        lighter_is_mainnet=settings.profile is Profile.LIVE,
        x=f"{simulated}/x" if in_sim else _X,
        feeds=f"{simulated}/feeds" if in_sim else None,
        llm=settings.llm_base_url or (f"{simulated}/llm/v1" if in_sim else _LLM),
        llm_model=settings.llm_model or ("sim/careful-analyst" if in_sim else _LLM_MODEL),
    )


def _ostium_chain(settings: Settings, simulated: str) -> OstiumChain | None:
    """Return where Ostium is traded; nowhere in ``live`` until ``AGENTWHERE_OSTIUM_MAINNET=yes``.

    The venue was exploited in July 2026: that it is sound again is for a person to decide.
    """
    if settings.trades_here:
        return OstiumChain(
            rpc_url=f"{simulated}/ostium/rpc",
            subgraph_url=f"{simulated}/ostium/subgraph",
            chain_id=_SIMULATED_CHAIN_ID,
            trading="0x0571000000000000000000000000000000000002",
        )
    chain = _ARBITRUM_SEPOLIA
    if settings.profile is Profile.LIVE:
        if settings.ostium_mainnet != "yes":
            return None
        chain = _ARBITRUM_ONE
    return replace(chain, rpc_url=settings.ostium_rpc_url or chain.rpc_url)


def _require_contained(settings: Settings, found: Endpoints) -> None:
    """Make sure that no edit of this page lets an order out of a profile that trades on this machine.

    Signatures count as well: a client that signs for a real chain leaks orders through whoever sees its requests.
    """
    if settings.profile is Profile.LIVE:
        return
    chain = found.ostium_chain
    real = found.hyperliquid_is_mainnet or found.lighter_is_mainnet
    if real or (chain is not None and chain.chain_id == _ARBITRUM_ONE.chain_id):
        raise InvariantError(f"the profile {settings.profile} would sign for a real chain")
    outside = sorted(host for host in found.trade_hosts if host != LOOPBACK)
    if settings.trades_here and outside:
        raise InvariantError(
            f"the profile {settings.profile} would send orders to {', '.join(outside)}, not to the simulator"
        )


def _hosts(urls: Iterable[str]) -> frozenset[str]:
    return frozenset(host for url in urls if (host := urlsplit(url).hostname))
