"""What the language model costs is told alike by the asset's metadata and by ``agentwhere status``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from agentwhere_dagster.assets.agent_what import USAGE
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.dagster.daemon import Daemon
from tests.flow.world import utc_now

TODAY = ("calls_today", "from_cache_today", "prompt_tokens_today", "completion_tokens_today")
MONEY = ("cost_today_usd", "daily_budget_usd")


def status(*options: str) -> str:
    command = [sys.executable, "-m", "agentwhere_app", "status", *options]
    return subprocess.run(
        command, env=os.environ, capture_output=True, text=True, check=True
    ).stdout


def test_cost_cache_and_budget_are_the_same_wherever_one_looks(
    system: System, sim: Simulator, instance: dg.DagsterInstance
) -> None:
    for venue in system.settings.venues:
        sync_markets(system, utc_now(), venue=venue)
    text = "Long $LINK from here. Unlocks for the quarter are done."
    for account in ("onchain_olga", "perp_pete"):
        sim.control("posts", account=account, text=text)
    result = Daemon(instance).run("signal_generation")
    assert result.success
    (made,) = result.asset_materializations_for_node("classified_posts")
    details: dict[str, Any] = made.metadata["details"].value
    assert details["calls"] == details["calls_today"] > 15
    assert details["from_cache"] == details["from_cache_today"] == 1
    assert Decimal(details["cost_usd"]) == Decimal(details["cost_today_usd"]) > 0
    drawn = {name: made.metadata[name].value for name in USAGE}
    assert drawn == {name: pytest.approx(float(details[name])) for name in USAGE}

    told = json.loads(status("--json"))["llm"]
    assert {name: told[name] for name in (*TODAY, *MONEY)} == {
        name: details[name] for name in (*TODAY, *MONEY)
    }
    said = (
        "model today: {calls_today} calls, {from_cache_today} answers from the cache, {prompt_tokens_today} + "
        "{completion_tokens_today} tokens, {cost_today_usd} USD of {daily_budget_usd}"
    )
    assert said.format(**details) in status()
