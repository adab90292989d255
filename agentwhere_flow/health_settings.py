"""Limits of the health report as settings; what they mean is in ``docs/monitoring.md``."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from agentwhere_core.health.facts import HealthThresholds

_IN_ORDER = (
    ("market_data_max_age_h", "health_market_data_critical_h"),
    ("health_database_ms", "health_database_critical_ms"),
    ("health_monitor_silent_min", "health_monitor_silent_critical_min"),
    ("health_execution_critical_pct", "health_execution_pct"),
    ("health_errors", "health_errors_critical"),
)
"""Pairs of limits of which the first must not be above the second."""


class HealthSettings(BaseSettings):
    """Limits at which a component counts as degraded or critical; the unit is at the end of a name."""

    market_data_max_age_h: int = Field(default=26, ge=1)
    health_market_data_critical_h: int = Field(default=50, ge=1)
    health_database_ms: float = Field(default=50, gt=0)
    health_database_critical_ms: float = Field(default=1000, gt=0)
    health_routing_ms: float = Field(default=100, gt=0)
    health_routing_success_pct: float = Field(default=80, ge=0, le=100)
    health_monitor_s: float = Field(default=30, gt=0)
    health_monitor_silent_min: int = Field(default=12, ge=1)
    health_monitor_silent_critical_min: int = Field(default=30, ge=1)
    health_mark_age_min: int = Field(default=12, ge=1)
    health_execution_pct: float = Field(default=95, ge=0, le=100)
    health_execution_critical_pct: float = Field(default=50, ge=0, le=100)
    health_execution_sample: int = Field(default=10, ge=1)
    health_sending_min: int = Field(default=5, ge=1)
    health_post_age_h: int = Field(default=12, ge=1)
    health_errors: int = Field(default=5, ge=0)
    health_errors_critical: int = Field(default=50, ge=0)
    health_window_h: int = Field(default=24, ge=1)
    health_errors_window_min: int = Field(default=60, ge=1)
    health_daemon_silent_min: int = Field(default=15, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for low, high in _IN_ORDER:
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"AGENTWHERE_{low.upper()} is {getattr(self, low)} and must not be above "
                    f"AGENTWHERE_{high.upper()}, which is {getattr(self, high)}: change one of them"
                )
        return self

    @property
    def health(self) -> HealthThresholds:
        """The limits as the rules take them."""
        return HealthThresholds(
            market_data_warn=timedelta(hours=self.market_data_max_age_h),
            market_data_critical=timedelta(hours=self.health_market_data_critical_h),
            database_ms=self.health_database_ms,
            database_critical_ms=self.health_database_critical_ms,
            routing_ms=self.health_routing_ms,
            routing_success=self.health_routing_success_pct / 100,
            monitor_s=self.health_monitor_s,
            monitor_silent=timedelta(minutes=self.health_monitor_silent_min),
            monitor_silent_critical=timedelta(minutes=self.health_monitor_silent_critical_min),
            mark_age=timedelta(minutes=self.health_mark_age_min),
            execution_rate=self.health_execution_pct / 100,
            execution_rate_critical=self.health_execution_critical_pct / 100,
            execution_sample=self.health_execution_sample,
            stuck_sending=timedelta(minutes=self.health_sending_min),
            post_age=timedelta(hours=self.health_post_age_h),
            errors=self.health_errors,
            errors_critical=self.health_errors_critical,
            window=timedelta(hours=self.health_window_h),
            errors_window=timedelta(minutes=self.health_errors_window_min),
            daemon_silent=timedelta(minutes=self.health_daemon_silent_min),
        )
