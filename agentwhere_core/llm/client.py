"""Ask a language model, at any OpenAI-compatible address, what trade a post proposes.

The model has no tools and no memory, and its answer is data in a closed schema. Whatever goes wrong, from an outage to
an answer that stays invalid after one correction, the client abstains and says why: it never guesses a trade.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from agentwhere_core.domain.reasons import Reason
from agentwhere_core.llm.connection import Connection
from agentwhere_core.llm.prompts import (
    INSTRUCTIONS,
    PROMPT_VERSION,
    correction,
    prepare_post_text,
    question,
)
from agentwhere_core.llm.schema import (
    RESPONSE_FORMAT,
    SCHEMA_VERSION,
    Answer,
    InvalidAnswerError,
    parse_answer,
)
from agentwhere_core.tracing import request_span

if TYPE_CHECKING:
    from agentwhere_core.domain.idea import Post

_MAX_ANSWER_TOKENS: Final = 1500
_TRIES: Final = 2
_MAX_ERROR_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class ClassificationOutcome:
    """The model's valid answer to one post, or the reason for none.

    Parameters
    ----------
    answer
        None when the client abstains.
    reason, error
        Why it abstains, as a code and in words that say what to do.
    attempts
        Questions asked: 2 after a correction.
    raw_response
        The last reply as the provider sent it; empty if there was none.
    model
        As the provider names it; what was asked for if there was no reply.
    prompt_tokens, completion_tokens, cost_usd
        Summed over the attempts; the cost only where the provider states it.
    latency_ms
        Time until the outcome, retries included.
    """

    answer: Answer | None
    reason: Reason | None
    error: str | None
    attempts: int
    raw_response: dict[str, Any]
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal | None
    latency_ms: int
    prompt_version: str = PROMPT_VERSION
    schema_version: str = SCHEMA_VERSION

    @property
    def abstained(self) -> bool:
        """Whether there is no answer."""
        return self.answer is None


class _Abstention(Exception):  # noqa: N818 - not an error: the way out of a question that got no answer
    """There will be no answer, for this reason."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why[:_MAX_ERROR_CHARS])
        self.reason = reason


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal | None = None


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    model: str
    choices: list[_Choice]
    usage: _Usage | None = None


@dataclass(slots=True)
class _Tally:
    """What one classification has used so far."""

    model: str
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal | None = None
    raw: dict[str, Any] = field(default_factory=dict)

    def add(self, raw: dict[str, Any], completion: _Completion) -> None:
        """Count one reply."""
        usage = completion.usage or _Usage()
        self.raw = raw
        self.model = completion.model
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens
        if usage.cost is not None:
            self.cost_usd = (self.cost_usd or Decimal(0)) + usage.cost


def recall(raw_response: dict[str, Any]) -> ClassificationOutcome | None:
    """Read a reply that was paid for before, at no cost; None if it holds no valid answer any more."""
    try:
        completion = _Completion.model_validate(raw_response)
        answer = parse_answer(completion.choices[0].message.content or "")
    except (ValidationError, IndexError, InvalidAnswerError):
        return None
    return ClassificationOutcome(
        answer=answer,
        reason=None,
        error=None,
        attempts=0,
        raw_response=raw_response,
        model=completion.model,
        prompt_tokens=0,
        completion_tokens=0,
        cost_usd=Decimal(0),
        latency_ms=0,
    )


class LLMClient(Connection):
    """Ask one model, by the name that the provider lists it under; safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        timeout_s: float = 30.0,
        max_retries: int = 2,
    ) -> None:
        super().__init__(base_url, api_key, timeout_s=timeout_s, max_retries=max_retries)
        self.model = model

    def classify(self, post: Post, source: str) -> ClassificationOutcome:
        """Classify one post by ``source``; abstain instead of raising when the model gives no valid answer."""
        began = time.monotonic()
        tally = _Tally(self.model)
        answer, reason, error = None, None, None
        try:
            answer = self._ask(
                question(source, post.published_at, prepare_post_text(post.text)), tally
            )
        except _Abstention as abstention:
            reason, error = abstention.reason, str(abstention)
        return ClassificationOutcome(
            answer=answer,
            reason=reason,
            error=error,
            attempts=tally.attempts,
            raw_response=tally.raw,
            model=tally.model,
            prompt_tokens=tally.prompt_tokens,
            completion_tokens=tally.completion_tokens,
            cost_usd=tally.cost_usd,
            latency_ms=round((time.monotonic() - began) * 1000),
        )

    def _ask(self, asked: str, tally: _Tally) -> Answer:
        messages: list[dict[str, str]] = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": asked},
        ]
        problem = ""
        for _ in range(_TRIES):
            content = self._content(messages, tally)
            try:
                return parse_answer(content)
            except InvalidAnswerError as error:
                problem = str(error)
                messages += [
                    {"role": "assistant", "content": content},
                    {"role": "user", "content": correction(problem)},
                ]
        raise _Abstention(
            Reason.CLASSIFIER_INVALID_OUTPUT,
            f"{tally.model} answered outside the schema {_TRIES} times ({problem}); "
            "choose a model with structured output",
        )

    def _content(self, messages: list[dict[str, str]], tally: _Tally) -> str:
        tally.attempts += 1
        raw, completion = self._complete(messages)
        tally.add(raw, completion)
        if not completion.choices:
            raise _Abstention(
                Reason.CLASSIFIER_UNAVAILABLE, f"{tally.model} sent a reply without choices"
            )
        choice = completion.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise _Abstention(
                Reason.CLASSIFIER_REFUSED,
                f"{tally.model} refused: {choice.message.refusal or 'content filter'}",
            )
        if choice.finish_reason == "length":
            raise _Abstention(
                Reason.CLASSIFIER_INVALID_OUTPUT,
                f"{tally.model} was cut off after {tally.completion_tokens} tokens; "
                "choose a model that answers briefly",
            )
        return choice.message.content or ""

    def _complete(self, messages: list[dict[str, str]]) -> tuple[dict[str, Any], _Completion]:
        import openai

        request: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "temperature": 0,
            "max_completion_tokens": _MAX_ANSWER_TOKENS,
            "response_format": RESPONSE_FORMAT,
        }
        try:
            with request_span("model", "POST", f"{self._base_url}/chat/completions"):
                reply = self._client.chat.completions.with_raw_response.create(**request)
            raw = json.loads(reply.http_response.content)
            return raw, _Completion.model_validate(raw)
        except openai.APIStatusError as error:
            raise _Abstention(Reason.CLASSIFIER_UNAVAILABLE, self._refused(error)) from error
        except openai.APIConnectionError as error:
            raise _Abstention(
                Reason.CLASSIFIER_UNAVAILABLE,
                f"no answer from {self._base_url} ({error.__cause__ or error}); check that it is up",
            ) from error
        except (openai.APIError, ValidationError, ValueError) as error:
            raise _Abstention(
                Reason.CLASSIFIER_UNAVAILABLE,
                f"{self._base_url} does not answer by OpenAI's protocol ({type(error).__name__}); check the address",
            ) from error

    def _refused(self, error: Any) -> str:
        remedies = {
            401: "set AGENTWHERE_LLM_API_KEY to a valid key",
            402: "add credit at the provider",
            403: "the key may not use this model; choose another",
            404: f"there is no model {self.model!r} there; set AGENTWHERE_LLM_MODEL",
            429: "the provider's rate limit or quota is used up; the next run tries again",
        }
        remedy = remedies.get(error.status_code, "the next run tries again")
        return f"{self._base_url} answered HTTP {error.status_code}: {remedy} ({error.message})"
