"""Ask a language model for tool calls, at any OpenAI-compatible address, by the OpenAI SDK.

One question, one `Answer`; whatever goes wrong is a `NoAnswerError` with a reason. Nothing is retried beyond what the
SDK does for connections, 429 and 5xx: the arena's next interval is the retry.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

from pydantic import BaseModel, ValidationError

from agentwhere_core.arena.tools import TOOLS
from agentwhere_core.arena.values import RawCall, Usage
from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.llm.connection import Connection
from agentwhere_core.tracing import request_span

_MAX_ANSWER_TOKENS: Final = 2000
_MOST_OF_AN_ERROR: Final = 500
_LAST_STATUS_FOR_LIMITS: Final = 429


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to one question: words, tool calls, and whether it was cut off."""

    text: str
    calls: tuple[RawCall, ...]
    is_cut_off: bool
    usage: Usage
    raw: dict[str, Any]


class NoAnswerError(AgentWhereError):
    """The provider gave no answer that can be read.

    Parameters
    ----------
    reason
        Why, as a code.
    usage
        What it cost nevertheless.
    """

    def __init__(self, reason: Reason, why: str, usage: Usage, raw: dict[str, Any]) -> None:
        super().__init__(why[:_MOST_OF_AN_ERROR])
        self.reason = reason
        self.usage = usage
        self.raw = raw


class Asks(Protocol):
    """Whatever answers a conversation."""

    def ask(self, model: str, messages: Sequence[dict[str, Any]]) -> Answer:
        """Return the model's answer, or raise `NoAnswerError`."""
        ...


class _Function(BaseModel):
    name: str
    arguments: str = ""


class _Call(BaseModel):
    id: str
    function: _Function


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal | None = None


class _Completion(BaseModel):
    model: str
    choices: list[_Choice]
    usage: _Usage | None = None


class Provider(Connection):
    """An OpenAI-compatible endpoint that any model of the arena is asked at; safe to share between threads."""

    def __init__(
        self, base_url: str, api_key: str, timeout_s: float = 30.0, max_retries: int = 1
    ) -> None:
        super().__init__(base_url, api_key, timeout_s=timeout_s, max_retries=max_retries)

    def ask(self, model: str, messages: Sequence[dict[str, Any]]) -> Answer:
        """Return what ``model`` answers to a conversation.

        Raises
        ------
        NoAnswerError
            If it cannot be reached, refuses, or does not speak the protocol.
        """
        began = time.monotonic()
        raw, completion = self._complete(model, messages)
        stated = completion.usage or _Usage()
        usage = Usage(
            provider_model=completion.model,
            prompt_tokens=stated.prompt_tokens,
            completion_tokens=stated.completion_tokens,
            cost_usd=stated.cost,
            latency_ms=round((time.monotonic() - began) * 1000),
        )
        if not completion.choices:
            raise NoAnswerError(
                Reason.MODEL_UNAVAILABLE, f"{model} sent a reply without choices", usage, raw
            )
        choice = completion.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            why = choice.message.refusal or "content filter"
            raise NoAnswerError(Reason.MODEL_REFUSED, f"{model} refused: {why}", usage, raw)
        return Answer(
            text=choice.message.content or "",
            calls=tuple(
                RawCall(call.id, call.function.name, call.function.arguments)
                for call in choice.message.tool_calls or ()
            ),
            is_cut_off=choice.finish_reason == "length",
            usage=usage,
            raw=raw,
        )

    def _complete(
        self, model: str, messages: Sequence[dict[str, Any]]
    ) -> tuple[dict[str, Any], _Completion]:
        import openai

        request: dict[str, Any] = {
            "model": model,
            "messages": list(messages),
            "tools": TOOLS,
            "tool_choice": "auto",
            "temperature": 0,
            "max_completion_tokens": _MAX_ANSWER_TOKENS,
            # OpenRouter states what an answer cost when it is asked to; others ignore it.
            "extra_body": {"usage": {"include": True}},
        }
        raw: dict[str, Any] = {}
        try:
            with request_span("model", "POST", f"{self._base_url}/chat/completions"):
                reply = self._client.chat.completions.with_raw_response.create(**request)
            raw = json.loads(reply.http_response.content)
            return raw, _Completion.model_validate(raw)
        except openai.APITimeoutError as error:
            raise _none(Reason.MODEL_TIMED_OUT, f"{model} did not answer in time", model) from error
        except openai.APIStatusError as error:
            limited = error.status_code == _LAST_STATUS_FOR_LIMITS
            reason = Reason.MODEL_RATE_LIMITED if limited else Reason.MODEL_UNAVAILABLE
            why = f"{self._base_url} answered HTTP {error.status_code}: {error.message}"
            raise _none(reason, why, model) from error
        except openai.APIConnectionError as error:
            why = (
                f"no answer from {self._base_url} ({error.__cause__ or error}); check that it is up"
            )
            raise _none(Reason.MODEL_UNAVAILABLE, why, model) from error
        except (openai.APIError, ValidationError, ValueError) as error:
            why = f"{self._base_url} does not answer by OpenAI's protocol ({type(error).__name__}); check the address"
            raise _none(Reason.MODEL_UNAVAILABLE, why, model, raw) from error


def _none(reason: Reason, why: str, model: str, raw: Any = None) -> NoAnswerError:
    kept = raw if isinstance(raw, dict) else {}
    return NoAnswerError(reason, why, Usage(provider_model=model), kept)
