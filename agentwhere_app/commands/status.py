"""``status``: what runs, how it feels, what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentwhere_app.output import Json, command, print_json, print_table

if TYPE_CHECKING:
    from agentwhere_app.home import Running
    from agentwhere_app.probes import DagsterState


@command
def status(as_json: Json = False) -> None:
    """Show whether `up` runs, the newest health report, the last run of each step, open alerts."""
    from agentwhere_app.home import find_running, load_settings
    from agentwhere_app.probes import dagster_state
    from agentwhere_app.session import open_system
    from agentwhere_flow.views import system_status

    running = find_running(load_settings().home)
    dagster = dagster_state(running.dagster_port) if running else None
    with open_system() as system:
        state = system_status(system)
    if as_json:
        print_json({"up": _up_as_dict(running, dagster), **state})
        return
    _print_status(running, dagster, state)


def _up_as_dict(running: Running | None, dagster: DagsterState | None) -> dict[str, Any] | None:
    if running is None:
        return None
    return {
        "pid": running.pid,
        "started_at": running.started_at,
        "profile": running.profile,
        "dagster_url": running.dagster_url,
        "sim_url": running.sim_url,
        "dagster_ready": dagster is not None and dagster.is_ready,
        "schedules_running": dagster.schedules_running if dagster else 0,
        "sensors_running": dagster.sensors_running if dagster else 0,
    }


def _print_status(
    running: Running | None, dagster: DagsterState | None, state: dict[str, Any]
) -> None:
    from agentwhere_app.output import wide_console

    console = wide_console()
    if running is None:
        console.print("up: not running (start it with `agentwhere up`)", highlight=False)
    else:
        feels = "ready" if dagster is not None and dagster.is_ready else "not ready"
        console.print(f"up: {running.dagster_url} ({feels}, pid {running.pid})", highlight=False)
    health = state["health"]
    if health is None:
        console.print("health: no report yet (run `agentwhere cycle`)", highlight=False)
    else:
        console.print(
            f"health: {health['status']} at {health['at']:%Y-%m-%d %H:%M} UTC", highlight=False
        )
        for advice in health["report"].get("recommendations", []):
            console.print(f"  {advice}", highlight=False, markup=False)
    rows = ", ".join(f"{count} {name}" for name, count in state["rows"].items())
    console.print(f"rows: {rows}", highlight=False)
    llm = state["llm"]
    budget = llm["daily_budget_usd"]
    console.print(
        f"model today: {llm['calls_today']} calls, {llm['from_cache_today']} answers from the cache, "
        f"{llm['prompt_tokens_today']} + {llm['completion_tokens_today']} tokens, {llm['cost_today_usd']} USD"
        + ("" if budget is None else f" of {budget}"),
        highlight=False,
    )
    markets = [{"venue": venue.value, **facts} for venue, facts in state["markets"].items()]
    print_table("Markets", markets, empty="No market was synced yet.")
    steps = [
        {
            "step": step["step"],
            "at": f"{step['at']:%Y-%m-%d %H:%M:%S}",
            "ok": "yes" if step["ok"] else "no",
            "in": step["rows_in"],
            "out": step["rows_out"],
            "seconds": f"{step['seconds']:.2f}",
            "error": step["error"],
        }
        for step in state["steps"]
    ]
    print_table("Last run of each step", steps, empty="No step has run yet.")
    print_table("Open alerts", state["alerts"], empty="No open alerts.")
    if state["kill_switches"]:
        print_table("Kill switches", state["kill_switches"], empty="")
