"""The command line shows and changes how venues are chosen."""

from __future__ import annotations

from uuid import uuid4

from tests.app.test_cli import Cli, cli

__all__ = ["cli"]


def test_the_configuration_is_shown_changed_and_kept_in_versions(cli: Cli) -> None:
    cli.json("setup")
    first = cli.json("routing", "show")
    assert (first["of"], first["version"], first["routing_strategy"]) == (
        "global",
        1,
        "FIRST_AVAILABLE",
    )
    changed = cli.json(
        "routing",
        "set",
        *("--strategy", "lowest_fees", "--priority", "lighter,hyperliquid"),
        *("--prefer", "XAU=OSTIUM", "--exclude", "BTC=LIGHTER", "--author", "olga"),
    )
    assert changed["routing_strategy"] == "LOWEST_FEES"
    assert changed["venue_priority"] == "LIGHTER, HYPERLIQUID"
    assert (changed["preferences"], changed["exclusions"]) == ("XAU: OSTIUM", "BTC: LIGHTER")
    allowed = cli.json("routing", "set", "--exclude", "BTC=")
    assert (allowed["preferences"], allowed["exclusions"]) == ("XAU: OSTIUM", "")
    versions = cli.json("routing", "versions")
    assert [(item["version"], item["author"]) for item in versions] == [
        (3, "command line"),
        (2, "olga"),
        (1, "setup"),
    ]


def test_an_unknown_strategy_is_refused_with_the_known_ones(cli: Cli) -> None:
    cli.json("setup")
    answer = cli("routing", "set", "--strategy", "cheapest")
    assert answer.returncode == 1
    assert "routing_strategy 'CHEAPEST'" in answer.stderr
    assert "LOWEST_FEES" in answer.stderr
    assert cli.json("routing", "show")["version"] == 1


def test_an_agent_may_have_a_configuration_of_its_own(cli: Cli) -> None:
    cli.json("setup")
    cli.json("agents", "create", "Alice", "--x", "macro_maven")
    assert cli.json("routing", "show", "--agent", "Alice")["of"] == "global"
    cli.json("routing", "set", "--agent", "Alice", "--strategy", "SPLIT")
    own = cli.json("routing", "show", "--agent", "Alice")
    assert (own["of"], own["routing_strategy"], own["version"]) == ("Alice", "SPLIT", 1)
    assert cli.json("routing", "show")["routing_strategy"] == "FIRST_AVAILABLE"
    assert "no agent 'Bob'" in cli("routing", "show", "--agent", "Bob").stderr


def test_a_decision_that_does_not_exist_cannot_be_replayed(cli: Cli) -> None:
    cli.json("setup")
    assert "no routing decision" in cli("route", "--replay", str(uuid4())).stderr
    assert "no decision's id" in cli("route", "--replay", "yesterday").stderr
    assert "either a token" in cli("route").stderr
    assert cli.json("routing", "history") == []
    assert cli.json("routing", "regret") == []


def test_a_token_or_venue_that_nobody_knows_is_refused_and_nothing_changes(
    cli: Cli,
) -> None:
    cli.json("setup")
    early = cli.json("routing", "set", "--exclude", "NOSUCH=LIGHTER")
    assert early["exclusions"] == "NOSUCH: LIGHTER", "no market is known yet that could say better"
    cli.json("sync-markets")
    token = cli("routing", "set", "--exclude", "ETHH=LIGHTER")
    assert token.returncode == 1
    assert "token_exclusions names 'ETHH'" in token.stderr
    assert "is it ETH" in token.stderr
    venue = cli("routing", "set", "--exclude", "ETH=LIGHTHOUSE")
    assert venue.returncode == 1
    assert "token_exclusions[ETH] names 'LIGHTHOUSE'" in venue.stderr
    assert cli.json("routing", "show")["version"] == 2
    assert cli.json("routing", "set", "--exclude", "NOSUCH=")["exclusions"] == ""
