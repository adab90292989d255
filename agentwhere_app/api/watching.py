"""The API's processes look after the daemon, which cannot say itself that it has gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from agentwhere_flow.watch import watch_daemon

if TYPE_CHECKING:
    from agentwhere_flow.system import System

EVERY_S = 60.0

log = structlog.get_logger(__name__)


async def keep_watch(system: System) -> None:
    """Look once a minute, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            await asyncio.to_thread(lambda: watch_daemon(system, system.clock()))
        except SQLAlchemyError as error:
            log.warning("the daemon could not be watched", kind=type(error).__name__)
