"""Steer the simulated world: ``/control``.

Tests and demonstrations set prices and time, order faults, fund accounts and look at what the venues accepted.
``GET /control`` lists everything.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentwhere_sim import posts, x_accounts
from agentwhere_sim.faults import KINDS, SERVICES
from agentwhere_sim.hyperliquid.ledger import Ledger, Order
from agentwhere_sim.lighter.ledger import Ledger as LighterLedger
from agentwhere_sim.ostium.book import Book
from agentwhere_sim.ostium.chain import Chain
from agentwhere_sim.universe import hyperliquid_markets, lighter_by_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from agentwhere_sim.lighter.ledger import Order as LighterOrder
    from agentwhere_sim.world import World

_HELP = {
    "GET /control": "this list",
    "POST /control/prices": '{"BTC": "105000", "ETH": null}: pin canonical mids, null releases; '
    "GET shows pins and followed prices",
    "POST /control/clock": '{"now": iso | null, "frozen": false} or {"advance_s": n}; null: real time; '
    '{"pass_s": n}: time passes for signed requests too',
    "POST /control/hours": '{"mode": "real" | "open", "markets": {"XAU": "closed" | "open" | null}}',
    "POST /control/accounts": '{"venue": "HYPERLIQUID" | "OSTIUM" | "LIGHTER", "address": "0x...", "usdc": "10000"}: '
    'deposit; LIGHTER takes and needs "api_key_index" and "public_key" once, and answers the account_index',
    "GET /control/orders": "?venue=HYPERLIQUID&address=0x...: every order the venue ever accepted; &all=1 adds refused",
    "POST /control/faults": '{"service", "kind", "count": n | null, "seconds", "match"}; GET lists, DELETE clears',
    "POST /control/posts": '{"account" | "feed", "text", "at"}: publish a post',
    "POST /control/x": '{"account", "username": new name, "suspended": true | false}: rename, suspend, restore',
    "POST /control/reset": '{"now": iso}: forget everything, as a new home would; the clock then stands at "now"',
}


def routes(world: World) -> list[Route]:
    """Give the routes below ``/control``."""
    desk = _Desk(world)
    return [
        Route("/prices", _checked(desk.prices), methods=["GET", "POST"]),
        Route("/clock", _checked(desk.clock), methods=["GET", "POST"]),
        Route("/hours", _checked(desk.hours), methods=["GET", "POST"]),
        Route("/accounts", _checked(desk.accounts), methods=["POST"]),
        Route("/orders", _checked(desk.orders)),
        Route("/faults", _checked(desk.faults), methods=["GET", "POST", "DELETE"]),
        Route("/posts", _checked(desk.posts), methods=["POST"]),
        Route("/x", _checked(desk.x), methods=["POST"]),
        Route("/reset", _checked(desk.reset), methods=["POST"]),
    ]


async def overview(_request: Request) -> Response:
    """List what can be steered."""
    return JSONResponse({"requests": _HELP, "services": SERVICES, "fault_kinds": KINDS})


class _Desk:
    """Handle requests of people who steer the world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._hyperliquid = Ledger(world.db)
        self._lighter = LighterLedger(world.db)
        self._ostium = Chain(world)
        self._ostium_book = Book(world.db)

    async def prices(self, request: Request) -> Response:
        """Pin and release prices."""
        if request.method == "POST":
            wishes = await request.json()
            self._world.prices.pin(
                {s: None if p is None else Decimal(str(p)) for s, p in wishes.items()}
            )
        prices = self._world.prices
        return JSONResponse({"pinned": prices.pinned(), "followed": prices.followed()})

    async def clock(self, request: Request) -> Response:
        """Tell or move the simulated time."""
        if request.method == "POST":
            self._move_clock(await request.json())
            await self._world.faults.deliver()
        return JSONResponse(
            {"now": self._world.now().isoformat(), "frozen": self._world.clock_is_frozen}
        )

    def _move_clock(self, wish: dict[str, Any]) -> None:
        if "pass_s" in wish:
            self._world.pass_time(float(wish["pass_s"]))
            return
        if "advance_s" in wish:
            self._world.advance_clock(float(wish["advance_s"]))
            return
        now = datetime.fromisoformat(wish["now"]) if wish["now"] else datetime.now(UTC)
        if now.tzinfo is None:
            raise ValueError(
                f"the clock needs a time zone: {wish['now']!r}; say for example {wish['now']}Z"
            )
        self._world.set_clock(now.astimezone(UTC), frozen=bool(wish.get("frozen", False)))

    async def hours(self, request: Request) -> Response:
        """Choose real or open market hours, open or close single markets."""
        if request.method == "POST":
            wish = await request.json()
            if "mode" in wish:
                self._world.hours.set_mode(wish["mode"])
            for symbol, state in wish.get("markets", {}).items():
                self._world.hours.override(symbol, state)
        return JSONResponse({"mode": "real" if self._world.hours.are_real else "open"})

    async def accounts(self, request: Request) -> Response:
        """Deposit into an account, opening it if need be."""
        wish = await request.json()
        address = str(wish["address"]).lower()
        if not address.startswith("0x") or len(bytes.fromhex(address[2:])) != 20:
            raise ValueError(f"{address} is no address of 20 bytes")
        usdc = Decimal(str(wish["usdc"]))
        if wish["venue"] == "LIGHTER":
            return JSONResponse(self._fund_lighter(address, usdc, wish))
        if wish["venue"] == "OSTIUM":
            self._ostium.deposit(address, int(usdc * 10**6))
            held = Decimal(self._ostium.usdc(address)) / 10**6
            return JSONResponse({"address": address, "usdc": str(held)})
        if wish["venue"] != "HYPERLIQUID":
            raise ValueError(
                f"no accounts at {wish['venue']}; HYPERLIQUID, OSTIUM and LIGHTER have them"
            )
        self._hyperliquid.deposit(address, usdc, self._world.now_ms())
        return JSONResponse({"address": address, "usdc": str(self._hyperliquid.cash(address))})

    def _fund_lighter(self, address: str, usdc: Decimal, wish: dict[str, Any]) -> dict[str, Any]:
        account = self._lighter.deposit(address, usdc, self._world.now_ms())
        if "api_key_index" in wish:
            self._lighter.register_key(account, int(wish["api_key_index"]), str(wish["public_key"]))
        usdc_now = str(self._lighter.collateral(account))
        return {"address": address, "account_index": account, "usdc": usdc_now}

    async def orders(self, request: Request) -> Response:
        """List every order that a venue ever accepted."""
        address = request.query_params.get("address")
        show_all = "all" in request.query_params
        venue = request.query_params.get("venue", "HYPERLIQUID")
        if venue == "LIGHTER":
            return JSONResponse({"orders": self._lighter_orders(address)})
        if venue == "OSTIUM":
            filed = self._ostium_book.orders(None if address is None else address.lower())
            return JSONResponse({"orders": [asdict(order) for order in filed]})
        if venue != "HYPERLIQUID":
            return JSONResponse({"orders": []})
        orders = self._hyperliquid.orders(None if address is None else address.lower())
        shown = [order for order in orders if show_all or not _was_refused(order)]
        return JSONResponse({"orders": [_order(order) for order in shown]})

    def _lighter_orders(self, account: str | None) -> list[dict[str, Any]]:
        condition = "1" if account is None else "account_index = ?"
        parameters = () if account is None else (int(account),)
        return [
            _plain(order) | {"coin": lighter_by_id()[order.market_id].symbol}
            for order in self._lighter.orders(condition, *parameters)
        ]

    async def posts(self, request: Request) -> Response:
        """Publish a post."""
        wish = await request.json()
        at = None if wish.get("at") is None else datetime.fromisoformat(wish["at"])
        post = posts.add(
            self._world,
            text=wish["text"],
            account=wish.get("account"),
            feed=wish.get("feed"),
            at=at,
        )
        return JSONResponse(post.as_dict(), 201)

    async def faults(self, request: Request) -> Response:
        """Order, list or delete faults."""
        faults = self._world.faults
        if request.method == "DELETE":
            faults.clear()
        elif request.method == "POST":
            wish = await request.json()
            kind = str(wish["kind"])
            count = wish.get("count", None if kind == "down" else 1)
            faults.order(
                wish["service"],
                kind,
                count,
                float(wish.get("seconds") or 0),
                wish.get("match") or "",
            )
        return JSONResponse(
            {"faults": [asdict(fault) | {"pending": fault.pending} for fault in faults.all()]}
        )

    async def x(self, request: Request) -> Response:
        """Rename, suspend or restore an X account."""
        wish = await request.json()
        account = x_accounts.change(
            self._world,
            wish["account"],
            username=wish.get("username"),
            suspended=wish.get("suspended"),
        )
        return JSONResponse(asdict(account))

    async def reset(self, request: Request) -> Response:
        """Forget everything, and begin at a given time where one is asked for."""
        wish = json.loads(await request.body() or b"{}")
        begin = datetime.fromisoformat(wish["now"]).astimezone(UTC) if "now" in wish else None
        self._world.reset(begin)
        return JSONResponse({"status": "ok"})


def _checked(
    handler: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    async def checked(request: Request) -> Response:
        try:
            return await handler(request)
        except KeyError as error:
            return JSONResponse({"error": f"missing {error}; GET /control shows what to send"}, 400)
        except (TypeError, ValueError, AttributeError, InvalidOperation) as error:
            return JSONResponse(
                {"error": str(error) or "not understood; GET /control shows what to send"}, 400
            )

    return checked


def _was_refused(order: Order) -> bool:
    return order.status.lower().endswith("rejected")


def _order(order: Order) -> dict[str, Any]:
    return _plain(order) | {"coin": hyperliquid_markets()[order.asset].name}


def _plain(order: Order | LighterOrder) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, Decimal) else value
        for name, value in asdict(order).items()
    }
