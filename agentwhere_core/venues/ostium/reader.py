"""What the contracts hold: balances, trades and orders that wait, by reading calls."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Final

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.venues.ostium import contracts
from agentwhere_core.venues.ostium.contracts import NOBODY, TRADE, TRADE_INFO
from agentwhere_core.venues.ostium.node import Node

_PENDING: Final = ("uint256", "uint192", "uint32", TRADE, "uint16")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Ostium's contracts, lower case. USDC is approved to ``storage``; events of settlement come from ``callbacks``."""

    trading: str
    storage: str
    callbacks: str
    vault: str
    usdc: str


@dataclass(frozen=True, slots=True)
class OpenTrade:
    """A trade as the storage holds it, in the contracts' units; ``size`` is in the base x 1e18."""

    trade_id: int
    pair: int
    index: int
    is_buy: bool
    collateral: int
    leverage: int
    open_price: int
    take_profit: int
    stop_loss: int
    size: int


class Reader:
    """Read the contracts' state.

    Parameters
    ----------
    node
        Where to ask.
    trading
        Address of the trading contract; the others are found from it.
    """

    def __init__(self, node: Node, trading: str) -> None:
        self._node = node
        self._trading = trading.lower()
        self._lock = Lock()
        self._found: Addresses | None = None

    def addresses(self) -> Addresses:
        """Return the contracts' addresses, asked for once.

        Raises
        ------
        ConfigurationError
            If there is no trading contract at the configured address.
        """
        with self._lock:
            if self._found is None:
                self._found = self._find()
            return self._found

    def balance(self, address: str) -> int:
        """Return an account's USDC in millionths of a dollar."""
        return self._number(self.addresses().usdc, "balanceOf", contracts.checksummed(address))

    def allowance(self, address: str) -> int:
        """Return how much USDC the storage may still take from an account."""
        found = self.addresses()
        owner, spender = contracts.checksummed(address), contracts.checksummed(found.storage)
        return self._number(found.usdc, "allowance", owner, spender)

    def delegate(self, trader: str) -> str:
        """Return who may act for a trader, the zero address for nobody."""
        data = contracts.encode("delegations", contracts.checksummed(trader))
        answer = self._node.call(self._trading, data)
        return str(contracts.decode(["address"], answer)[0]).lower()

    def timeout_blocks(self) -> int:
        """Return after how many blocks a market order that was not settled may be reclaimed."""
        return self._number(self._trading, "marketOrdersTimeout")

    def trade(self, trader: str, pair: int, index: int) -> OpenTrade | None:
        """Return the open trade at a place, or None."""
        storage, place = self.addresses().storage, (contracts.checksummed(trader), pair, index)
        data = contracts.encode("getOpenTrade", *place)
        (held,) = contracts.decode([TRADE], self._node.call(storage, data))
        if held[5] == 0:
            return None
        data = contracts.encode("getOpenTradeInfo", *place)
        (info,) = contracts.decode([TRADE_INFO], self._node.call(storage, data))
        return OpenTrade(
            trade_id=info[0],
            pair=held[6],
            index=held[7],
            is_buy=held[8],
            collateral=held[0],
            leverage=held[5],
            open_price=held[1],
            take_profit=held[2],
            stop_loss=held[3],
            size=info[1],
        )

    def trades(self, trader: str, pair: int) -> list[OpenTrade]:
        """Return a trader's open trades in a pair, by index."""
        places = range(self._number(self.addresses().storage, "maxTradesPerPair"))
        found = (self.trade(trader, pair, index) for index in places)
        return [trade for trade in found if trade is not None]

    def waiting_collateral(self, trader: str) -> int:
        """Return the USDC that entries hold which are not settled yet."""
        storage = self.addresses().storage
        data = contracts.encode("getPendingOrderIds", contracts.checksummed(trader))
        (ids,) = contracts.decode(["uint256[]"], self._node.call(storage, data))
        total = 0
        for order_id in ids:
            data = contracts.encode("reqID_pendingMarketOrder", order_id)
            total += contracts.decode(_PENDING, self._node.call(storage, data))[3][0]
        return total

    def _find(self) -> Addresses:
        self._node.require_chain()
        registry = self._address(self._trading, "registry")
        if registry == NOBODY:
            raise ConfigurationError(
                f"the contract at {self._trading} is not Ostium's trading contract: correct its address"
            )
        storage, callbacks, vault = (
            self._address(registry, "getContractAddress", name.ljust(32, b"\0"))
            for name in (b"tradingStorage", b"callbacks", b"vault")
        )
        usdc = self._address(storage, "usdc")
        return Addresses(self._trading, storage, callbacks, vault, usdc)

    def _address(self, contract: str, function: str, *arguments: object) -> str:
        answer = self._node.call(contract, contracts.encode(function, *arguments))
        if not answer:
            raise ConfigurationError(
                f"there is no contract of Ostium at {contract}: correct the address of its trading contract"
            )
        return str(contracts.decode(["address"], answer)[0]).lower()

    def _number(self, contract: str, function: str, *arguments: object) -> int:
        answer = self._node.call(contract, contracts.encode(function, *arguments))
        return int(contracts.decode(["uint256"], answer)[0])
