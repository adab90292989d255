"""What a deployment holds and may still open, as far as its policy cares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from agentwhere_core.domain.enums import Venue

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Engagement:
    """A position that is open, or an entry on its way.

    Parameters
    ----------
    venue
        Where; None for an entry whose venue is not chosen yet.
    exposure_pct
        Notional in percent of the deployment's capital.
    """

    token: str
    venue: Venue | None
    exposure_pct: Decimal


@dataclass(frozen=True, slots=True)
class Book:
    """A deployment's engagements, when it last traded each token, and whether today's losses stopped it."""

    engagements: tuple[Engagement, ...] = ()
    last_traded: Mapping[str, datetime] = field(default_factory=dict)
    is_halted: bool = False

    @property
    def open_positions(self) -> int:
        """On how many tokens the deployment is engaged."""
        return len({held.token for held in self.engagements})

    def exposure_pct(self, *, token: str | None = None, venue: Venue | None = None) -> Decimal:
        """Return the exposure, of one token or at one venue if named, in percent of capital.

        An entry whose venue is not chosen yet counts at none; the router counts it once it has chosen.
        """
        return sum(
            (
                held.exposure_pct
                for held in self.engagements
                if (token is None or held.token == token) and (venue is None or held.venue is venue)
            ),
            _ZERO,
        )

    def with_engagement(self, engagement: Engagement) -> Book:
        """Return the book with one entry more on its way."""
        return replace(self, engagements=(*self.engagements, engagement))

    def without(self, token: str) -> Book:
        """Return the book less everything in a token."""
        return replace(
            self, engagements=tuple(held for held in self.engagements if held.token != token)
        )
