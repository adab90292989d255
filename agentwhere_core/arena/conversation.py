"""One invocation's talk with its model: a question, an answer with tool calls, and one chance to correct bad ones.

What was accepted in the first answer stays, whatever the second one is. Calls in plain text, and calls of an answer
that was cut off, are refused like any bad call: nothing is executed that was not wholly said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentwhere_core.arena.prompt import messages
from agentwhere_core.arena.provider import Answer, Asks, NoAnswerError
from agentwhere_core.arena.tools import judge, names_a_tool
from agentwhere_core.arena.values import (
    Decision,
    RawCall,
    Snapshot,
    ToolCallType,
    Usage,
    Verdict,
)
from agentwhere_core.domain.reasons import Reason

ROUNDS = 2


def converse(provider: Asks, model: str, snapshot: Snapshot) -> Decision:
    """Return what ``model`` decides in the moment of ``snapshot``; a provider's failure is a decision without calls."""
    talk: list[dict[str, Any]] = list(messages(snapshot))
    verdicts: list[Verdict] = []
    texts: list[str] = []
    replies: list[dict[str, Any]] = []
    usage = Usage()
    for round_ in range(1, ROUNDS + 1):
        try:
            answer = provider.ask(model, talk)
        except NoAnswerError as failure:
            return Decision(
                verdicts=tuple(verdicts),
                response="\n\n".join(texts),
                usage=_sum(usage, failure.usage),
                reason=failure.reason,
                error=str(failure),
                replies=(*replies, failure.raw) if failure.raw else tuple(replies),
            )
        usage = _sum(usage, answer.usage)
        replies.append(answer.raw)
        if answer.text:
            texts.append(answer.text)
        fresh = _verdicts(answer, snapshot, verdicts, round_)
        verdicts += fresh
        if all(verdict.is_accepted for verdict in fresh):
            break
        talk += _told(answer, fresh)
    return Decision(tuple(verdicts), "\n\n".join(texts), usage, replies=tuple(replies))


def _verdicts(
    answer: Answer, snapshot: Snapshot, before: Sequence[Verdict], round_: int
) -> list[Verdict]:
    if answer.is_cut_off:
        why = "the answer was cut off; nothing of it is executed. Answer more briefly"
        return [
            Verdict(call, round_, ToolCallType.UNKNOWN, None, Reason.MODEL_CUT_OFF, why)
            for call in answer.calls or (RawCall("", "", answer.text),)
        ]
    if not answer.calls and names_a_tool(answer.text):
        why = "words are not executed; call the tool itself"
        spoken = RawCall("", "", answer.text)
        return [Verdict(spoken, round_, ToolCallType.UNKNOWN, None, Reason.CALL_IN_TEXT, why)]
    return judge(answer.calls, snapshot, before=before, round_=round_)


def _told(answer: Answer, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return what goes back to the model: its own answer, and the verdict on each call."""
    said: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if not answer.calls:
        said["content"] = answer.text or "(nothing)"
        refused = "; ".join(f"{verdict.reason}: {verdict.detail}" for verdict in verdicts)
        return [said, {"role": "user", "content": f"Refused. {refused}."}]
    said["tool_calls"] = [
        {
            "id": call.call_id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in answer.calls
    ]
    results = [
        {
            "role": "tool",
            "tool_call_id": verdict.raw.call_id,
            "content": "accepted, and will be executed"
            if verdict.is_accepted
            else f"refused, {verdict.reason}: {verdict.detail}",
        }
        for verdict in verdicts
    ]
    return [said, *results]


def _sum(one: Usage, other: Usage) -> Usage:
    costs = [usage.cost_usd for usage in (one, other) if usage.cost_usd is not None]
    return Usage(
        provider_model=other.provider_model or one.provider_model,
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        cost_usd=sum(costs[1:], costs[0]) if costs else None,
        latency_ms=one.latency_ms + other.latency_ms,
    )
