"""The code location: everything that Dagster loads, merged."""

from __future__ import annotations

import dagster as dg

from agentwhere_dagster import alerts, sensors
from agentwhere_dagster.assets import (
    agent_how,
    agent_what,
    agent_where,
    arena,
    markets,
    monitoring,
    performance,
    positions,
)
from agentwhere_dagster.checks import checks
from agentwhere_dagster.code_server import keep_looking_after_runs
from agentwhere_dagster.freshness import with_freshness
from agentwhere_dagster.jobs import jobs
from agentwhere_dagster.resources import AgentWhere
from agentwhere_dagster.scale import executor
from agentwhere_dagster.schedules import schedules

keep_looking_after_runs()

SUBJECTS = (markets, agent_what, agent_how, agent_where, positions, performance, monitoring, arena)

defs = dg.Definitions(
    assets=with_freshness([asset for subject in SUBJECTS for asset in subject.assets]),
    asset_checks=checks,
    jobs=jobs,
    schedules=schedules,
    sensors=[*sensors.sensors, *alerts.sensors],
    resources={"agent_where": AgentWhere()},
    executor=executor(),
)
