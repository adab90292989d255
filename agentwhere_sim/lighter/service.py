"""The venue's REST interface below ``/api/v1``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentwhere_sim.lighter import refusals
from agentwhere_sim.lighter.book import Quotes
from agentwhere_sim.lighter.candles import Candles
from agentwhere_sim.lighter.clockwork import Clockwork
from agentwhere_sim.lighter.engine import Engine
from agentwhere_sim.lighter.ledger import Ledger
from agentwhere_sim.lighter.margin import Margins
from agentwhere_sim.lighter.market_info import MarketInfo
from agentwhere_sim.lighter.refusals import RefusalError
from agentwhere_sim.lighter.sequencer import EXECUTION_DELAY_MS, Sequencer
from agentwhere_sim.lighter.user_info import UserInfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from agentwhere_sim.world import World

_FAULT = "lighter"
_MOST_IN_A_BATCH = 50
_REFUSED = {"code": refusals.INVALID_PARAMETER, "message": "refused by an ordered fault"}


def routes(world: World) -> list[Route]:
    """Give the routes below ``/lighter`` and start following the world's time."""
    service = _Service(world)
    world.on_tick(service.clockwork.catch_up)

    def route(path: str, handler: Callable[[Request], Awaitable[Response]], method: str) -> Route:
        guarded = world.faults.guard(_FAULT, handler, JSONResponse(_REFUSED, 400))
        return Route(f"/api/v1/{path}", guarded, methods=[method])

    return [
        route("orderBooks", service.market_info.order_books, "GET"),
        route("orderBookDetails", service.market_info.order_book_details, "GET"),
        route("orderBookOrders", service.market_info.order_book_orders, "GET"),
        route("candles", service.candles.candles, "GET"),
        route("sendTx", service.send_tx, "POST"),
        route("sendTxBatch", service.send_tx_batch, "POST"),
        *(route(name, service.ask(name), "GET") for name in service.user_info.questions),
    ]


class _Service:
    """Wire the venue's parts together and translate between them and HTTP."""

    def __init__(self, world: World) -> None:
        self._world = world
        ledger = Ledger(world.db)
        quotes = Quotes(world)
        margins = Margins(ledger, quotes)
        engine = Engine(ledger, quotes, margins)
        self._sequencer = Sequencer(world, ledger, margins, engine)
        self.clockwork = Clockwork(
            world, ledger, quotes, margins, engine=engine, sequencer=self._sequencer
        )
        self.market_info = MarketInfo(world, quotes)
        self.candles = Candles(world, quotes)
        self.user_info = UserInfo(world, ledger, margins)

    def ask(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """Give the handler of a question that concerns an account."""

        async def handler(request: Request) -> Response:
            self.clockwork.catch_up()
            question = dict(request.query_params)
            token = request.headers.get("authorization") or question.get("auth", "")
            try:
                answer = self.user_info.questions[name](question, token)
            except RefusalError as refusal:
                return refusal.response()
            except (KeyError, ValueError) as error:
                return refusals.invalid(str(error).strip("'"))
            return JSONResponse({"code": 200} | answer)

        return handler

    async def send_tx(self, request: Request) -> Response:
        """Accept a transaction."""
        body = (await request.body()).decode(errors="replace")
        form = dict(parse_qsl(body))
        try:
            hashes = self._accept([int(form["tx_type"])], [form["tx_info"]], body)
        except RefusalError as refusal:
            return refusal.response()
        except (KeyError, ValueError):
            return refusals.invalid("tx_type, tx_info")
        return self._accepted(hashes[0])

    async def send_tx_batch(self, request: Request) -> Response:
        """Accept several transactions, all or none."""
        body = (await request.body()).decode(errors="replace")
        form = dict(parse_qsl(body))
        try:
            types, infos = json.loads(form["tx_types"]), json.loads(form["tx_infos"])
            if not 0 < len(types) == len(infos) <= _MOST_IN_A_BATCH:
                return refusals.invalid("tx_types, tx_infos")
            hashes = self._accept([int(one) for one in types], infos, body)
        except RefusalError as refusal:
            return refusal.response()
        except (KeyError, ValueError, TypeError):
            return refusals.invalid("tx_types, tx_infos")
        return self._accepted(hashes)

    def _accept(self, types: list[int], infos: list[str], body: str) -> list[str]:
        with self._world.db.transaction():
            self.clockwork.catch_up(note=True)
            will_be_dropped = self._world.faults.suffers(_FAULT, "sequencer_drop", body)
            return [
                self._sequencer.accept(one, info, will_be_dropped=will_be_dropped).hash
                for one, info in zip(types, infos, strict=True)
            ]

    def _accepted(self, tx_hash: Any) -> Response:
        answer = {
            "code": 200,
            "message": '{"ratelimit": "didn\'t use volume quota"}',
            "tx_hash": tx_hash,
            "predicted_execution_time_ms": self._world.wall_ms() + EXECUTION_DELAY_MS,
            "volume_quota_remaining": 0,
        }
        return JSONResponse(answer)
