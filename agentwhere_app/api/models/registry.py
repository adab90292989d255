"""What is asked for to publish an agent, or to run one."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, model_validator

from agentwhere_app.api.models.base import Asked, Told
from agentwhere_core.domain.enums import Venue

NO_WALLET = "0x" + "0" * 40

Name = Annotated[str, Field(min_length=1, max_length=100)]
Wallet = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$", description="0x and 40 digits.")]
Percent = Annotated[Decimal, Field(gt=0, le=10_000, max_digits=12, decimal_places=6)]


Handle = Annotated[str, Field(pattern="^@?[A-Za-z0-9_]{1,15}$")]
FeedUrl = Annotated[str, Field(pattern="^https?://[!-~]+$", max_length=2000)]


class SourcesWrite(Asked):
    """X accounts and feeds, together at least one."""

    x_accounts: list[Handle] = Field(default=[], max_length=500)
    feeds: list[FeedUrl] = Field(default=[], max_length=500)

    @model_validator(mode="after")
    def _names_any(self) -> Self:
        if not self.x_accounts and not self.feeds:
            raise ValueError("name at least one X account or feed")
        return self


class AgentWrite(SourcesWrite):
    """An agent to publish, with at least one source."""

    name: Name
    venue: Venue = Field(default=Venue.MULTI, description="MULTI lets the router choose.")
    creator_wallet: Wallet = NO_WALLET
    leverage: Decimal = Field(default=Decimal(1), ge=1, le=1000, max_digits=12, decimal_places=6)
    stop_loss_pct: (
        Annotated[Decimal, Field(gt=0, lt=100, max_digits=12, decimal_places=6)] | None
    ) = Field(default=None, description="Percent from entry.")
    take_profit_pct: Percent | None = None
    trailing_activation_pct: Percent | None = None
    trailing_distance_pct: Percent | None = None
    max_holding_h: Percent | None = None

    @model_validator(mode="after")
    def _trails_whole(self) -> Self:
        if (self.trailing_activation_pct is None) != (self.trailing_distance_pct is None):
            raise ValueError("a trailing stop needs both its activation and its distance")
        return self


class AccountWrite(Asked):
    """An account to trade on; ``key_name`` names its signing key in the secret store of the server."""

    venue: Venue
    address: Annotated[str, Field(min_length=1, max_length=100)]
    key_name: Annotated[str, Field(min_length=1, max_length=100)]


class DeploymentWrite(Asked):
    """A deployment to run; its policy says what its agent may do with the money."""

    agent_id: UUID
    name: Name
    subscriber_wallet: Wallet = NO_WALLET
    capital_usd: Decimal = Field(gt=0, le=Decimal(10) ** 12, max_digits=20, decimal_places=6)
    policy: dict[str, Any] = Field(default={}, description="Rules; what is left out is off.")
    accounts: list[AccountWrite] = Field(default=[], max_length=10)


class PolicyWrite(Asked):
    """Rules to change; null switches one off, what is left out stays as it is."""

    rules: dict[str, Any]


class PolicyAnswer(Told):
    """A policy in force; its version goes up by one with each change."""

    deployment_id: UUID
    version: int
    rules: dict[str, Any]
