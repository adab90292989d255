"""Rate limits: per address for everybody, per key for those who have one, and for wrong keys.

Counts live in the process: with several workers each client may do as often as many times more. Requests from this
machine are not counted, unless a proxy is trusted: then every request comes from this machine.
"""

from __future__ import annotations

import time
from uuid import UUID

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.exceptions import HTTPException

WRONG_KEYS_PER_MINUTE = 10


class RateLimits:
    """How often each client has come lately."""

    def __init__(self, *, per_address: int, per_key: int) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._per_address = RateLimitItemPerMinute(per_address)
        self._per_key = RateLimitItemPerMinute(per_key)
        self._wrong_keys = RateLimitItemPerMinute(WRONG_KEYS_PER_MINUTE)

    def take(self, address: str) -> int | None:
        """Count a request of an address; return the seconds to wait where it was one too many."""
        if self._limiter.hit(self._per_address, "address", address):
            return None
        return self._wait_s(self._per_address, "address", address)

    def count_key(self, key_id: UUID) -> None:
        """Count a request of a key.

        Raises
        ------
        HTTPException
            429 where it was one too many.
        """
        if not self._limiter.hit(self._per_key, "key", str(key_id)):
            raise _too_many(self._wait_s(self._per_key, "key", str(key_id)))

    def check_failures(self, address: str) -> None:
        """Let nobody go on who tried too many wrong keys.

        Raises
        ------
        HTTPException
            429.
        """
        if not self._limiter.test(self._wrong_keys, "wrong", address):
            raise _too_many(self._wait_s(self._wrong_keys, "wrong", address))

    def count_failure(self, address: str) -> None:
        """Count a wrong key."""
        self._limiter.hit(self._wrong_keys, "wrong", address)

    def _wait_s(self, item: RateLimitItemPerMinute, *names: str) -> int:
        ends = self._limiter.get_window_stats(item, *names).reset_time
        return max(1, int(ends - time.time()) + 1)


def _too_many(wait_s: int) -> HTTPException:
    return HTTPException(
        429, f"too many requests: come again in {wait_s} s", headers={"Retry-After": str(wait_s)}
    )
