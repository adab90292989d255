"""A connection to an OpenAI-compatible address: opened once, shared between threads, closed by a ``with`` block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from openai import OpenAI


class Connection:
    """An OpenAI-compatible endpoint.

    Parameters
    ----------
    base_url
        Address that ``/chat/completions`` follows, e.g. ``https://openrouter.ai/api/v1``.
    api_key
        Sent as a bearer token.
    timeout_s
        Limit for one request.
    max_retries
        Further tries of the SDK after no connection, 408, 409, 429 and 5xx.
    """

    def __init__(self, base_url: str, api_key: str, *, timeout_s: float, max_retries: int) -> None:
        from openai import OpenAI

        self._base_url = base_url
        self._client: OpenAI = OpenAI(
            base_url=base_url, api_key=api_key, timeout=timeout_s, max_retries=max_retries
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
