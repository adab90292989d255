"""``/info`` questions about a user: account, orders, fills, funding, fees. A stranger gets empty answers."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agentwhere_sim.hyperliquid import rules
from agentwhere_sim.hyperliquid.ledger import OPEN, WAITING, Fill, Order, digest
from agentwhere_sim.universe import hyperliquid_by_name, hyperliquid_markets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentwhere_sim.hyperliquid.book import Quotes
    from agentwhere_sim.hyperliquid.ledger import Ledger
    from agentwhere_sim.hyperliquid.margin import Account, Holding, Margins
    from agentwhere_sim.world import World

_MOST_FILLS = 2000
_MOST_FUNDINGS = 500
_FREE_REQUESTS = 10_000
_EIGHT_PLACES = Decimal("0.00000001")


class UserInfo:
    """Answer questions that concern one user."""

    def __init__(self, world: World, ledger: Ledger, quotes: Quotes, margins: Margins) -> None:
        self._world = world
        self._ledger = ledger
        self._quotes = quotes
        self._margins = margins
        self.questions: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "clearinghouseState": self._state,
            "spotClearinghouseState": lambda _question: {"balances": []},
            "activeAssetData": self._active_asset,
            "openOrders": self._open_orders,
            "frontendOpenOrders": self._frontend_open_orders,
            "historicalOrders": self._historical_orders,
            "orderStatus": self._order_status,
            "userFills": self._fills,
            "userFillsByTime": self._fills_by_time,
            "userFunding": self._funding,
            "userNonFundingLedgerUpdates": self._deposits,
            "userFees": self._fees,
            "userRateLimit": self._rate_limit,
            "userRole": self._role,
            "extraAgents": self._agents,
        }

    def _state(self, question: Mapping[str, Any]) -> Any:
        address, now_ms = _user(question), self._world.now_ms()
        account = self._margins.account(address, now_ms)
        summary = _summary(account)
        return {
            "marginSummary": summary,
            "crossMarginSummary": summary,
            "crossMaintenanceMarginUsed": rules.text(rules.usd(account.maintenance_margin)),
            "withdrawable": rules.text(rules.usd(self._margins.withdrawable(address, now_ms))),
            "assetPositions": [_asset_position(account, holding) for holding in account.holdings],
            "time": now_ms,
        }

    def _active_asset(self, question: Mapping[str, Any]) -> Any:
        address, now_ms = _user(question), self._world.now_ms()
        market = hyperliquid_by_name()[question["coin"]]
        leverage, is_cross = self._margins.leverage(address, market)
        mark = self._quotes.mid(market, now_ms)
        available = rules.usd(self._margins.withdrawable(address, now_ms))
        most = rules.text(rules.floor_size(available * leverage / mark, market.sz_decimals))
        return {
            "user": address,
            "coin": market.name,
            "leverage": {"type": "cross" if is_cross else "isolated", "value": leverage},
            "maxTradeSzs": [most, most],
            "availableToTrade": [rules.text(available)] * 2,
            "markPx": rules.text(mark),
        }

    def _open_orders(self, question: Mapping[str, Any]) -> Any:
        orders = reversed(self._ledger.live_orders(_user(question)))
        return [_brief(order) for order in orders if order.status == OPEN]

    def _frontend_open_orders(self, question: Mapping[str, Any]) -> Any:
        orders = reversed(self._ledger.live_orders(_user(question)))
        return [self._full(order) for order in orders if order.status == OPEN]

    def _historical_orders(self, question: Mapping[str, Any]) -> Any:
        orders = reversed(self._ledger.orders(_user(question)))
        return [self._with_status(order) for order in list(orders)[:_MOST_FILLS]]

    def _order_status(self, question: Mapping[str, Any]) -> Any:
        wanted = question["oid"]
        reference = wanted.lower() if isinstance(wanted, str) else int(wanted)
        order = self._ledger.order_of(_user(question), reference)
        if order is None:
            return {"status": "unknownOid"}
        return {"status": "order", "order": self._with_status(order)}

    def _with_status(self, order: Order) -> dict[str, Any]:
        status = OPEN if order.status == WAITING else order.status
        return {"order": self._full(order), "status": status, "statusTimestamp": order.status_ms}

    def _full(self, order: Order) -> dict[str, Any]:
        children = [child for child in self._ledger.children(order.oid) if child.status == WAITING]
        return _brief(order) | {
            "triggerCondition": _condition(order),
            "isTrigger": order.is_trigger,
            "triggerPx": rules.text(order.trigger_px or Decimal(0)),
            "children": [self._full(child) for child in children],
            "isPositionTpsl": order.is_position_tpsl,
            "reduceOnly": order.reduce_only,
            "orderType": _type(order),
            "tif": None if order.is_trigger else order.tif,
            "cloid": order.cloid,
        }

    def _fills(self, question: Mapping[str, Any]) -> Any:
        return [
            _fill(fill) for fill in reversed(self._ledger.fills(_user(question))[-_MOST_FILLS:])
        ]

    def _fills_by_time(self, question: Mapping[str, Any]) -> Any:
        fills = self._ledger.fills(
            _user(question), int(question["startTime"]), question.get("endTime")
        )
        if question.get("aggregateByTime"):
            fills = _aggregated(fills)
        return [_fill(fill) for fill in fills[:_MOST_FILLS]]

    def _funding(self, question: Mapping[str, Any]) -> Any:
        return [
            {
                "delta": {
                    "coin": hyperliquid_markets()[row["asset"]].name,
                    "fundingRate": rules.text(round(Decimal(row["rate"]), 10)),
                    "nSamples": None,
                    "szi": rules.text(Decimal(row["szi"])),
                    "type": "funding",
                    "usdc": rules.text(Decimal(row["usdc"])),
                },
                "hash": "0x" + "0" * 64,
                "time": row["time_ms"],
            }
            for row in self._between("hl_funding", question)[:_MOST_FUNDINGS]
        ]

    def _deposits(self, question: Mapping[str, Any]) -> Any:
        return [
            {
                "time": row["time_ms"],
                "hash": digest("deposit", row["id"]),
                "delta": {"type": "deposit", "usdc": rules.text(Decimal(row["usdc"]))},
            }
            for row in self._between("hl_deposits", question)
        ]

    def _between(self, table: str, question: Mapping[str, Any]) -> list[Any]:
        end_ms = question.get("endTime")
        return self._ledger.db.query(
            f"SELECT * FROM {table} WHERE address = ? AND time_ms BETWEEN ? AND ? ORDER BY id",  # noqa: S608
            (_user(question), int(question["startTime"]), 2**62 if end_ms is None else end_ms),
        )

    def _fees(self, question: Mapping[str, Any]) -> Any:
        _user(question)
        taker, maker = rules.text(rules.TAKER_FEE), rules.text(rules.MAKER_FEE)
        return {
            "dailyUserVlm": [],
            "feeSchedule": {
                "cross": taker,
                "add": maker,
                "spotCross": "0.0007",
                "spotAdd": "0.0004",
                "tiers": {"vip": [], "mm": []},
                "referralDiscount": "0.04",
                "stakingDiscountTiers": [],
            },
            "userCrossRate": taker,
            "userAddRate": maker,
            "userSpotCrossRate": "0.0007",
            "userSpotAddRate": "0.0004",
            "activeReferralDiscount": "0.0",
            "trial": None,
            "feeTrialReward": "0.0",
            "nextTrialAvailableTimestamp": None,
            "stakingLink": None,
            "activeStakingDiscount": {"bpsOfMaxSupply": "0.0", "discount": "0.0"},
        }

    def _rate_limit(self, question: Mapping[str, Any]) -> Any:
        address = _user(question)
        volume = sum((fill.px * fill.sz for fill in self._ledger.fills(address)), Decimal(0))
        return {
            "cumVlm": rules.text(rules.usd(volume)),
            "nRequestsUsed": len(self._ledger.orders(address)),
            "nRequestsCap": _FREE_REQUESTS + int(volume),
        }

    def _role(self, question: Mapping[str, Any]) -> Any:
        address = _user(question)
        account = self._ledger.account_of(address)
        if account is None:
            return {"role": "missing"}
        return (
            {"role": "user"} if account == address else {"role": "agent", "data": {"user": account}}
        )

    def _agents(self, question: Mapping[str, Any]) -> Any:
        rows = self._ledger.db.query(
            "SELECT * FROM hl_agents WHERE master = ? AND name != ''", (_user(question),)
        )
        return [{"address": row["agent"], "name": row["name"], "validUntil": None} for row in rows]


def _user(question: Mapping[str, Any]) -> str:
    address = str(question["user"]).lower()
    bytes.fromhex(address.removeprefix("0x"))
    if not address.startswith("0x") or len(address) != 42:
        raise ValueError(f"{address} is no address")
    return address


def _summary(account: Account) -> dict[str, str]:
    raw = account.value - sum((h.position.szi * h.mark for h in account.holdings), Decimal(0))
    figures = (account.value, account.notional, raw, account.margin_used)
    names = ("accountValue", "totalNtlPos", "totalRawUsd", "totalMarginUsed")
    return {
        name: rules.text(rules.usd(figure)) for name, figure in zip(names, figures, strict=True)
    }


def _asset_position(account: Account, holding: Holding) -> dict[str, Any]:
    position = holding.position
    leverage: dict[str, Any] = {
        "type": "cross" if holding.is_cross else "isolated",
        "value": holding.leverage,
    }
    if not holding.is_cross:
        raw = holding.initial_margin - position.szi * position.entry_px
        leverage["rawUsd"] = rules.text(rules.usd(raw))
    liquidation = account.liquidation_price(holding)
    on_equity = holding.unrealized / (abs(position.szi) * position.entry_px / holding.leverage)
    return {
        "type": "oneWay",
        "position": {
            "coin": holding.market.name,
            "szi": rules.text(position.szi),
            "leverage": leverage,
            "entryPx": rules.text(position.entry_px.quantize(_EIGHT_PLACES)),
            "positionValue": rules.text(rules.usd(holding.notional)),
            "unrealizedPnl": rules.text(rules.usd(holding.unrealized)),
            "returnOnEquity": rules.text(on_equity.quantize(_EIGHT_PLACES)),
            "liquidationPx": None
            if liquidation is None
            else rules.text(liquidation.quantize(_EIGHT_PLACES)),
            "marginUsed": rules.text(rules.usd(holding.initial_margin)),
            "maxLeverage": holding.market.max_leverage,
            "cumFunding": {
                "allTime": rules.text(position.funding_all),
                "sinceOpen": rules.text(position.funding_open),
                "sinceChange": rules.text(position.funding_change),
            },
        },
    }


def _brief(order: Order) -> dict[str, Any]:
    brief = {
        "coin": hyperliquid_markets()[order.asset].name,
        "side": "B" if order.is_buy else "A",
        "limitPx": rules.text(order.limit_px),
        "sz": rules.text(order.sz),
        "oid": order.oid,
        "timestamp": order.created_ms,
        "origSz": rules.text(order.orig_sz),
    }
    return brief if order.cloid is None else brief | {"cloid": order.cloid}


def _type(order: Order) -> str:
    if not order.tpsl:
        return "Limit"
    name = "Take Profit" if order.tpsl == "tp" else "Stop"
    return f"{name} {'Market' if order.is_market else 'Limit'}"


def _condition(order: Order) -> str:
    if order.trigger_px is None:
        return "N/A"
    above = order.is_buy == (order.tpsl == "sl")
    return f"Price {'above' if above else 'below'} {order.trigger_px.normalize():f}"


def _aggregated(fills: list[Fill]) -> list[Fill]:
    merged: dict[tuple[int, int], Fill] = {}
    for fill in fills:
        key = (fill.oid, fill.time_ms)
        first = merged.get(key)
        merged[key] = fill if first is None or not fill.crossed else _merge(first, fill)
    return list(merged.values())


def _merge(first: Fill, second: Fill) -> Fill:
    size = first.sz + second.sz
    return Fill(
        tid=first.tid,
        address=first.address,
        oid=first.oid,
        asset=first.asset,
        is_buy=first.is_buy,
        px=((first.px * first.sz + second.px * second.sz) / size).quantize(_EIGHT_PLACES),
        sz=size,
        time_ms=first.time_ms,
        start_position=first.start_position,
        dir=first.dir,
        closed_pnl=first.closed_pnl + second.closed_pnl,
        fee=first.fee + second.fee,
        crossed=True,
        cloid=first.cloid,
        liquidation_mark_px=first.liquidation_mark_px,
    )


def _fill(fill: Fill) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "coin": hyperliquid_markets()[fill.asset].name,
        "px": rules.text(fill.px),
        "sz": rules.text(fill.sz),
        "side": "B" if fill.is_buy else "A",
        "time": fill.time_ms,
        "startPosition": rules.text(fill.start_position),
        "dir": fill.dir,
        "closedPnl": rules.text(fill.closed_pnl),
        "hash": digest("fill", fill.tid),
        "oid": fill.oid,
        "crossed": fill.crossed,
        "fee": rules.text(fill.fee),
        "tid": fill.tid,
        "feeToken": "USDC",
        "twapId": None,
    }
    if fill.cloid is not None:
        answer["cloid"] = fill.cloid
    if fill.liquidation_mark_px is not None:
        answer["liquidation"] = {
            "liquidatedUser": fill.address,
            "markPx": rules.text(fill.liquidation_mark_px),
            "method": "market",
        }
    return answer
