"""Read a venue's reply with checks: what does not follow the protocol is an error, never an empty answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from agentwhere_core.domain.errors import MalformedReplyError
from agentwhere_core.domain.market import Market

T = TypeVar("T")


class Wire(BaseModel):
    """Base of reply models: fields in snake case stand for the wire's camel case; unknown fields are ignored."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True
    )


class KeptWire(Wire):
    """Base of reply models that are kept as evidence, with every field that the venue sent."""

    model_config = ConfigDict(extra="allow")

    def raw(self) -> dict[str, Any]:
        """Return the reply under the venue's own names, ready to be stored."""
        return self.model_dump(mode="json", by_alias=True)


class PlainWire(BaseModel):
    """Base of reply models whose fields are named on the wire as they are here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def parse(service: str, what: str, shape: TypeAdapter[T], reply: Any) -> T:
    """Return ``reply`` as ``shape``.

    Raises
    ------
    MalformedReplyError
        If it is anything else; the message names what was expected and the first thing that is wrong.
    """
    try:
        return shape.validate_python(reply)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the reply"
        raise MalformedReplyError(
            service,
            f"expected {what}, but {place}: {first['msg']} (got {str(first['input'])[:120]!r}; "
            f"{error.error_count()} problems in all). Nothing of it was used; "
            "if it repeats, the venue changed its protocol",
        ) from error


def one_per_token(markets: Iterable[Market]) -> list[Market]:
    """Keep one market per token, in the order given: an active one before others, then the one that trades more."""
    best: dict[str, Market] = {}
    for market in markets:
        rival = best.get(market.token)
        if rival is None or _weight(market) > _weight(rival):
            best[market.token] = market
    return list(best.values())


def _weight(market: Market) -> tuple[bool, Any]:
    return market.is_active, market.volume_24h_usd or 0
