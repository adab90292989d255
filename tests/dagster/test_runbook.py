"""The runbook has an entry for everything that can be reported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentwhere_core.domain.enums import ExitReason, OrderState
from agentwhere_core.domain.events import (
    EVENT_TEXTS,
    INCIDENT_TEXTS,
    Incident,
    PositionEvent,
)
from agentwhere_dagster.checks import described
from agentwhere_dagster.runbook import ALERTS, CHECK_REMEDIES, EXITS, ORDER_STATES, TABLES, render

REPOSITORY = Path(__file__).parents[2]
DESCRIBED_WITH_THEIR_ENUM = "Incident"
PAGE = REPOSITORY / "docs" / "runbook.md"


def test_its_tables_are_the_generated_ones() -> None:
    text = PAGE.read_text()
    assert render(text) == text, "run `python -m agentwhere_dagster.runbook docs/runbook.md`"
    for name in TABLES:
        assert f"<!-- table {name} -->" in text


def test_every_state_exit_and_check_has_its_entry() -> None:
    assert set(ORDER_STATES) == set(OrderState)
    assert set(EXITS) == set(ExitReason)
    assert set(CHECK_REMEDIES) == {name for _, name, _ in described()}


def test_every_event_and_incident_has_its_entry() -> None:
    assert set(EVENT_TEXTS) == set(PositionEvent)
    assert set(INCIDENT_TEXTS) == set(Incident)
    for reason in ExitReason:
        assert PositionEvent.closed_by(reason) in EVENT_TEXTS


def test_every_kind_of_alert_has_its_entry() -> None:
    raised = (set(kinds_raised()) - {DESCRIBED_WITH_THEIR_ENUM}) | set(Incident)
    assert {"check", "stale", "run", "classifier", "daemon"} <= raised
    assert raised <= set(ALERTS), "describe the new kind of alert in agentwhere_dagster/runbook.py"


@pytest.mark.parametrize("command", ["kill-switch engage", "kill-switch release", "route", "cycle"])
def test_its_commands_exist(command: str) -> None:
    from typer.testing import CliRunner

    from agentwhere_app.cli import app

    assert f"agentwhere {command}" in PAGE.read_text()
    assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0


def kinds_raised() -> Iterator[str]:
    """Give the kinds of all incidents that any module raises, as they stand in its source."""
    for package in ("agentwhere_flow", "agentwhere_dagster"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            tree = ast.parse(path.read_text())
            constants = dict(named_texts(tree))
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "raise_alert":
                    given = [word.value for word in call.keywords if word.arg == "incident"]
                    yield kind_of(given[0] if given else call.args[2], constants, tree)


def kind_of(value: ast.expr, constants: dict[str, str], tree: ast.Module) -> str:
    """Give what an incident's name begins with, from the expression that makes it."""
    match value:
        case ast.Constant(value=str(text)):
            return text.partition(":")[0]
        case ast.JoinedStr(values=[first, *_]):
            return kind_of(first, constants, tree)
        case ast.FormattedValue(value=inner):
            return kind_of(inner, constants, tree)
        case ast.Name(id=name) if name in constants:
            return constants[name].partition(":")[0]
        case ast.Name(id=name):
            return kind_of(assigned(name, tree), constants, tree)
        case ast.IfExp(body=inner):
            return kind_of(inner, constants, tree)
        case ast.Call(func=ast.Attribute(attr="of")):
            return DESCRIBED_WITH_THEIR_ENUM
        case ast.Call(func=ast.Name(id=name)):
            return kind_of(returned(home_of(name, tree)), constants, tree)
    raise AssertionError(f"which kind of alert is {ast.unparse(value)}? teach this test to read it")


def named_texts(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                yield name, text


def assigned(name: str, tree: ast.Module) -> ast.expr:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return value
    raise AssertionError(f"{name} is assigned nowhere")


def home_of(function: str, tree: ast.Module) -> ast.FunctionDef:
    """Give a function of this module, or of the one that it is imported from."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=found) if found == function:
                return node
            case ast.ImportFrom(module=str(module), names=names):
                if function in {alias.name for alias in names}:
                    path = REPOSITORY / f"{module.replace('.', '/')}.py"
                    return home_of(function, ast.parse(path.read_text()))
    raise AssertionError(f"{function} is defined nowhere")


def returned(function: ast.FunctionDef) -> ast.expr:
    match function.body:
        case [*_, ast.Return(value=ast.expr() as value)]:
            return value
    raise AssertionError(f"{function.name} returns nothing that can be read")
