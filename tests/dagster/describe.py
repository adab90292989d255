"""Describe all definitions as text. Run as a script, it writes the snapshot anew after a wanted change."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

SNAPSHOT = Path(__file__).with_name("definitions.txt")


def describe(definitions: dg.Definitions) -> str:
    repository = definitions.get_repository_def()
    lines = [
        *_section("Assets", _assets(repository)),
        *_section("Checks", _checks(repository)),
        *_section("Jobs", _jobs(repository)),
        *_section("Schedules", _schedules(repository)),
        *_section("Sensors", _sensors(repository)),
    ]
    return "\n".join(lines) + "\n"


def _section(title: str, lines: Iterator[str]) -> list[str]:
    return [title, "=" * len(title), *lines, ""]


def _assets(repository: dg.RepositoryDefinition) -> Iterator[str]:
    graph = repository.asset_graph
    for key in graph.toposorted_asset_keys:
        node = graph.get(key)
        parents = ", ".join(sorted(parent.to_user_string() for parent in node.parent_keys)) or "-"
        yield f"{node.group_name}/{key.to_user_string()} <- {parents}"
        yield f"    kinds {', '.join(sorted(node.kinds))}; owners {', '.join(node.owners)}; version {node.code_version}"
        policy = node.freshness_policy
        stale_after = policy.fail_window.to_timedelta() if policy else "-"
        yield f"    pools {', '.join(sorted(node.pools)) or '-'}; stale after {stale_after}"
        yield f"    {(node.description or 'NO DESCRIPTION').splitlines()[0]}"


def _checks(repository: dg.RepositoryDefinition) -> Iterator[str]:
    graph = repository.asset_graph
    for key in sorted(graph.asset_check_keys, key=lambda k: (k.asset_key.to_user_string(), k.name)):
        spec = graph.get_check_spec(key)
        yield f"{key.asset_key.to_user_string()}: {key.name}{' (blocking)' if spec.blocking else ''}"
        yield f"    {spec.description or 'NO DESCRIPTION'}"


def _jobs(repository: dg.RepositoryDefinition) -> Iterator[str]:
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if job.name.startswith("__"):
            continue
        yield f"{job.name} {dict(sorted(job.tags.items()))} by {job.executor_def.name}"
        selected = sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
        yield f"    assets {', '.join(selected) or '-'}; {len(job.asset_layer.asset_graph.asset_check_keys)} checks"


def _schedules(repository: dg.RepositoryDefinition) -> Iterator[str]:
    for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name):
        yield (
            f"{schedule.name}: {schedule.cron_schedule} {schedule.execution_timezone} -> {schedule.job_name} "
            f"{schedule.default_status.value}"
        )


def _sensors(repository: dg.RepositoryDefinition) -> Iterator[str]:
    for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name):
        targets = ", ".join(target.job_name for target in sensor.targets) or "-"
        yield (
            f"{sensor.name}: every {sensor.minimum_interval_seconds} s -> {targets} {sensor.default_status.value}"
        )
        yield f"    {(sensor.description or 'NO DESCRIPTION').splitlines()[0]}"


if __name__ == "__main__":
    from agentwhere_dagster.definitions import defs

    if "--print" in sys.argv:
        sys.stdout.write(describe(defs))
    else:
        SNAPSHOT.write_text(describe(defs))
