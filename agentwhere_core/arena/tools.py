"""The two tools of a model, and what is made of its calls: wishes that may be executed, or reasons why not.

Arguments are read strictly: what is not exactly a call of a tool, with values of the right kind, is refused and never
guessed. Prices and sizes are read as decimals from the JSON's own digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentwhere_core.arena.values import (
    ClosePositions,
    CreatePosition,
    RawCall,
    Snapshot,
    ToolCallType,
    Verdict,
    Wish,
)
from agentwhere_core.domain.enums import Side
from agentwhere_core.domain.reasons import Reason

CREATE: Final = "createPosition"
CLOSE_ALL: Final = "closeAllPosition"
MAX_MARGIN_PCT: Final = Decimal(25)
MOST_CALLS: Final = 20
_MOST_REASONING: Final = 2000

_NUMBER = {"type": "number"}
TOOLS: Final[list[dict[str, Any]]] = [
    {
        "type": "function",
        "function": {
            "name": CREATE,
            "description": "Open a position of `quantity` tokens of `symbol` on the given side.",
            "parameters": {
                "type": "object",
                "properties": {
                    "symbol": {"type": "string", "description": "A symbol of the markets shown."},
                    "side": {"type": "string", "enum": [side.value for side in Side]},
                    "quantity": {**_NUMBER, "description": "Tokens, more than 0."},
                    "stop_loss": {**_NUMBER, "description": "Price at which to give up."},
                    "take_profit": {**_NUMBER, "description": "Price at which to take the profit."},
                    "leverage": {
                        **_NUMBER,
                        "description": "At least 1; the market's own if left out.",
                    },
                    "reasoning": {"type": "string", "description": "Why, in a sentence."},
                },
                "required": ["symbol", "side", "quantity"],
                "additionalProperties": False,
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": CLOSE_ALL,
            "description": "Close every open position.",
            "parameters": {
                "type": "object",
                "properties": {"reasoning": {"type": "string"}},
                "additionalProperties": False,
            },
        },
    },
]

_KINDS = {CREATE: ToolCallType.CREATE_POSITION, CLOSE_ALL: ToolCallType.CLOSE_POSITION}
_IN_TEXT = re.compile(rf"\b({CREATE}|{CLOSE_ALL})\b")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    reasoning: Annotated[str, Field(max_length=_MOST_REASONING)] = ""


class _Create(_Strict):
    symbol: str
    side: Annotated[Side, Field(strict=False)]
    quantity: Annotated[Decimal, Field(allow_inf_nan=False)]
    stop_loss: Annotated[Decimal | None, Field(allow_inf_nan=False)] = None
    take_profit: Annotated[Decimal | None, Field(allow_inf_nan=False)] = None
    leverage: Annotated[Decimal | None, Field(allow_inf_nan=False)] = None


class _CloseAll(_Strict):
    pass


class _BadCallError(Exception):
    """A call that is refused, for this reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def judge(
    calls: Sequence[RawCall],
    snapshot: Snapshot,
    *,
    before: Sequence[Verdict] = (),
    round_: int = 1,
) -> list[Verdict]:
    """Return a verdict on each call of one answer, in order.

    Parameters
    ----------
    before
        Verdicts on an earlier answer of the same invocation: what was accepted there is taken into account, and stays.
    round_
        1 for the first answer, 2 for the corrected one.
    """
    accepted: list[Wish] = [verdict.wish for verdict in before if verdict.wish is not None]
    opposed = _opposed(calls)
    verdicts = []
    for number, raw in enumerate(calls):
        kind = _KINDS.get(raw.name, ToolCallType.UNKNOWN)
        if number >= MOST_CALLS:
            why = f"at most {MOST_CALLS} calls of an answer are looked at"
            verdicts.append(Verdict(raw, round_, kind, None, Reason.TOO_MANY_CALLS, why))
            continue
        try:
            wish = _read(raw, snapshot)
            _require_sense(wish, snapshot, accepted, opposed)
        except _BadCallError as error:
            verdicts.append(Verdict(raw, round_, kind, None, error.reason, str(error)))
            continue
        accepted.append(wish)
        verdicts.append(Verdict(raw, round_, kind, wish))
    return verdicts


def names_a_tool(text: str) -> bool:
    """Tell whether an answer in words seems to call a tool instead of calling it."""
    return _IN_TEXT.search(text) is not None


def fund_percentage(wish: CreatePosition, snapshot: Snapshot) -> Decimal:
    """Return the margin of a wish in percent of the capital, rounded up to 0.01 and with room for 1 % of price change.

    The quantity itself bounds the order; the share must only not be the tighter bound.
    """
    return min(_margin_pct(wish, snapshot) * Decimal("1.01"), MAX_MARGIN_PCT).quantize(
        Decimal("0.01"), ROUND_UP
    )


def leverage_of(wish: CreatePosition, snapshot: Snapshot) -> Decimal:
    """Return the leverage that a wish names, else the model's own; rounded down, because venues take whole ones."""
    market = snapshot.market(wish.token)
    configured = Decimal(market.leverage) if market else Decimal(1)
    wanted = configured if wish.leverage is None else wish.leverage
    return wanted.to_integral_value(ROUND_DOWN)


def _read(raw: RawCall, snapshot: Snapshot) -> Wish:
    """Return the wish that a call's arguments spell out."""
    if raw.name not in _KINDS:
        raise _BadCallError(
            Reason.UNKNOWN_TOOL,
            f"there is no tool {raw.name[:40]!r}; there are {CREATE}, {CLOSE_ALL}",
        )
    try:
        # Without arguments some providers send nothing at all.
        data = json.loads(raw.arguments or "{}", parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError):
        raise _BadCallError(
            Reason.BAD_ARGUMENTS, "the arguments are no complete JSON object"
        ) from None
    try:
        if raw.name == CLOSE_ALL:
            closing = _CloseAll.model_validate(data)
            ids = tuple(UUID(held.position_id) for held in snapshot.positions if held.position_id)
            return ClosePositions(ids, closing.reasoning)
        read = _Create.model_validate(data)
    except ValidationError as error:
        raise _BadCallError(Reason.BAD_ARGUMENTS, _first_problem(error)) from None
    return CreatePosition(
        token=read.symbol.strip().upper(),
        side=read.side,
        quantity=read.quantity,
        stop_loss=read.stop_loss,
        take_profit=read.take_profit,
        leverage=read.leverage,
        reasoning=read.reasoning,
    )


def _require_sense(
    wish: Wish, snapshot: Snapshot, accepted: Sequence[Wish], opposed: frozenset[str]
) -> None:
    """Refuse what cannot be meant, or cannot be done."""
    closes = any(isinstance(other, ClosePositions) for other in accepted)
    if isinstance(wish, ClosePositions):
        if closes:
            raise _BadCallError(
                Reason.CONTRADICTORY_CALLS, "everything is closed once already in this answer"
            )
        if any(isinstance(other, CreatePosition) for other in accepted):
            raise _BadCallError(
                Reason.CONTRADICTORY_CALLS,
                "this would close what the same answer opens; close first",
            )
        if not snapshot.positions:
            raise _BadCallError(Reason.NOTHING_TO_CLOSE, "no position is open")
        return
    if wish.token in opposed:
        raise _BadCallError(
            Reason.CONTRADICTORY_CALLS, f"{wish.token} is wanted on both sides in one answer"
        )
    _require_market(wish, snapshot)
    if any(isinstance(other, CreatePosition) and other.token == wish.token for other in accepted):
        raise _BadCallError(
            Reason.CONTRADICTORY_CALLS, f"{wish.token} is opened once already in this answer"
        )
    if snapshot.holds(wish.token) and not closes:
        raise _BadCallError(
            Reason.POSITION_EXISTS, f"a position in {wish.token} is open; close first"
        )
    _require_funds(wish, snapshot, accepted, closes=closes)


def _require_market(wish: CreatePosition, snapshot: Snapshot) -> None:
    """Refuse a wish whose symbol, quantity, leverage or stops make no sense in its market."""
    market = snapshot.market(wish.token)
    if market is None:
        known = ", ".join(item.token for item in snapshot.markets)
        raise _BadCallError(
            Reason.UNKNOWN_SYMBOL, f"{wish.token[:40]!r} is not among your markets: {known}"
        )
    if wish.quantity <= 0:
        raise _BadCallError(
            Reason.BAD_QUANTITY, f"quantity must be more than 0, not {wish.quantity}"
        )
    leverage, most = leverage_of(wish, snapshot), Decimal(market.max_leverage)
    if not 1 <= leverage <= most:
        raise _BadCallError(
            Reason.LEVERAGE_TOO_HIGH, f"leverage must lie from 1 to {most}, not {leverage}"
        )
    mid, sign = Decimal(market.mid), wish.side.sign
    for name, price, direction in (
        ("stop_loss", wish.stop_loss, -sign),
        ("take_profit", wish.take_profit, sign),
    ):
        if price is not None and (price <= 0 or (price - mid) * direction <= 0):
            where = "above" if direction > 0 else "below"
            raise _BadCallError(
                Reason.STOP_ON_WRONG_SIDE,
                f"{name} of a {wish.side} must lie {where} the price {mid}, not at {price}",
            )


def _require_funds(
    wish: CreatePosition, snapshot: Snapshot, accepted: Sequence[Wish], *, closes: bool
) -> None:
    """Refuse a wish that is out of proportion to the account, or that the cash does not cover."""
    share = _margin_pct(wish, snapshot)
    if share > MAX_MARGIN_PCT:
        raise _BadCallError(
            Reason.QUANTITY_TOO_LARGE,
            f"the margin would be {share:.1f} % of the account; at most {MAX_MARGIN_PCT} % is allowed",
        )
    capital = Decimal(snapshot.capital_usd)
    cash = Decimal(snapshot.account_value_usd if closes else snapshot.available_cash_usd)
    spent = sum(
        (_margin_pct(other, snapshot) for other in accepted if isinstance(other, CreatePosition)),
        Decimal(0),
    )
    if (share + spent) * capital / 100 > cash:
        raise _BadCallError(
            Reason.UNFUNDED,
            f"a margin of {share * capital / 100:.2f} USD exceeds the cash that is left",
        )


def _margin_pct(wish: CreatePosition, snapshot: Snapshot) -> Decimal:
    market, capital = snapshot.market(wish.token), Decimal(snapshot.capital_usd)
    if market is None or capital <= 0:
        return Decimal(10**6)
    margin = wish.quantity * Decimal(market.mid) / leverage_of(wish, snapshot)
    return margin / capital * 100


def _opposed(calls: Sequence[RawCall]) -> frozenset[str]:
    """Return the symbols that one answer wants on both sides."""
    sides: dict[str, set[str]] = {}
    for raw in calls:
        try:
            data = json.loads(raw.arguments or "{}")
        except (ValueError, RecursionError):
            continue
        if raw.name == CREATE and isinstance(data, Mapping):
            symbol = str(data.get("symbol", "")).strip().upper()
            sides.setdefault(symbol, set()).add(str(data.get("side")))
    both = {side.value for side in Side}
    return frozenset(symbol for symbol, named in sides.items() if both <= named)


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "arguments"
    return f"{place}: {first['msg']}"
