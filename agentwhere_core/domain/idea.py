"""From a post to a signal: the values of Agent What."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from agentwhere_core.domain.enums import AgentStatus, Horizon, Side, SourceKind, Venue
from agentwhere_core.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class Agent:
    """A recipe that a creator publishes: which sources to follow, on which venue to act."""

    id: UUID
    name: str
    creator_wallet: str
    venue: Venue
    status: AgentStatus
    leverage: Decimal
    stop_loss_pct: Decimal | None
    take_profit_pct: Decimal | None
    trailing_activation_pct: Decimal | None
    trailing_distance_pct: Decimal | None
    max_holding_h: Decimal | None


@dataclass(frozen=True, slots=True)
class Source:
    """An X account or a research feed, with the cursor up to which it has been read.

    ``locator`` is the handle without ``@`` or the feed's URL; ``external_id`` the service's own id once resolved.
    """

    id: UUID
    kind: SourceKind
    locator: str
    external_id: str | None = None
    cursor: str | None = None
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class FetchedPost:
    """A post as a source gave it, before it has a row; ``external_id`` is unique per source."""

    external_id: str
    text: str
    published_at: datetime
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """A stored post."""

    id: UUID
    source_id: UUID
    external_id: str
    text: str
    published_at: datetime
    content_hash: str
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Mention:
    """One trade that a post proposes; ``token`` is canonical, ``confidence`` lies in [0, 1]."""

    token: str
    side: Side
    confidence: Decimal
    horizon: Horizon


@dataclass(frozen=True, slots=True)
class Classification:
    """What the model made of a post, and what was left of it after validation.

    ``mentions`` are accepted; ``refusals`` say why others were not. A classification exists only for posts that were
    answered: an abstention leaves the post pending with its error. ``is_cached`` tells that the answer was paid for
    with another post of the same text: its tokens and cost are zero then.
    """

    post_id: UUID
    is_signal: bool
    mentions: tuple[Mention, ...]
    refusals: tuple[tuple[str, Reason], ...]
    reasoning: str
    model: str
    prompt_version: str
    schema_version: str
    raw_response: dict[str, Any]
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal | None
    latency_ms: int
    is_cached: bool = False


@dataclass(frozen=True, slots=True)
class ScoredMention:
    """A mention with everything that its score is made of.

    ``content_hash`` tells copies: a source that repeats another's text is no second voice.
    """

    post_id: UUID
    source_id: UUID
    token: str
    side: Side
    confidence: Decimal
    source_weight: Decimal
    context_factor: Decimal
    published_at: datetime
    horizon: Horizon = Horizon.SWING
    content_hash: str = ""

    @property
    def score(self) -> Decimal:
        """Confidence × source weight × context factor, within [0, 1]."""
        return min(Decimal(1), self.confidence * self.source_weight * self.context_factor)


@dataclass(frozen=True, slots=True)
class Signal:
    """A trade idea with a size and no venue decision (W7).

    ``fund_percentage`` is the share of a deployment's funds to put up as margin, in percent. Stops are percentages of
    the entry price. ``venue`` is the agent's: ``MULTI`` leaves the choice to the router. ``quantity`` bounds the size
    in canonical tokens as well, where whoever made the signal named one; the share of the funds then only caps it.
    """

    id: UUID
    agent_id: UUID
    batch: str
    token: str
    side: Side
    venue: Venue
    fund_percentage: Decimal
    confidence: Decimal
    leverage: Decimal
    stop_loss_pct: Decimal | None
    take_profit_pct: Decimal | None
    trailing_activation_pct: Decimal | None
    trailing_distance_pct: Decimal | None
    max_holding_h: Decimal | None
    created_at: datetime
    expires_at: datetime
    reasoning: str
    source_post_ids: tuple[UUID, ...] = ()
    explanation: dict[str, Any] = field(default_factory=dict)
    quantity: Decimal | None = None
