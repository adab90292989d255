"""One symbol per thing that is traded, whatever a venue calls it (R9).

A wrong merge trades the wrong asset with real money, a missed merge only loses a choice of venue. So two names become
one token only by a rule that holds everywhere, or by a row of `_OVERRIDES`; all others stay apart.

The rules, in order:

1. A row of `_OVERRIDES` for the venue decides, before and after the quote is taken off.
2. Hyperliquid's builder markets lose the builder's name only for builders in `_MERGED_BUILDERS`
   (``xyz:TSLA`` → TSLA); others keep it, because nobody watches over the names that they choose
   (``flx:GAS`` is natural gas, ``GAS`` is Neo's).
3. A dollar quote is dropped: ``BTC-PERP``, ``BTC-USD``, ``PEPE/USD``, ``BTC_USDC`` → BTC, PEPE;
   also in the joined names of currencies and metals: ``EURUSD``, ``EUR/USD`` → EUR, ``XAUUSD`` → XAU.
4. Any other quote is part of the thing: ``USD/JPY`` → USDJPY. A long USDJPY is a *short* yen, which is
   why "yen" names nothing here.
5. A lower-case ``k`` before capitals, and 1000, 10000, 1000000 or 1M before a letter, are units:
   ``kPEPE``, ``1000PEPE`` → PEPE × 1000. KAS, KAITO, 1INCH, 0G and 2Z are names.

A ticker that means different things on different venues is nobody's token: ``SPX`` is a memecoin on
Hyperliquid and Lighter and the S&P 500 on Ostium, so the first is SPX6900, the second US500, and a post
that says only "SPX" names neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.market import Market

# Real prices of one thing differ by far less between venues, even when one list is a day old; a different thing
# under the same ticker differs by more in every case seen (SPX: 0.72 against 6,830).
PRICE_TOLERANCE = Decimal(2)


@dataclass(frozen=True, slots=True)
class CanonicalSymbol:
    """A canonical token, and how many units of it one market unit holds."""

    token: str
    multiplier: Decimal


@lru_cache(maxsize=4096)
def canonical(venue: Venue, market_name: str) -> CanonicalSymbol:
    """Return the canonical symbol of a market, by the rules of this module.

    Raises
    ------
    ConfigurationError
        If the name is empty or holds characters that no market name has.
    """
    name = market_name.strip()
    if not _MARKET_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{venue} lists a market named {market_name!r}, which is no market name: leave it out and report it."
        )
    known = _OVERRIDES.get((venue, name.upper()))
    if known is not None:
        return CanonicalSymbol(known, Decimal(1))
    builder, _, own_name = name.rpartition(":")
    if builder and builder not in _MERGED_BUILDERS:
        return CanonicalSymbol(name.upper(), Decimal(1))
    base = _without_dollar(venue, own_name)
    known = _OVERRIDES.get((venue, base.upper()))
    if known is not None:
        return CanonicalSymbol(known, Decimal(1))
    return _without_unit(base)


def unlike(markets: Iterable[Market]) -> frozenset[Venue]:
    """Return the venues whose price says that their market is another thing than the others' under the same token.

    A venue is named if its price per canonical unit is more than `PRICE_TOLERANCE` times away from that
    of more than half of the others. Of two that disagree both are named, since nothing tells which one is
    right. Markets without a price have no say.
    """
    prices = [
        (market.venue, market.price / market.size_multiplier)
        for market in markets
        if market.price is not None and market.price > 0
    ]
    if len(prices) < 2:
        return frozenset()
    lowest, highest = min(price for _, price in prices), max(price for _, price in prices)
    if highest <= lowest * PRICE_TOLERANCE:
        return frozenset()
    return frozenset(
        venue
        for venue, price in prices
        if 2 * sum(_are_apart(price, other) for _, other in prices) > len(prices) - 1
    )


def _are_apart(one: Decimal, other: Decimal) -> bool:
    return max(one, other) > min(one, other) * PRICE_TOLERANCE


def _without_dollar(venue: Venue, name: str) -> str:
    """Return the name without its dollar quote; another quote is joined to it."""
    parts = [part for part in _SEPARATORS.split(name) if part and part.upper() not in _KINDS]
    if len(parts) == 2:
        base, quote = parts
        return base if quote.upper() in _DOLLARS else f"{base}{quote}".upper()
    whole = "".join(parts)
    if whole[-3:].upper() != "USD":
        return whole
    base = whole[:-3]
    # Every Ostium pair is named by its two legs; elsewhere a joined name may be the name of the thing (SAMSUNGUSD).
    if base.upper() in _CURRENCIES or (venue is Venue.OSTIUM and base):
        return base
    return whole


def _without_unit(name: str) -> CanonicalSymbol:
    thousand = _THOUSAND.fullmatch(name)
    if thousand:
        return CanonicalSymbol(thousand["token"], Decimal(1000))
    count = _COUNT.fullmatch(name)
    if count:
        units = count["units"].upper()
        return CanonicalSymbol(
            count["token"].upper(), Decimal(1_000_000) if units == "1M" else Decimal(units)
        )
    return CanonicalSymbol(name.upper(), Decimal(1))


_MARKET_NAME = re.compile(r"[A-Za-z0-9]+(?:[:/_.@\- &][A-Za-z0-9]+)*")
_SEPARATORS = re.compile(r"[/_\-]")
_THOUSAND = re.compile(r"k(?P<token>[A-Z0-9]{2,})")
_COUNT = re.compile(r"(?P<units>10{3,6}|1[Mm](?=[A-Za-z]{3}))(?P<token>[A-Za-z][A-Za-z0-9]+)")
_KINDS = frozenset({"PERP", "SWAP"})
_DOLLARS = frozenset({"USD", "USDC", "USDT", "USDT0", "USDH", "USDE"})
_CURRENCIES = frozenset({"EUR", "GBP", "AUD", "NZD", "XAU", "XAG", "XPT", "XPD", "XCU"})
_MERGED_BUILDERS = frozenset({"xyz"})

# (venue, name in capitals) → token. Indices carry their home currency on Ostium, and settle in dollars.
_OVERRIDES: Mapping[tuple[Venue, str], str] = MappingProxyType(
    {
        (Venue.HYPERLIQUID, "SPX"): "SPX6900",
        (Venue.HYPERLIQUID, "XYZ:SPX"): "US500",
        (Venue.HYPERLIQUID, "XYZ:GOLD"): "XAU",
        (Venue.HYPERLIQUID, "XYZ:SILVER"): "XAG",
        (Venue.HYPERLIQUID, "XYZ:COPPER"): "HG",
        (Venue.HYPERLIQUID, "XYZ:BRENTOIL"): "BRENT",
        (Venue.HYPERLIQUID, "XYZ:GAS"): "NATGAS",
        # Quoted as dollars per what? Apart until the venue says.
        (Venue.HYPERLIQUID, "XYZ:JPY"): "XYZ:JPY",
        (Venue.LIGHTER, "SPX"): "SPX6900",
        (Venue.LIGHTER, "WTI"): "CL",
        (Venue.LIGHTER, "BRENTOIL"): "BRENT",
        (Venue.LIGHTER, "XCU"): "HG",
        (Venue.OSTIUM, "SPX"): "US500",
        (Venue.OSTIUM, "NIK/JPY"): "NIK",
        (Venue.OSTIUM, "NIKJPY"): "NIK",
        (Venue.OSTIUM, "FTSE/GBP"): "FTSE",
        (Venue.OSTIUM, "FTSEGBP"): "FTSE",
        (Venue.OSTIUM, "DAX/EUR"): "DAX",
        (Venue.OSTIUM, "DAXEUR"): "DAX",
        (Venue.OSTIUM, "HSI/HKD"): "HSI",
        (Venue.OSTIUM, "HSIHKD"): "HSI",
    }
)

# What people call things, in lower case. A name is here only if it says the direction right (no "yen": see rule 4) and
# is not an everyday word ("near", "link", "meta", "not").
KNOWN_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "bitcoin": "BTC",
        "digital gold": "BTC",
        "ether": "ETH",
        "ethereum": "ETH",
        "solana": "SOL",
        "ripple": "XRP",
        "dogecoin": "DOGE",
        "cardano": "ADA",
        "avalanche": "AVAX",
        "polkadot": "DOT",
        "chainlink": "LINK",
        "litecoin": "LTC",
        "bitcoin cash": "BCH",
        "ethereum classic": "ETC",
        "hyperliquid": "HYPE",
        "polygon": "POL",
        "arbitrum": "ARB",
        "uniswap": "UNI",
        "toncoin": "TON",
        "shiba inu": "SHIB",
        "tron": "TRX",
        "stellar": "XLM",
        "hedera": "HBAR",
        "monero": "XMR",
        "zcash": "ZEC",
        "near protocol": "NEAR",
        "cosmos": "ATOM",
        "aptos": "APT",
        "injective": "INJ",
        "celestia": "TIA",
        "worldcoin": "WLD",
        "bittensor": "TAO",
        "filecoin": "FIL",
        "kaspa": "KAS",
        "dogwifhat": "WIF",
        "pudgy penguins": "PENGU",
        "internet computer": "ICP",
        "spx6900": "SPX6900",
        "pax gold": "PAXG",
        "gold": "XAU",
        "xauusd": "XAU",
        "silver": "XAG",
        "xagusd": "XAG",
        "platinum": "XPT",
        "palladium": "XPD",
        "copper": "HG",
        "oil": "CL",
        "crude": "CL",
        "crude oil": "CL",
        "wti": "CL",
        "brent": "BRENT",
        "brent oil": "BRENT",
        "brent crude": "BRENT",
        "natural gas": "NATGAS",
        "euro": "EUR",
        "eurusd": "EUR",
        "eur/usd": "EUR",
        "sterling": "GBP",
        "british pound": "GBP",
        "gbpusd": "GBP",
        "gbp/usd": "GBP",
        "aussie dollar": "AUD",
        "australian dollar": "AUD",
        "audusd": "AUD",
        "aud/usd": "AUD",
        "kiwi dollar": "NZD",
        "nzdusd": "NZD",
        "nzd/usd": "NZD",
        "dollar-yen": "USDJPY",
        "dollar yen": "USDJPY",
        "usd/jpy": "USDJPY",
        "usd/cad": "USDCAD",
        "usd/chf": "USDCHF",
        "usd/mxn": "USDMXN",
        "s&p 500": "US500",
        "s&p500": "US500",
        "s&p": "US500",
        "sp500": "US500",
        "spx500": "US500",
        "nasdaq": "NDX",
        "nasdaq 100": "NDX",
        "nasdaq-100": "NDX",
        "dow jones": "DJI",
        "nikkei": "NIK",
        "nikkei 225": "NIK",
        "ftse 100": "FTSE",
        "hang seng": "HSI",
        "nvidia": "NVDA",
        "google": "GOOG",
        "alphabet": "GOOG",
        "amazon": "AMZN",
        "meta platforms": "META",
        "tesla": "TSLA",
        "apple": "AAPL",
        "microsoft": "MSFT",
        "coinbase": "COIN",
        "robinhood": "HOOD",
        "palantir": "PLTR",
        "microstrategy": "MSTR",
    }
)
