"""The simulated venues' markets: the project's own compact table of real market facts.

Four small CSV files in ``data/``. ``underlyings.csv`` gives one price level per canonical symbol, so that the venues
agree on what a token is worth; the others list each venue's markets in that venue's own naming (Hyperliquid's ``kPEPE``
and Lighter's ``1000PEPE`` are both 1000 units of PEPE). In ``hyperliquid.csv`` the row number is the asset id.

Ostium's SPX is the stock index, Hyperliquid's SPX a memecoin: the canonical symbols are US500 and SPX.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Underlying:
    """What is traded, whatever a venue calls it; ``price_usd`` is in the pair's quote currency."""

    symbol: str
    price_usd: Decimal
    kind: str
    daily_volatility: float


@dataclass(frozen=True, slots=True)
class HyperliquidMarket:
    """A perpetual of Hyperliquid; ``asset`` is its id, ``multiplier`` how many units of the underlying one coin is."""

    asset: int
    name: str
    underlying: Underlying
    multiplier: int
    sz_decimals: int
    max_leverage: int
    only_isolated: bool
    delisted: bool
    day_volume_usd: Decimal
    open_interest: Decimal


@dataclass(frozen=True, slots=True)
class OstiumPair:
    """A pair of Ostium; leverage in times, ``hours`` names its trading hours."""

    pair_id: int
    base: str
    quote: str
    underlying: Underlying
    group: str
    max_leverage: int
    overnight_max_leverage: int
    min_notional_usd: Decimal
    taker_fee_bps: Decimal
    hours: str
    max_open_interest_usd: Decimal

    @property
    def name(self) -> str:
        """The asset name that Ostium's REST endpoints use, such as EURUSD."""
        return f"{self.base}{self.quote}"


@dataclass(frozen=True, slots=True)
class LighterMarket:
    """A market of Lighter; margin fractions in 1/10000, fees in percent, as the venue sends them."""

    market_id: int
    symbol: str
    underlying: Underlying
    multiplier: int
    size_decimals: int
    price_decimals: int
    min_base_amount: str
    min_quote_amount: str
    default_initial_margin_fraction: int
    min_initial_margin_fraction: int
    maintenance_margin_fraction: int
    closeout_margin_fraction: int
    maker_fee: str
    taker_fee: str
    day_volume_usd: Decimal
    open_interest: Decimal


@cache
def underlyings() -> Mapping[str, Underlying]:
    """Give all underlyings by canonical symbol."""
    return {
        row["canonical"]: Underlying(
            symbol=row["canonical"],
            price_usd=Decimal(row["price_usd"]),
            kind=row["kind"],
            daily_volatility=float(row["daily_volatility_pct"]) / 100,
        )
        for row in _rows("underlyings.csv")
    }


@cache
def hyperliquid_markets() -> tuple[HyperliquidMarket, ...]:
    """Give Hyperliquid's perpetuals; the position in the tuple is the asset id."""
    known = underlyings()
    return tuple(
        HyperliquidMarket(
            asset=asset,
            name=row["name"],
            underlying=known[row["canonical"]],
            multiplier=int(row["multiplier"]),
            sz_decimals=int(row["sz_decimals"]),
            max_leverage=int(row["max_leverage"]),
            only_isolated=row["only_isolated"] == "1",
            delisted=row["delisted"] == "1",
            day_volume_usd=Decimal(row["day_volume_usd"]),
            open_interest=Decimal(row["open_interest"]),
        )
        for asset, row in enumerate(_rows("hyperliquid.csv"))
    )


@cache
def hyperliquid_by_name() -> Mapping[str, HyperliquidMarket]:
    """Give Hyperliquid's perpetuals by coin name."""
    return {market.name: market for market in hyperliquid_markets()}


@cache
def ostium_pairs() -> tuple[OstiumPair, ...]:
    """Give Ostium's pairs by ascending id."""
    known = underlyings()
    return tuple(
        OstiumPair(
            pair_id=int(row["pair_id"]),
            base=row["from"],
            quote=row["to"],
            underlying=known[row["canonical"]],
            group=row["group"],
            max_leverage=int(row["max_leverage"]),
            overnight_max_leverage=int(row["overnight_max_leverage"]),
            min_notional_usd=Decimal(row["min_notional_usd"]),
            taker_fee_bps=Decimal(row["taker_fee_bps"]),
            hours=row["hours"],
            max_open_interest_usd=Decimal(row["max_oi_usd"]),
        )
        for row in _rows("ostium.csv")
    )


@cache
def lighter_markets() -> tuple[LighterMarket, ...]:
    """Give Lighter's markets by ascending id."""
    known = underlyings()
    return tuple(
        LighterMarket(
            market_id=int(row["market_id"]),
            symbol=row["symbol"],
            underlying=known[row["canonical"]],
            multiplier=int(row["multiplier"]),
            size_decimals=int(row["size_decimals"]),
            price_decimals=int(row["price_decimals"]),
            min_base_amount=row["min_base_amount"],
            min_quote_amount=row["min_quote_amount"],
            default_initial_margin_fraction=int(row["default_imf"]),
            min_initial_margin_fraction=int(row["min_imf"]),
            maintenance_margin_fraction=int(row["mmf"]),
            closeout_margin_fraction=int(row["cmf"]),
            maker_fee=row["maker_fee_pct"],
            taker_fee=row["taker_fee_pct"],
            day_volume_usd=Decimal(row["day_volume_usd"]),
            open_interest=Decimal(row["open_interest"]),
        )
        for row in _rows("lighter.csv")
    )


@cache
def lighter_by_id() -> Mapping[int, LighterMarket]:
    """Give Lighter's markets by their ids."""
    return {market.market_id: market for market in lighter_markets()}


def _rows(name: str) -> list[dict[str, str]]:
    text = files("agentwhere_sim").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
