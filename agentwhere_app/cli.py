"""The ``agentwhere`` command."""

from __future__ import annotations

import typer

from agentwhere_app.commands import (
    agents,
    alerts,
    arena,
    cycle,
    deployments,
    keys,
    kill_switch,
    policy,
    routing,
    serve,
    setup,
    sources,
    status,
    trading,
    up,
)

app = typer.Typer(
    name="agentwhere",
    help="Turn published trading ideas into trades: classify, size, route, execute, audit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(up.up)
app.command()(setup.setup)
app.command("sync-markets")(setup.sync_markets)
app.command()(cycle.cycle)
app.command()(trading.route)
app.command()(trading.positions)
app.command()(agents.deploy)
app.command()(status.status)
app.command()(serve.serve)
app.command()(up.sim)
for name, group, about in (
    ("agents", agents.agents, "Agents: what they read, and how they trade."),
    (
        "sources",
        sources.sources,
        "X accounts and feeds: how reading goes, and what they are worth.",
    ),
    ("deployments", deployments.deployments, "Deployments: whether they open anything."),
    ("policy", policy.policy, "A deployment's rules: caps, lists, limits."),
    ("models", arena.models, "Models of the arena: who trades, how often, for how much."),
    ("arena", arena.arena, "The arena: results, replays and backtests."),
    ("signals", trading.signals, "Signals: trade ideas with a size."),
    ("routing", routing.routing, "Routing: how venues are chosen, and what came of it."),
    ("kill-switch", kill_switch.kill_switch, "Stop new entries, and close what is open."),
    ("alerts", alerts.alerts, "Alerts: what is wrong, and who was told."),
    ("db", setup.db, "The database."),
    ("keys", keys.keys, "Keys of the HTTP API."),
    ("secrets", setup.secrets, "Signing keys and tokens, in files that only you can read."),
):
    app.add_typer(group, name=name, help=about, no_args_is_help=True)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
