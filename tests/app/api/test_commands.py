"""`keys` and `serve` on the command line: a key is shown once; without any key nobody else is let in."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentwhere_app.commands.serve import kept_at_home
from agentwhere_core.domain.enums import Scope
from agentwhere_flow.access import create_key, find_key, revoke_key, valid_keys
from agentwhere_flow.system import System
from tests.app.test_cli import Cli
from tests.flow.world import utc_now


def test_a_key_is_made_listed_and_revoked_by_the_command_line(
    database_url: str, tmp_path: Path
) -> None:
    cli = Cli(tmp_path / "home", database_url)
    made = cli.json("keys", "create", "grafana", "--scope", "operate", "--days", "30")
    assert made["scopes"] == ["operate", "read"]
    [listed] = cli.json("keys", "list")
    assert listed["valid"]
    assert made["key"].startswith(listed["begins with"])
    assert made["key"] not in str(listed)
    assert cli.json("keys", "revoke", "grafana") == {"revoked": "grafana"}
    assert cli("keys", "revoke", "grafana").returncode == 1


def test_without_any_key_the_world_is_not_let_in(
    empty: System, capsys: pytest.CaptureFixture[str]
) -> None:
    open_to_all = empty.settings.model_copy(update={"api_host": "0.0.0.0"})
    assert kept_at_home(open_to_all).api_host == "127.0.0.1"
    assert "agentwhere keys create" in capsys.readouterr().err
    made = create_key(empty, utc_now(), "ops", [Scope.READ])
    assert find_key(valid_keys(empty, utc_now()), made.token, utc_now()) is not None
    assert kept_at_home(open_to_all).api_host == "0.0.0.0"
    revoke_key(empty, utc_now(), "ops")
    assert kept_at_home(open_to_all).api_host == "127.0.0.1"
