"""Settings: from the environment, with a default for everything that is not a secret.

A *profile* names the world to trade in. It changes URLs, chain ids and whether money is real, and nothing else.
"""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from agentwhere_core.alerts.notices import QuietHours, Target
from agentwhere_core.domain.enums import Severity, Venue
from agentwhere_core.domain.sharding import PARTS
from agentwhere_flow.health_settings import HealthSettings


class Profile(StrEnum):
    """Which world the adapters speak to."""

    SIM = "sim"
    PAPER = "paper"
    TESTNET = "testnet"
    LIVE = "live"


class LogFormat(StrEnum):
    """How processes log."""

    TEXT = "text"
    JSON = "json"


class Executor(StrEnum):
    """What executes the steps of a Dagster run."""

    IN_PROCESS = "in_process"
    MULTIPROCESS = "multiprocess"
    CELERY = "celery"
    K8S_JOB = "k8s_job"


class Settings(HealthSettings):
    """Everything that can be set; each name is read from ``AGENTWHERE_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="AGENTWHERE_", extra="ignore", frozen=True)

    home: Path = Path(".agentwhere")
    profile: Profile = Profile.SIM
    live: str = ""
    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    log_format: LogFormat = LogFormat.TEXT
    otlp_endpoint: str | None = None
    sim_port: int = 8765
    dagster_port: int = 3000
    code_server_port: int = 4266

    api_port: int = 8000
    api_host: str = "127.0.0.1"
    api_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    api_cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    api_trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    api_requests_per_minute: int = Field(default=600, ge=1)
    api_key_requests_per_minute: int = Field(default=6000, ge=1)
    api_body_limit_bytes: int = Field(default=262_144, ge=1024)

    venues: Annotated[tuple[Venue, ...], NoDecode] = (
        Venue.HYPERLIQUID,
        Venue.OSTIUM,
        Venue.LIGHTER,
    )
    hyperliquid_data_url: str | None = None
    ostium_data_url: str | None = None
    ostium_data_subgraph_url: str | None = None
    lighter_data_url: str | None = None
    ostium_mainnet: str = ""
    ostium_rpc_url: str | None = None
    x_bearer_token: SecretStr | None = None
    llm_api_key: SecretStr | None = None
    llm_base_url: str | None = None
    llm_model: str | None = None
    llm_batch: int = Field(default=200, ge=1)
    llm_timeout_s: float = Field(default=30.0, gt=0)
    llm_concurrency: int = Field(default=4, ge=1, le=64)
    llm_daily_budget_usd: Decimal | None = Field(default=Decimal(5), ge=0)
    prompt_price_per_million_usd: Decimal | None = None
    completion_price_per_million_usd: Decimal | None = None

    trades_per_post: int = Field(default=1, ge=1, le=10)
    signal_window_h: int = Field(default=24, ge=1)
    signal_ttl_h: int = Field(default=6, ge=1)
    size_cap_pct: Decimal = Field(default=Decimal(25), gt=0, le=25)
    size_budget_pct: Decimal = Field(default=Decimal(50), gt=0, le=100)
    size_curvature: Decimal = Field(default=Decimal(3), gt=0, le=50)
    corroboration_pct: Decimal = Field(default=Decimal(10), gt=0, le=25)
    feeds_private: bool = False

    max_slippage_bps: Decimal = Field(default=Decimal(100), gt=0)
    order_deadline_s: int = Field(default=15, ge=1)
    order_absence_margin_s: int = Field(default=5, ge=0)
    protection_deadline_s: int = Field(default=240, ge=0)
    default_stop_loss_pct: Decimal = Field(default=Decimal(10), gt=0, lt=100)
    executor: Executor = Executor.IN_PROCESS
    shards: int = Field(default=1, ge=1, le=len(PARTS))
    celery_broker: SecretStr | None = None
    celery_backend: SecretStr | None = None
    execution_concurrency: int = Field(default=4, ge=1, le=64)
    http_timeout_s: float = Field(default=10.0, gt=0)

    alert_targets: Annotated[tuple[Target, ...], NoDecode] = ()
    alert_repeat_min: int = Field(default=60, ge=0)
    alert_quiet_hours: Annotated[QuietHours | None, NoDecode] = None
    dagster_url: str | None = None
    heartbeat_url: SecretStr | None = None
    heartbeat_s: int = Field(default=300, ge=15)

    @field_validator("venues", mode="before")
    @classmethod
    def _split_venues(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().upper() for part in value.split(",") if part.strip())
        return value

    @field_validator("alert_targets", mode="before")
    @classmethod
    def _split_targets(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(_target(part) for part in value.split(",") if part.strip())
        return value

    @field_validator("alert_quiet_hours", mode="before")
    @classmethod
    def _read_hours(cls, value: object) -> object:
        return _quiet_hours(value) if isinstance(value, str) else value

    @field_validator("api_hosts", "api_cors_origins", "api_trusted_proxies", mode="before")
    @classmethod
    def _split_words(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @property
    def may_send(self) -> bool:
        """Whether orders may be sent: always to the simulator, elsewhere only with ``AGENTWHERE_LIVE=yes``."""
        return self.trades_here or self.live == "yes"

    @property
    def trades_here(self) -> bool:
        """Whether orders go to the simulator on this machine."""
        return self.profile in (Profile.SIM, Profile.PAPER)


def _target(text: str) -> Target:
    name, _, severity = (part.strip() for part in text.partition(":"))
    try:
        return Target(name.lower(), Severity(severity.upper() or Severity.WARNING))
    except ValueError:
        raise ValueError(
            f"{text!r} is no alert target: write NAME or NAME:critical, several with commas between"
        ) from None


def _quiet_hours(text: str) -> QuietHours | None:
    if not text.strip():
        return None
    try:
        begin, end = (time.fromisoformat(part.strip()) for part in text.split("-"))
    except ValueError:
        raise ValueError(f"{text!r} are no quiet hours: write e.g. 22:00-07:00 (UTC)") from None
    return QuietHours(begin, end)
