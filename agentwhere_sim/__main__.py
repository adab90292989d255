"""Start the simulator: ``python -m agentwhere_sim --port 8765 --home DIR [--seed 7] [--follow hyperliquid=URL]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from agentwhere_sim import DEFAULT_SEED, serve
from agentwhere_sim.follow import READERS


def main() -> None:
    """Parse the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="agentwhere_sim", description="Simulated venues, X, feeds and LLM."
    )
    parser.add_argument(
        "--port", type=int, default=8765, help="TCP port on 127.0.0.1; 0 chooses a free one"
    )
    parser.add_argument(
        "--home", type=Path, required=True, help="folder of the simulated world's memory"
    )
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help="seed of prices and posts (first start only)"
    )
    parser.add_argument(
        "--follow",
        action="append",
        default=[],
        metavar="VENUE=URL",
        help="take over a real venue's public prices; repeat it for hyperliquid, lighter and ostium",
    )
    arguments = parser.parse_args()
    sources = dict(source.partition("=")[::2] for source in arguments.follow)
    if unknown := sorted(sources.keys() - READERS.keys()):
        parser.error(f"--follow knows {', '.join(READERS)}, not {', '.join(unknown)}")
    serve(arguments.port, arguments.home, arguments.seed, sources)


if __name__ == "__main__":
    main()
