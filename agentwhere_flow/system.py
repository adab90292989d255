"""The one place where things are wired: settings in, a `System` of clients and a database engine out.

Everything heavy is built on first use, so that a command or a Dagster run pays only for what it touches.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_core.domain.time import Clock, utc_now
from agentwhere_flow.profiles import Endpoints, endpoints
from agentwhere_flow.secrets import SecretStore
from agentwhere_flow.settings import Profile, Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from agentwhere_core.arena.provider import Provider
    from agentwhere_core.llm.client import LLMClient
    from agentwhere_core.sources.feeds import FeedClient
    from agentwhere_core.sources.x import XClient
    from agentwhere_core.venues.protocol import Execution, MarketData


class System:
    """Everything that the use cases work with.

    Parameters
    ----------
    settings
        Where and how to run.
    run_id
        The orchestrator's id of this run, kept with every step's record.
    clock
        Source of the current time for deadlines inside a step.
    shard
        The deployments that trading steps look after; all of them unless several processes share the work.
    database
        Limits of the database's connections, as `make_engine` takes them; its own where None.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        run_id: str | None = None,
        clock: Clock = utc_now,
        shard: Shard = WHOLE,
        database: Mapping[str, int] | None = None,
    ) -> None:
        self.settings = settings
        self.run_id = run_id
        self.clock = clock
        self.shard = shard
        self._database = database or {}
        self._closing = ExitStack()

    @cached_property
    def endpoints(self) -> Endpoints:
        """URLs of the profile."""
        return endpoints(self.settings)

    @cached_property
    def secrets(self) -> SecretStore:
        """Signing keys and tokens."""
        return SecretStore(self.settings.home)

    @cached_property
    def engine(self) -> Engine:
        """The database, by ``DATABASE_URL`` or the embedded server, which must be running."""
        from agentwhere_store.engine import make_engine

        if self.settings.database_url is not None:
            url = self.settings.database_url.get_secret_value()
            return make_engine(url, **self._database)
        from agentwhere_store.embedded import EmbeddedPostgres

        return make_engine(EmbeddedPostgres(self.settings.home).url(), **self._database)

    @cached_property
    def venues(self) -> Mapping[Venue, MarketData]:
        """An adapter for each enabled venue."""
        from agentwhere_flow.wiring import make_venues

        return make_venues(self.settings, self.endpoints, self.secrets, self._closing)

    @cached_property
    def x(self) -> XClient:
        """The X API."""
        from agentwhere_flow.wiring import make_x_client

        token = self._token("x_bearer_token")
        return make_x_client(self.settings, self.endpoints, token, self._closing)

    @cached_property
    def feeds(self) -> FeedClient:
        """Research feeds."""
        from agentwhere_flow.wiring import make_feed_client

        return make_feed_client(self.settings, self._closing)

    @cached_property
    def llm(self) -> LLMClient:
        """The classifier's language model."""
        from agentwhere_flow.wiring import make_llm_client

        key = self._token("llm_api_key")
        return make_llm_client(self.settings, self.endpoints, key, self._closing)

    @cached_property
    def provider(self) -> Provider:
        """The provider of the arena's models."""
        from agentwhere_flow.wiring import make_provider

        key = self._token("llm_api_key")
        return make_provider(self.settings, self.endpoints, key, self._closing)

    def execution(self, venue: Venue) -> Execution | None:
        """Return the adapter that trades on ``venue``, or None where this version cannot."""
        adapter = self.venues.get(venue)
        return adapter if adapter is not None and adapter.can_execute else None  # type: ignore[return-value]

    def close(self) -> None:
        """Give back connections; the system is used no more afterwards."""
        self._closing.close()
        if "engine" in self.__dict__:
            self.engine.dispose()

    def _token(self, name: str) -> str:
        secret = getattr(self.settings, name)
        if secret is not None:
            return str(secret.get_secret_value())
        if self.settings.profile is Profile.SIM:
            return "simulated"
        raise ConfigurationError(f"set AGENTWHERE_{name.upper()}: the profile needs it")
