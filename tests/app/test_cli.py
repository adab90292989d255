"""The command line: quick to help, clear when it fails, JSON for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = (
    "dagster",
    "sqlalchemy",
    "psycopg",
    "pandas",
    "web3",
    "openai",
    "httpx",
    "pydantic_settings",
)
KEY = "0x" + "11" * 32
ADDRESS = "0x" + "ab" * 20


class Cli:
    """The command in a home of its own, on a database of its own."""

    def __init__(self, home: Path, database_url: str | None) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AGENTWHERE_")}
        self.environment = {**inherited, "AGENTWHERE_HOME": str(home)}
        if database_url is not None:
            self.environment["DATABASE_URL"] = database_url

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "agentwhere_app", *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        answer = self(*arguments, "--json")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return json.loads(answer.stdout)


@pytest.fixture
def cli(tmp_path: Path, database_url: str) -> Cli:
    """The command line of a home whose database has tables."""
    return Cli(tmp_path / "home", database_url)


def test_help_loads_nothing_heavy() -> None:
    program = f"""
import sys
from agentwhere_app.cli import app
try:
    app(["--help"])
except SystemExit:
    pass
print("LOADED", *sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip().endswith("LOADED")


COMMANDS = ("up", "setup", "sync-markets", "cycle", "agents", "deploy", "signals", "route")
COMMANDS += ("positions", "status", "db", "sim", "secrets", "kill-switch", "policy", "routing")
COMMANDS += ("keys", "serve", "deployments")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_design_is_there_and_explains_itself(command: str) -> None:
    from typer.testing import CliRunner

    from agentwhere_app.cli import app

    answer = CliRunner().invoke(app, [command, "--help"])
    assert answer.exit_code == 0
    assert "Usage" in answer.output


def test_set_up_can_be_repeated_and_says_what_it_did(cli: Cli) -> None:
    first, second = cli.json("setup"), cli.json("setup")
    assert first["ok"]
    assert second["ok"]
    assert any("wrote the default" in line for line in first["lines"])
    assert any("kept" in line for line in second["lines"])


def test_an_error_is_one_line_on_standard_error(cli: Cli) -> None:
    answer = cli("deploy", "Nobody", "mine", "--capital", "100")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.splitlines() == [
        "agentwhere: there is no agent 'Nobody': see `agentwhere agents list`"
    ]


def test_an_error_is_a_json_object_for_programs(cli: Cli) -> None:
    answer = cli("sync-markets", "MARS", "--json")
    assert answer.returncode == 1
    error = json.loads(answer.stdout)["error"]
    assert error["type"] == "ConfigurationError"
    assert "HYPERLIQUID" in error["message"]


def test_a_database_that_is_not_set_up_is_said_with_the_remedy(cli: Cli, database_url: str) -> None:
    import psycopg

    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP SCHEMA agentwhere CASCADE")
    answer = cli("status")
    assert answer.returncode == 1
    assert "run `agentwhere setup`" in answer.stderr


def test_a_database_that_cannot_be_reached_is_said_without_a_traceback(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "home", "postgresql://nobody:nothing@127.0.0.1:1/none")
    answer = cli("status")
    assert answer.returncode == 1
    assert "DATABASE_URL" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_agent_is_created_deployed_and_listed_without_its_key(cli: Cli, tmp_path: Path) -> None:
    cli.json("setup")
    stored = cli("secrets", "put", "alice-key", stdin=KEY + "\n")
    assert stored.returncode == 0
    assert (tmp_path / "home/secrets/alice-key").stat().st_mode & 0o777 == 0o600
    cli.json("agents", "create", "Alice", "--x", "macro_maven", "--stop-loss", "5")
    account = f"HYPERLIQUID:{ADDRESS}:alice-key"
    cli.json("deploy", "Alice", "mine", "--capital", "500", "--account", account)
    (agent,) = cli.json("agents", "list")
    assert agent["x_accounts"] == ["macro_maven"]
    (deployment,) = agent["deployments"]
    assert deployment["accounts"] == [{"venue": "HYPERLIQUID", "address": ADDRESS}]
    assert KEY not in json.dumps(agent)
    for word, status in (("pause", "PAUSED"), ("resume", "ACTIVE")):
        assert cli.json("deployments", word, "Alice/mine")["status"] == status
        assert cli.json("agents", "list")[0]["deployments"][0]["status"] == status


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("agents", "create", "A"), "without sources"),
        (("agents", "create", "A", "--x", "no spaces allowed"), "no X account"),
        (("agents", "create", "A", "--feed", "ftp://x"), "no feed"),
        (("agents", "create", "A", "--x", "a", "--leverage", "lots"), "must be a number"),
        (("agents", "create", "A", "--x", "a", "--trailing", "3"), "ACTIVATION:DISTANCE"),
        (("deploy", "A", "m", "--capital", "0"), "more than zero"),
        (("deploy", "A", "m", "--capital", "1", "--account", "MARS"), "VENUE:ADDRESS:SECRET"),
        (("secrets", "put", "Bad Name"), "no name for a secret"),
        (("secrets", "put", "empty"), "would be empty"),
    ],
)
def test_bad_input_is_answered_with_what_is_wrong(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    """Nothing is asked of the database for it: a wrong address of one would be the answer otherwise."""
    from typer.testing import CliRunner

    from agentwhere_app.cli import app

    environment = {
        "AGENTWHERE_HOME": str(tmp_path / "home"),
        "DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/none",
    }
    stdin = "x" if "Bad Name" in arguments else ""
    answer = CliRunner().invoke(app, list(arguments), env=environment, input=stdin)
    assert answer.exit_code == 1
    assert told in answer.output


def test_lists_of_nothing_are_empty_json(cli: Cli) -> None:
    assert cli.json("signals", "list") == []
    assert cli.json("positions") == []
    status = cli.json("status")
    assert status["up"] is None
    assert status["rows"]["orders"] == 0
    assert status["alerts"] == []


def test_the_url_of_a_database_server_is_the_one_that_was_given(
    cli: Cli, database_url: str
) -> None:
    assert cli.json("db", "url") == {"url": database_url, "embedded": False}


def test_a_kill_switch_is_engaged_listed_and_released(cli: Cli) -> None:
    cli.json("setup")
    engaged = cli.json("kill-switch", "engage", "--venue", "LIGHTER", "--reason", "odd fills")
    assert engaged["details"]["engaged"]
    [listed] = cli.json("kill-switch", "list")
    assert (listed["scope"], listed["target"], listed["reason"]) == (
        "VENUE",
        "LIGHTER",
        "odd fills",
    )
    assert listed["author"]
    released = cli("kill-switch", "release", "--venue", "LIGHTER", "--reason", "explained")
    assert released.returncode == 0
    assert released.stdout.strip() == "the kill switch for venue LIGHTER released"
    assert cli.json("kill-switch", "list") == []
    assert len(cli.json("kill-switch", "list", "--all")) == 1


def test_a_kill_switch_reaches_one_thing_or_everything(cli: Cli) -> None:
    cli.json("setup")
    answer = cli(
        "kill-switch", "engage", "--venue", "LIGHTER", "--agent", "a", "--reason", "unsure"
    )
    assert answer.returncode == 1
    assert "name one of --agent" in answer.stderr


def test_a_policy_is_set_rule_by_rule_and_shown(cli: Cli, tmp_path: Path) -> None:
    cli("setup")
    assert cli("agents", "create", "Macro", "--x", "macro_maven").returncode == 0
    assert cli("deploy", "Macro", "mine", "--capital", "1000").returncode == 0

    changed = cli.json("policy", "set", "mine", "max_leverage=3", "blocked_tokens=DOGE,SHIB")
    assert changed["version"] == 2
    cli.json("policy", "set", "Macro/mine", "cooldown_h=12", "max_leverage=")
    shown = cli.json("policy", "show", "mine")
    rules = {
        name: value for name, value in shown["policy"].items() if value not in (None, [], False)
    }
    assert rules == {
        "blocked_tokens": ["DOGE", "SHIB"],
        "cooldown_h": "12",
        "style_multiplier": "1",
    }
    assert cli.json("policy", "set", "mine", "cooldown_h=12")["version"] == shown["version"]

    for rule, complaint in (
        ("leverage=3", "no field 'leverage'"),
        ("max_leverage", "RULE=VALUE"),
        ("allowed_venues=BINANCE", "not 'BINANCE'"),
    ):
        refused = cli("policy", "set", "mine", rule)
        assert refused.returncode == 1
        assert complaint in refused.stderr
    assert cli.json("policy", "show", "mine") == shown


def test_an_agents_life_is_changed_by_commands(cli: Cli) -> None:
    cli("agents", "create", "Desk", "--x", "perp_pete", "--leverage", "2")
    assert (
        cli.json("agents", "follow", "Desk", "--feed", "https://example.com/rss")["attached"] == 1
    )
    assert (
        cli.json("agents", "edit", "Desk", "--leverage", "4", "--stop-loss", "3")["name"] == "Desk"
    )
    assert cli.json("agents", "pause", "Desk")["status"] == "PAUSED"
    (agent,) = cli.json("agents", "list")
    assert (agent["status"], agent["leverage"], agent["stop_loss_pct"]) == ("PAUSED", "4", "3")
    assert {row["source"] for row in cli.json("sources", "list")} == {
        "perp_pete",
        "https://example.com/rss",
    }
    refused = cli(
        "agents", "unfollow", "Desk", "--x", "perp_pete", "--feed", "https://example.com/rss"
    )
    assert refused.returncode == 1
    assert "without a source" in refused.stderr
    unknown = cli("signals", "show", "1234")
    assert "no signal's id ends so" in unknown.stderr
