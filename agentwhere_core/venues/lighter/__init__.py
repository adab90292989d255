"""Lighter: books, orders and accounts over REST, signed by the venue's own library.

``adapter`` is the venue as the flow sees it; ``rules`` rounds, ``signer`` and ``transactions`` make the bytes that are
sent, ``reader``, ``markets``, ``accounts`` and ``outcomes`` read what comes back, in the shapes of ``replies``.
"""

from agentwhere_core.venues.lighter.adapter import Lighter
from agentwhere_core.venues.lighter.signer import MAINNET_CHAIN_ID, TESTNET_CHAIN_ID

__all__ = ["MAINNET_CHAIN_ID", "TESTNET_CHAIN_ID", "Lighter"]
