"""The two addresses of the venue: ``POST /info`` and ``POST /exchange``."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from agentwhere_sim.hyperliquid import signing
from agentwhere_sim.hyperliquid.book import Quotes
from agentwhere_sim.hyperliquid.clockwork import Clockwork
from agentwhere_sim.hyperliquid.engine import Engine
from agentwhere_sim.hyperliquid.exchange import (
    Exchange,
    RefusedError,
    UnreadableError,
    open_envelope,
)
from agentwhere_sim.hyperliquid.ledger import Ledger
from agentwhere_sim.hyperliquid.margin import Margins
from agentwhere_sim.hyperliquid.market_info import MarketInfo
from agentwhere_sim.hyperliquid.user_info import UserInfo

if TYPE_CHECKING:
    from starlette.requests import Request

    from agentwhere_sim.world import World

_UNREADABLE = "Failed to deserialize the JSON body into the target type"
_REFUSED = {"status": "err", "response": "Too many cumulative requests sent."}


def routes(world: World) -> list[Route]:
    """Give the routes below ``/hyperliquid`` and start following the world's time."""
    service = _Service(world)
    world.on_tick(service.clockwork.catch_up)
    threading.Thread(target=signing.warm_up, name="warm-up", daemon=True).start()
    guard = world.faults.guard
    return [
        Route("/info", guard("hyperliquid.info", service.info), methods=["POST"]),
        Route(
            "/exchange",
            guard("hyperliquid.exchange", service.exchange, JSONResponse(_REFUSED)),
            methods=["POST"],
        ),
    ]


class _Service:
    """Wire the venue's parts together and translate between them and HTTP."""

    def __init__(self, world: World) -> None:
        ledger = Ledger(world.db)
        quotes = Quotes(world)
        margins = Margins(ledger, quotes)
        engine = Engine(ledger, quotes, margins)
        self.clockwork = Clockwork(world, ledger, quotes, margins, engine)
        self._exchange = Exchange(world, ledger, engine, self.clockwork)
        self._market_info = MarketInfo(world, quotes)
        self._user_info = UserInfo(world, ledger, quotes, margins)

    async def info(self, request: Request) -> Response:
        """Answer a question; an unknown one gets 422, as the venue does."""
        question = await _json(request)
        if not isinstance(question, dict):
            return _unreadable()
        kind = question.get("type")
        try:
            if kind in self._market_info.questions:
                return JSONResponse(self._market_info.questions[kind](question))
            if kind in self._user_info.questions:
                self.clockwork.catch_up()
                return JSONResponse(self._user_info.questions[kind](question))
        except (KeyError, TypeError, ValueError, AttributeError):
            return _unreadable()
        return _unreadable()

    async def exchange(self, request: Request) -> Response:
        """Carry out a signed action."""
        try:
            envelope = await asyncio.to_thread(open_envelope, await _json(request))
            response = self._exchange.carry_out(envelope)
        except UnreadableError:
            return _unreadable()
        except RefusedError as refusal:
            return JSONResponse({"status": "err", "response": str(refusal)})
        return JSONResponse({"status": "ok", "response": response})


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        return None


def _unreadable() -> Response:
    return PlainTextResponse(_UNREADABLE, 422)
