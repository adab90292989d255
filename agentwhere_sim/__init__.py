"""Simulate the outside world by wire protocol: venues, X, feeds and an LLM in one local server.

The package imports nothing of the rest of the project and was written from the venues' protocols, so that a misread
protocol on either side fails a test instead of agreeing with itself. One ASGI process, one SQLite file as "the world's
memory": wiping the project's own database does not wipe the venues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["DEFAULT_SEED", "serve"]

DEFAULT_SEED = 7


def serve(
    port: int, home: Path, seed: int = DEFAULT_SEED, follow: Mapping[str, str] | None = None
) -> None:
    """Serve the simulated world on 127.0.0.1 until the process is told to stop.

    Parameters
    ----------
    port
        TCP port; 0 lets the system choose (the address is printed).
    home
        Folder that holds ``world.sqlite``; created when missing. A second start with the same folder continues.
    seed
        Seed of prices and posts. Only the first start of a home decides it.
    follow
        Public base URLs of real venues (``hyperliquid``, ``lighter``, ``ostium``) whose prices are taken over.
    """
    from agentwhere_sim.app import run

    run(port, home, seed, follow or {})
