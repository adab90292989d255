"""A home: one `up` at a time, found by other terminals; the same environment for all of its processes."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from agentwhere_app import home as homes
from agentwhere_app.home import (
    REPOSITORY,
    Running,
    find_running,
    load_settings,
    only_one_up,
    prepare_dagster_home,
    record_running,
    remember_sim_port,
    service_environment,
)
from agentwhere_core.domain.errors import ConfigurationError

UP = Running(os.getpid(), "2026-03-01T12:00:00+00:00", "sim", 4001, 4002, 4003, 4004)
URL = "postgresql+psycopg://user:secret@127.0.0.1:5432/agentwhere"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that the environment names."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("AGENTWHERE_HOME", str(folder))
    return folder


def test_a_running_up_is_found_by_others_and_its_ports_are_used(home: Path) -> None:
    with only_one_up(home):
        record_running(home, UP)
        assert find_running(home) == UP
        settings = load_settings()
        assert (settings.sim_port, settings.dagster_port, settings.code_server_port) == (
            4001,
            4002,
            4003,
        )
    assert find_running(home) is None
    assert load_settings().dagster_port == 3000


def test_a_second_up_says_that_one_is_running_and_where(home: Path) -> None:
    with only_one_up(home):
        record_running(home, UP)
        with (
            pytest.raises(ConfigurationError, match=r"already runs in .* http://127.0.0.1:4002"),
            only_one_up(home),
        ):
            pass
        assert find_running(home) == UP


def test_what_a_killed_up_left_behind_misleads_nobody(home: Path) -> None:
    killed = multiprocessing.get_context("spawn").Process(target=_begin_and_die, args=(home,))
    killed.start()
    killed.join()
    assert (home / "run/up.json").exists()
    assert find_running(home) is None
    with only_one_up(home):
        pass


def _begin_and_die(home: Path) -> None:
    with only_one_up(home):
        record_running(home, UP)
        os._exit(9)


def test_the_simulator_keeps_its_port_from_start_to_start(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember_sim_port(home, 4444)
    assert load_settings().sim_port == 4444
    monkeypatch.setenv("AGENTWHERE_SIM_PORT", "5555")
    assert load_settings().sim_port == 5555


def test_a_setting_that_cannot_be_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTWHERE_SIM_PORT", "many")
    with pytest.raises(ConfigurationError, match="AGENTWHERE_SIM_PORT"):
        load_settings()


def test_services_share_one_environment_without_what_slows_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environment = service_environment(load_settings(), URL)
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["DATABASE_URL"] == URL
    assert environment["DAGSTER_POSTGRES_URL"].startswith("postgresql+psycopg2://")
    assert environment["AGENTWHERE_CODE_SERVER_PORT"] == "4266"
    assert environment["DAGSTER_HOME"] == str(home / "dagster")
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(REPOSITORY)


def test_dagster_is_configured_by_the_repository_and_follows_its_changes(home: Path) -> None:
    copied = prepare_dagster_home(home) / "dagster.yaml"
    wanted = (homes.REPOSITORY / "dagster.yaml").read_text()
    assert copied.read_text() == wanted
    copied.write_text("storage: {}\n")
    prepare_dagster_home(home)
    assert copied.read_text() == wanted
