"""Steer the simulated world: ``/control``.

Tests and demonstrations set prices and time, order faults, fund accounts and look at what the venues accepted.
``GET /control`` lists everything.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentwhere_sim.faults import KINDS, SERVICES

if TYPE_CHECKING:
    from starlette.requests import Request

    from agentwhere_sim.world import World


def routes(world: World) -> list[Route]:
    """Give the routes below ``/control``."""
    desk = _Desk(world)
    return [
        Route("/", desk.overview),
        Route("/faults", desk.faults, methods=["GET", "POST", "DELETE"]),
        Route("/clock", desk.clock, methods=["GET", "POST"]),
        Route("/reset", desk.reset, methods=["POST"]),
    ]


class _Desk:
    """Handle requests of people who steer the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def overview(self, _request: Request) -> Response:
        """List what can be steered."""
        return JSONResponse({"services": SERVICES, "fault_kinds": KINDS})

    async def faults(self, request: Request) -> Response:
        """Order, list or delete faults."""
        faults = self._world.faults
        if request.method == "DELETE":
            faults.clear()
        elif request.method == "POST":
            order = await request.json()
            try:
                faults.order(
                    order["service"],
                    str(order["kind"]),
                    order.get("count", None if order["kind"] == "down" else 1),
                    float(order.get("seconds") or 0),
                    order.get("match") or "",
                )
            except (KeyError, ValueError) as error:
                return _refuse(error)
        return JSONResponse({"faults": [asdict(fault) | {"pending": fault.pending} for fault in faults.all()]})

    async def clock(self, request: Request) -> Response:
        """Tell or move the simulated time."""
        if request.method == "POST":
            wish = await request.json()
            try:
                self._move_clock(wish)
            except (KeyError, TypeError, ValueError) as error:
                return _refuse(error)
        return JSONResponse({"now": self._world.now().isoformat(), "frozen": self._world.clock_is_frozen})

    def _move_clock(self, wish: dict[str, Any]) -> None:
        if "advance_s" in wish:
            self._world.advance_clock(float(wish["advance_s"]))
            return
        now = datetime.fromisoformat(wish["now"]) if wish["now"] else datetime.now(UTC)
        if now.tzinfo is None:
            raise ValueError(f"the clock needs a time zone: {wish['now']!r}; say for example {wish['now']}Z")
        self._world.set_clock(now, frozen=bool(wish.get("frozen", False)))

    async def reset(self, _request: Request) -> Response:
        """Forget everything."""
        self._world.reset()
        return JSONResponse({"status": "ok"})


def _refuse(error: Exception) -> Response:
    return JSONResponse({"error": str(error) if not isinstance(error, KeyError) else f"missing {error}"}, 400)
