"""What the model may answer: a closed schema, sent with the request and checked again on arrival.

The JSON schema keeps to what every provider's structured output knows (objects, arrays, enums, no bounds); the bounds
are checked here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentwhere_core.domain.enums import Horizon, Side

SCHEMA_VERSION: Final = "classification-1"
MAX_TRADES: Final = 10

CLASSIFICATION_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "is_signal": {
            "type": "boolean",
            "description": "Whether the author takes a side on a market now.",
        },
        "signals": {
            "type": "array",
            "description": "One entry per token that the author takes a side on; empty if is_signal is false.",
            "items": {
                "type": "object",
                "properties": {
                    "token": {
                        "type": "string",
                        "description": "Ticker symbol without prefix, e.g. BTC, XAU, EUR, TSLA.",
                    },
                    "side": {"type": "string", "enum": [side.value for side in Side]},
                    "confidence": {
                        "type": "number",
                        "description": "How sure the author sounds, from 0 to 1.",
                    },
                    "horizon": {"type": "string", "enum": [horizon.value for horizon in Horizon]},
                },
                "required": ["token", "side", "confidence", "horizon"],
                "additionalProperties": False,
            },
        },
        "reasoning": {
            "type": "string",
            "description": "One or two sentences on why, quoting the author's words.",
        },
    },
    "required": ["is_signal", "signals", "reasoning"],
    "additionalProperties": False,
}

RESPONSE_FORMAT: Final[dict[str, Any]] = {
    "type": "json_schema",
    "json_schema": {"name": "classification", "strict": True, "schema": CLASSIFICATION_SCHEMA},
}


class InvalidAnswerError(ValueError):
    """The model's answer does not fit the schema; the message says where, in words that the model can act on."""


class ProposedTrade(BaseModel):
    """One trade that the model reads from a post; not yet believed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: Annotated[str, Field(min_length=1, max_length=32)]
    side: Side
    confidence: Annotated[Decimal, Field(ge=0, le=1, allow_inf_nan=False)]
    horizon: Horizon


class Answer(BaseModel):
    """A complete answer; contradictory ones are invalid."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    is_signal: bool
    signals: Annotated[tuple[ProposedTrade, ...], Field(max_length=MAX_TRADES)]
    reasoning: Annotated[str, Field(max_length=4000)]


def parse_answer(content: str) -> Answer:
    """Read the model's text.

    Raises
    ------
    InvalidAnswerError
        If it is no JSON, does not fit, or claims a signal and names none.
    """
    try:
        answer = Answer.model_validate_json(content)
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, each['loc'])) or 'the whole answer'}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)[:5]
        )
        raise InvalidAnswerError("; ".join(problems)) from error
    if answer.is_signal and not answer.signals:
        raise InvalidAnswerError("is_signal is true but signals is empty")
    return answer
