"""What stands around the contracts on a real EVM: the keeper, an index of their events, and a wire that can fail.

The test plays the keeper: whoever asks the node finds settled what has waited long enough, at the simulated oracle's
prices. The index answers as a subgraph does, from nothing but the events of the chain.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from decimal import Decimal
from threading import RLock
from typing import Any

from agentwhere_sim.testing import Simulator
from tests.core.wires import Answer
from tests.venues import anvil
from tests.venues.anvil import Evm

ONE = 10**18
WHOLE = 10_000
PAIR, BASE, QUOTE = 5, "XAU", "USD"
KEEPER_DELAY_S = 0.3
ORACLE_FEE = 10**5
BROADCAST = "eth_sendRawTransaction"
TAKE_PROFIT, STOP_LOSS, LIQUIDATION = 0, 1, 2
_KINDS = ("TakeProfit", "StopLoss", "Liquidation")
_ENTITY_OF_PAIR = {
    "id": str(PAIR),
    "from": BASE,
    "to": QUOTE,
    "maxLeverage": "20000",
    "group": {"maxLeverage": "20000"},
}


@dataclass
class Trade:
    """An open trade, as the events made it."""

    id: int
    place: tuple[str, int, int]
    is_buy: bool
    collateral: int
    leverage: int
    open_price: int
    size: int


@dataclass
class History:
    """What the contract's events come to."""

    trades: dict[int, Trade] = field(default_factory=dict)
    orders: list[dict[str, Any]] = field(default_factory=list)
    waiting: dict[int, bool] = field(default_factory=dict)
    opened: list[int] = field(default_factory=list)


class EvmDesk:
    """Keeper, index and wire of one chain."""

    def __init__(self, evm: Evm, sim: Simulator) -> None:
        self._evm = evm
        self._sim = sim
        self._lock = RLock()
        self._faults: list[str] = []
        self._seen: dict[int, float] = {}
        self._contract = anvil.interface("OstiumDouble")
        self._events = {one.topic: one for one in (event() for event in self._contract.events)}
        self._history = History()
        self._read_until = int(evm.ask("eth_blockNumber"), 16)
        self.is_spoilt = False

    def fault(self, kind: str) -> None:
        """Let the next broadcast meet a fault."""
        self._faults.append(kind)

    def answer(self, path: str, body: bytes) -> Answer | None:
        """Answer a request to the node or to the index."""
        with self._lock:
            text = self._index(body) if path == "/subgraph" else self._node(body)
        if text is None:
            return None
        return Answer(text[: len(text) // 2] if self.is_spoilt else text)

    def _node(self, body: bytes) -> bytes | None:
        fault = self._faults.pop(0) if self._faults and BROADCAST.encode() in body else None
        if fault == "drop_before":
            return None
        if BROADCAST.encode() not in body and not self.is_spoilt:
            self.keep()
        reply = self._forward(body)
        if fault == "duplicate":
            reply = self._forward(body)
        if fault == "drop_after":
            return None
        return reply[: len(reply) // 2] if fault == "malformed" else reply

    def _forward(self, body: bytes) -> bytes:
        json_body = {"content-type": "application/json"}
        return self._evm.http.post(self._evm.url, content=body, headers=json_body).content

    def keep(self) -> None:
        """Be the keeper: settle what has waited, and fire what the price has reached."""
        found = self.history()
        bid, ask = self._prices()
        for order_id, buys in list(found.waiting.items()):
            if (
                time.monotonic() - self._seen.setdefault(order_id, time.monotonic())
                > KEEPER_DELAY_S
            ):
                self._evm.call("OstiumDouble", "settle", order_id, ask if buys else bid, 0)
        for trade in list(found.trades.values()):
            self._watch(trade, bid if trade.is_buy else ask)

    def _watch(self, trade: Trade, price: int) -> None:
        _, _, take_profit, stop, *_ = self._view("getOpenTrade", *trade.place)
        sign = 1 if trade.is_buy else -1
        for kind, level, is_reached in (
            (STOP_LOSS, stop, (price - stop) * sign <= 0),
            (TAKE_PROFIT, take_profit, (price - take_profit) * sign >= 0),
        ):
            if level and is_reached:
                self._evm.call("OstiumDouble", "trigger", *trade.place, kind, price)
                return

    def history(self) -> History:
        """Return what all events of the contract come to, oldest first."""
        block = int(self._evm.ask("eth_blockNumber"), 16)
        first, self._read_until = self._read_until + 1, block
        if first <= block:
            wish = {"address": self._evm.ostium, "fromBlock": hex(first), "toBlock": hex(block)}
            for raw in self._evm.ask("eth_getLogs", wish):
                event = self._events[raw["topics"][0]]
                told = event.process_log(_plain(raw))["args"]
                self._tell(self._history, event.event_name, told, raw)
        return self._history

    def _tell(self, found: History, name: str, told: Any, raw: dict[str, Any]) -> None:
        match name:
            case "MarketOpenOrderInitiated":
                found.opened.append(told["orderId"])
                pending = self._view("reqID_pendingMarketOrder", told["orderId"])
                found.waiting[told["orderId"]] = bool(pending[3][8])
            case "MarketCloseOrderInitiatedV2":
                trade = found.trades.get(told["tradeId"])
                found.waiting[told["orderId"]] = trade is not None and not trade.is_buy
            case "MarketOpenExecuted":
                self._opened(found, told, raw)
            case "MarketCloseExecutedV2":
                self._closed(found, told, raw, "Market", told["percentageClosed"])
            case "LimitCloseExecuted":
                self._closed(found, told, raw, _KINDS[told["orderType"]], WHOLE)
        if "orderId" in told and "Initiated" not in name:
            found.waiting.pop(told["orderId"], None)

    def _opened(self, found: History, told: Any, raw: dict[str, Any]) -> None:
        wish = told["t"]
        trade = Trade(
            id=told["orderId"],
            place=(wish["trader"], wish["pairIndex"], wish["index"]),
            is_buy=wish["buy"],
            collateral=wish["collateral"],
            leverage=wish["leverage"],
            open_price=wish["openPrice"],
            size=told["tradeNotional"],
        )
        found.trades[trade.id] = trade
        order = self._order(trade, told["orderId"], raw, "Open", "Market")
        found.orders.append(order | {"price": str(trade.open_price), "oracleFee": str(ORACLE_FEE)})

    def _closed(
        self, found: History, told: Any, raw: dict[str, Any], kind: str, share: int
    ) -> None:
        trade = found.trades[told["tradeId"]]
        is_whole = share == WHOLE
        collateral = trade.collateral * share // WHOLE
        size = trade.size if is_whole else trade.size * share // WHOLE
        order = self._order(trade, told["orderId"], raw, "Close", kind)
        found.orders.append(
            order
            | {
                "price": str(told["price"]),
                "collateral": str(collateral),
                "tradeNotional": str(size),
                "profitPercent": str(told["percentProfit"]),
                "amountSentToTrader": str(told["usdcSentToTrader"]),
            }
        )
        trade.collateral -= collateral
        trade.size -= size
        if is_whole:
            del found.trades[trade.id]

    def _order(
        self, trade: Trade, order_id: int, raw: dict[str, Any], action: str, kind: str
    ) -> dict[str, Any]:
        block = self._evm.ask("eth_getBlockByNumber", raw["blockNumber"], False)
        fees = ("devFee", "vaultFee", "oracleFee", "fundingFee", "rolloverFee")
        return dict.fromkeys((*fees, "profitPercent", "amountSentToTrader"), "0") | {
            "id": str(order_id),
            "tradeID": str(trade.id),
            "orderType": kind,
            "orderAction": action,
            "isBuy": trade.is_buy,
            "collateral": str(trade.collateral),
            "tradeNotional": str(trade.size),
            "executedAt": str(int(block["timestamp"], 16)),
            "executedTx": raw["transactionHash"],
            "pair": _ENTITY_OF_PAIR,
        }

    def _index(self, body: bytes) -> bytes:
        query = json.loads(body)["query"]
        found = self.history()
        block = int(self._evm.ask("eth_blockNumber"), 16)
        since = int(query.partition("executedAt_gte: ")[2].partition("}")[0] or 0)
        known: dict[str, Any] = {
            "_meta": {"block": {"number": block}, "hasIndexingErrors": False},
            "metaDatas": [{"liqMarginThresholdP": "25"}],
            "trades": [_entity(trade) for trade in found.trades.values()],
            "orders": [one for one in found.orders if int(one["executedAt"]) >= since],
        }
        [name] = [name for name in known if f"{{ {name}" in query]
        return json.dumps({"data": {name: known[name]}}).encode()

    def _prices(self) -> tuple[int, int]:
        listed = self._sim.http.get("/ostium/PricePublish/latest-prices").json()
        [gold] = [one for one in listed if (one["from"], one["to"]) == (BASE, QUOTE)]
        return tuple(int(Decimal(str(gold[side])) * ONE) for side in ("bid", "ask"))  # type: ignore[return-value]

    def _view(self, function: str, *arguments: Any) -> Any:
        from eth_abi.abi import decode

        data = self._contract.encode_abi(function, args=list(arguments))
        answer = self._evm.ask("eth_call", {"to": self._evm.ostium, "data": data}, "latest")
        outputs = self._contract.get_function_by_name(function).abi["outputs"]
        values = decode([_type(one) for one in outputs], bytes.fromhex(answer[2:]))
        return values[0] if len(values) == 1 else values


def _entity(trade: Trade) -> dict[str, Any]:
    return {
        "tradeID": str(trade.id),
        "index": str(trade.place[2]),
        "collateral": str(trade.collateral),
        "leverage": str(trade.leverage),
        "openPrice": str(trade.open_price),
        "isBuy": trade.is_buy,
        "tradeNotional": str(trade.size),
        "pair": _ENTITY_OF_PAIR,
    }


def _type(output: Any) -> str:
    if output["type"] != "tuple":
        return str(output["type"])
    return f"({','.join(_type(part) for part in output['components'])})"


def _plain(raw: dict[str, Any]) -> Any:
    from hexbytes import HexBytes

    return raw | {
        "topics": [HexBytes(topic) for topic in raw["topics"]],
        "data": HexBytes(raw["data"]),
        "blockNumber": int(raw["blockNumber"], 16),
        "logIndex": int(raw["logIndex"], 16),
        "transactionIndex": int(raw["transactionIndex"], 16),
        "transactionHash": HexBytes(raw["transactionHash"]),
        "blockHash": HexBytes(raw["blockHash"]),
    }
