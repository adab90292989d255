"""The subgraph: pairs, trades and orders as GraphQL entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentwhere_sim.graphql import Field, GraphQLError, select
from agentwhere_sim.ostium import abi
from agentwhere_sim.ostium.book import CANCELLED, PENDING, TIMED_OUT
from agentwhere_sim.ostium.contracts import WHOLE
from agentwhere_sim.ostium.keeper import pair_of
from agentwhere_sim.ostium.market_info import LIQUIDATION_MARGIN_PCT
from agentwhere_sim.universe import ostium_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentwhere_sim.faults import Faults
    from agentwhere_sim.ostium.book import Book, Order, Trade
    from agentwhere_sim.ostium.chain import Chain
    from agentwhere_sim.ostium.market_info import MarketInfo

_DEFAULT_PAGE = 100
_ARGUMENTS = {"first", "skip", "orderBy", "orderDirection", "subgraphError"}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda left, right: bool(left > right),
    "gte": lambda left, right: bool(left >= right),
    "lt": lambda left, right: bool(left < right),
    "lte": lambda left, right: bool(left <= right),
    "not": lambda left, right: bool(left != right),
}
_REASONS = {
    2: "MARKET_CLOSED",
    3: "SLIPPAGE",
    4: "TP_REACHED",
    5: "SL_REACHED",
    6: "EXPOSURE_LIMITS",
    9: "NO_TRADE",
}


@dataclass(frozen=True, slots=True)
class _Indexed:
    """What the subgraph has seen of the chain, up to a block."""

    block: int
    trades: list[dict[str, Any]]
    orders: list[dict[str, Any]]


class Subgraph:
    """Answer the root fields of a query."""

    def __init__(self, chain: Chain, book: Book, markets: MarketInfo, faults: Faults) -> None:
        self._chain = chain
        self._book = book
        self._markets = markets
        self._faults = faults
        self._standing: _Indexed | None = None

    def _indexed(self) -> _Indexed:
        """Give what is indexed by now; while it is late, what was when that began."""
        is_late = self._faults.suffers("ostium", "subgraph_late", "")
        if self._standing is None or not is_late:
            seen = _Indexed(
                self._chain.block(),
                [self._trade(trade) for trade in self._book.trades(closed_too=True)],
                [self._order(order) for order in self._book.orders()],
            )
            self._standing = seen if is_late else None
            return seen
        return self._standing

    def resolve(self, field: Field) -> Any:
        """Answer one root field. Raises ``GraphQLError``."""
        match field.name:
            case "pairs":
                unknown = set(field.arguments) - _ARGUMENTS
                if unknown:
                    names = ", ".join(sorted(unknown))
                    raise GraphQLError(f"the simulated subgraph does not filter pairs by {names}")
                pairs = _page([self._markets.entity(pair) for pair in ostium_pairs()], field)
                return select("Pair", pairs, field.selection)
            case "pair":
                wanted = str(field.arguments.get("id"))
                found = next((pair for pair in ostium_pairs() if str(pair.pair_id) == wanted), None)
                entity = None if found is None else self._markets.entity(found)
                return select("Pair", entity, field.selection)
            case "metaDatas":
                rules = [{"liqMarginThresholdP": str(LIQUIDATION_MARGIN_PCT)}]
                return select("MetaData", rules, field.selection)
            case "_meta":
                meta = {"block": {"number": self._indexed().block}, "hasIndexingErrors": False}
                return select("_Meta_", meta, field.selection)
            case "trades":
                return select("Trade", _page(self._indexed().trades, field), field.selection)
            case "orders":
                return select("Order", _page(self._indexed().orders, field), field.selection)
            case "limits":
                return []
            case other:
                raise GraphQLError(f"Type `Query` has no field `{other}`")

    def _trade(self, trade: Trade) -> dict[str, Any]:
        return {
            "id": str(trade.trade_id),
            "tradeID": str(trade.trade_id),
            "trader": trade.trader,
            "pair": self._pair(trade.pair),
            "index": str(trade.index),
            "isBuy": trade.buy,
            "isOpen": trade.is_open,
            "collateral": str(trade.collateral),
            "notional": str(trade.notional),
            "tradeNotional": str(trade.size),
            "leverage": str(trade.leverage),
            "highestLeverage": str(trade.leverage),
            "openPrice": str(trade.open_price),
            "closePrice": str(trade.close_price),
            "takeProfitPrice": str(trade.tp),
            "stopLossPrice": str(trade.sl),
            "funding": "0",
            "rollover": "0",
            "timestamp": str(trade.opened_ms // 1000),
        }

    def _order(self, order: Order) -> dict[str, Any]:
        is_cancelled = order.state in (CANCELLED, TIMED_OUT)
        return {
            "id": str(order.id),
            "trader": order.trader,
            "pair": self._pair(order.pair),
            "tradeID": str(order.trade_id),
            "orderType": order.kind,
            "orderAction": order.action,
            "isBuy": order.buy,
            "price": str(order.price),
            "priceAfterImpact": str(order.price),
            "priceImpactP": "0",
            "collateral": str(order.collateral),
            "notional": str(order.collateral * order.leverage // 100),
            "tradeNotional": str(order.size),
            "leverage": str(order.leverage),
            "initiatedAt": str(order.initiated_ms // 1000),
            "initiatedBlock": str(order.block),
            "initiatedTx": order.tx_hash,
            "executedAt": str(order.executed_ms // 1000),
            "executedBlock": str(order.executed_block),
            "executedTx": order.executed_tx,
            "isPending": order.state == PENDING,
            "isCancelled": is_cancelled,
            "cancelReason": _REASONS.get(order.reason, "") if is_cancelled else None,
            "devFee": str(order.dev_fee),
            "vaultFee": "0",
            "oracleFee": str(order.oracle_fee),
            "liquidationFee": str(order.liquidation_fee),
            "fundingFee": "0",
            "rolloverFee": str(order.rollover_fee),
            "profitPercent": str(order.profit_pct),
            "totalProfitPercent": str(order.profit_pct),
            "amountSentToTrader": str(order.sent),
            "closePercent": str(order.share if order.action == "Close" else WHOLE),
        }

    def _pair(self, pair_id: int) -> dict[str, Any]:
        return self._markets.entity(pair_of(pair_id))


def _page(entities: list[dict[str, Any]], field: Field) -> list[dict[str, Any]]:
    """Filter, order and cut a list of entities by a field's arguments."""
    arguments = field.arguments
    found = [item for item in entities if _fits(item, arguments.get("where") or {})]
    order_by = arguments.get("orderBy")
    if order_by is not None:
        found.sort(
            key=lambda item: _comparable(item[order_by]),
            reverse=arguments.get("orderDirection") == "desc",
        )
    skip, first = int(arguments.get("skip", 0)), int(arguments.get("first", _DEFAULT_PAGE))
    return found[skip : skip + first]


def _fits(entity: dict[str, Any], where: dict[str, Any]) -> bool:
    for wish, wanted in where.items():
        name, _, comparison = wish.partition("_")
        if name not in entity or (comparison and comparison not in _COMPARISONS):
            raise GraphQLError(f"the simulated subgraph does not filter by `{wish}`")
        left, right = _comparable(entity[name]), _comparable(wanted)
        if not (_COMPARISONS[comparison](left, right) if comparison else left == right):
            return False
    return True


def _comparable(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(abi.NOBODY[:2]):
        return value.lower()
    if isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    return value
