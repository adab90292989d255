"""How old each group of assets may become, applied to all of them at once."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

_HALF_HOUR = timedelta(minutes=30)

POLICIES = {
    "markets": dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=26), warn_window=timedelta(hours=25)
    ),
    "agent_what": dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=7), warn_window=timedelta(hours=6, minutes=30)
    ),
    "agent_how": dg.FreshnessPolicy.time_window(
        fail_window=_HALF_HOUR, warn_window=timedelta(minutes=15)
    ),
    "agent_where": dg.FreshnessPolicy.time_window(
        fail_window=_HALF_HOUR, warn_window=timedelta(minutes=15)
    ),
    "positions": dg.FreshnessPolicy.time_window(
        fail_window=_HALF_HOUR, warn_window=timedelta(minutes=15)
    ),
    "performance": dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=26), warn_window=timedelta(hours=25)
    ),
    "monitoring": dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=40), warn_window=timedelta(minutes=25)
    ),
    "arena": dg.FreshnessPolicy.time_window(
        fail_window=_HALF_HOUR, warn_window=timedelta(minutes=15)
    ),
}


def with_freshness(assets: list[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Return the assets with the freshness policy of their group."""
    return [
        asset.map_asset_specs(
            lambda spec: dg.apply_freshness_policy(spec, POLICIES[spec.group_name or ""])
        )
        for asset in assets
    ]
