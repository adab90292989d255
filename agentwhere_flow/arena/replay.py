"""Replay an invocation from its record: the prompt bit for bit, and if wished a new answer, without trading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.arena.baselines import decide_by_rule
from agentwhere_core.arena.conversation import converse
from agentwhere_core.arena.prompt import PROMPT_VERSION, full_prompt
from agentwhere_core.arena.values import BASELINE_PREFIX, Decision
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_store.arena import invocations as store
from agentwhere_store.arena.invocations import Invocation, ToolCall

if TYPE_CHECKING:
    from agentwhere_flow.system import System


@dataclass(frozen=True, slots=True)
class Replayed:
    """A stored invocation, the prompt that its inputs give now, and what the model answers now."""

    invocation: Invocation
    calls: tuple[ToolCall, ...]
    prompt: str
    answer: Decision | None

    @property
    def is_same_prompt(self) -> bool:
        """Whether the prompt is, bit for bit, the one that was asked."""
        return self.prompt == self.invocation.prompt

    @property
    def is_same_answer(self) -> bool | None:
        """Whether the model makes the same calls, and they get the same verdicts; None if it was not asked."""
        if self.answer is None:
            return None
        then = [
            (call.metadata["name"], call.metadata["arguments"], call.reason_at_first)
            for call in self.calls
        ]
        now = [
            (
                verdict.raw.name,
                verdict.raw.arguments,
                None if verdict.is_accepted else verdict.reason,
            )
            for verdict in self.answer.verdicts
        ]
        return then == now


def replay(system: System, invocation_id: UUID, *, ask: bool = True) -> Replayed:
    """Rebuild an invocation's prompt from its stored inputs, and ask its model again; nothing is traded or stored.

    Raises
    ------
    ConfigurationError
        If there is no such invocation, or it was made by another version of the prompt.
    """
    with system.engine.connect() as conn:
        found = store.find_invocation(conn, invocation_id)
        calls = store.calls_of(conn, [invocation_id]).get(invocation_id, [])
    if found is None:
        raise ConfigurationError(
            f"there is no invocation {invocation_id}: see `agentwhere arena show`"
        )
    if found.prompt_version != PROMPT_VERSION:
        raise ConfigurationError(
            f"invocation {invocation_id} was made by prompt {found.prompt_version}, this version builds "
            f"{PROMPT_VERSION}: replay it with the version that made it"
        )
    answer = None
    if ask:
        model = found.openrouter_model
        answer = (
            decide_by_rule(model, found.snapshot)
            if model.startswith(BASELINE_PREFIX)
            else converse(system.provider, model, found.snapshot)
        )
    return Replayed(found, tuple(calls), full_prompt(found.snapshot), answer)
