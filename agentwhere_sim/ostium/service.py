"""The addresses of the venue: its node, its subgraph, its prices and its hours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentwhere_sim.graphql import GraphQLError, parse
from agentwhere_sim.ostium.book import Book
from agentwhere_sim.ostium.chain import Chain
from agentwhere_sim.ostium.contracts import Contracts
from agentwhere_sim.ostium.keeper import Keeper
from agentwhere_sim.ostium.market_info import MarketInfo, Quotes
from agentwhere_sim.ostium.rpc import Node, RpcError
from agentwhere_sim.ostium.subgraph import Subgraph

if TYPE_CHECKING:
    from starlette.requests import Request

    from agentwhere_sim.world import World


def routes(world: World) -> list[Route]:
    """Give the routes below ``/ostium``, and let the keeper follow the world's time."""
    service = _Service(world)
    world.on_tick(service.keeper.catch_up)
    guard = world.faults.guard
    refusal = JSONResponse(
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32005, "message": "request refused"}}
    )
    return [
        Route("/rpc", guard("ostium", service.rpc, refusal), methods=["POST"]),
        Route("/subgraph", guard("ostium", service.subgraph), methods=["POST"]),
        Route("/PricePublish/latest-prices", guard("ostium", service.markets.latest_prices)),
        Route("/PricePublish/latest-price", guard("ostium", service.markets.latest_price)),
        Route("/trading-hours/asset-schedule", guard("ostium", service.markets.asset_schedule)),
    ]


class _Service:
    """Wire the venue's parts together and translate between them and HTTP."""

    def __init__(self, world: World) -> None:
        chain, book, quotes = Chain(world), Book(world.db), Quotes(world)
        contracts = Contracts(world, chain, book)
        self.markets = MarketInfo(world, quotes)
        self.keeper = Keeper(world, chain, book, contracts, quotes)
        self._node = Node(world, chain, contracts)
        self._subgraph = Subgraph(chain, book, self.markets, world.faults)

    async def rpc(self, request: Request) -> Response:
        """Answer JSON-RPC, one request or a batch."""
        try:
            body = await request.json()
        except ValueError:
            return JSONResponse(_failure(None, RpcError(-32700, "parse error")))
        if isinstance(body, list):
            return JSONResponse([self._answer(item) for item in body])
        return JSONResponse(self._answer(body))

    def _answer(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict) or not isinstance(body.get("method"), str):
            return _failure(None, RpcError(-32600, "invalid request"))
        self.keeper.catch_up()
        try:
            result = self._node.answer(body["method"], body.get("params") or [])
        except RpcError as error:
            return _failure(body.get("id"), error)
        return {"jsonrpc": "2.0", "id": body.get("id"), "result": result}

    async def subgraph(self, request: Request) -> Response:
        """Answer a GraphQL query; errors come with HTTP 200, as subgraphs send them."""
        self.keeper.catch_up()
        try:
            body = await request.json()
            fields = parse(body["query"], body.get("variables"))
            answers = {field.name: self._subgraph.resolve(field) for field in fields}
            return JSONResponse({"data": answers})
        except GraphQLError as error:
            return JSONResponse({"errors": [{"message": str(error)}]})
        except (KeyError, TypeError, ValueError):
            return JSONResponse(
                {"errors": [{"message": "the body must be JSON with a query"}]}, 400
            )


def _failure(request_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": error.body}
