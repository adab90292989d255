"""``policy show|set|explain``: what a subscriber allows, and what that makes of a signal."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from agentwhere_app.output import Json, command, print_json, print_table
from agentwhere_core.domain.errors import ConfigurationError

policy = typer.Typer()

Deployment = Annotated[str, typer.Argument(help="NAME, AGENT/NAME or id.")]


@policy.command("show")
@command
def show(deployment: Deployment, as_json: Json = False) -> None:
    """Show a deployment's policy; a rule without a value is off."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.registry import policy_of

    with open_system() as system:
        _print(*policy_of(system, deployment), as_json=as_json)


@policy.command("set")
@command
def set_rules(
    deployment: Deployment,
    rules: Annotated[
        list[str],
        typer.Argument(
            metavar="RULE=VALUE...",
            help="As in max_leverage=3 blocked_tokens=DOGE,SHIB style_multiplier=careful; RULE= switches it off.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Change rules of a deployment's policy; the others stay. The next signal meets the new policy."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.registry import set_policy

    changes = dict(_rule(text) for text in rules)
    with open_system() as system:
        _print(*set_policy(system, system.clock(), deployment, changes), as_json=as_json)


@policy.command("explain")
@command
def explain(
    signal: Annotated[str, typer.Argument(help="The signal's id, from `signals list --json`.")],
    deployment: Deployment,
    as_json: Json = False,
) -> None:
    """Show rule by rule what a deployment's policy would make of a signal now. Nothing is recorded."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.policy import explain_policy

    with open_system() as system:
        decision, notes = explain_policy(system, system.clock(), signal, deployment)
    steps = [
        {
            "rule": note.rule.replace("_", " "),
            "funds %": note.after.fund_percentage,
            "leverage": note.after.leverage,
            "says": note.reason.value if note.reason else None,
        }
        for note in notes
    ]
    verdict = {
        "outcome": decision.outcome.value,
        "fund_percentage": decision.fund_percentage,
        "leverage": decision.leverage,
        "reasons": [reason.value for reason in decision.reasons],
    }
    if as_json:
        print_json({**verdict, "rules": steps})
        return
    print_table(
        f"{decision.outcome.value}: {decision.fund_percentage} % at {decision.leverage}×",
        steps,
        empty="No rule.",
    )


def _rule(text: str) -> tuple[str, Any]:
    """Read ``RULE=VALUE``: a list where the value has commas or the rule is one of names, nothing for ``RULE=``."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError(
            f"{text!r} is no rule: write RULE=VALUE, or RULE= to switch it off"
        )
    name = name.strip()
    if not value:
        return name, None
    if name.startswith(("allowed_", "blocked_")):
        return name, [word.strip() for word in value.split(",") if word.strip()]
    if name == "max_open_positions" and value.isdigit():
        return name, int(value)
    return name, value


def _print(deployment: Any, version: int, *, as_json: bool) -> None:
    from agentwhere_core.how.schema import policy_to_json

    rules = policy_to_json(deployment.policy)
    if as_json:
        print_json({"deployment": deployment.name, "version": version, "policy": rules})
        return
    rows = [
        {"rule": name, "value": value if isinstance(value, str) else json.dumps(value)}
        for name, value in rules.items()
        if value not in (None, [])
    ]
    print_table(f"Policy of {deployment.name}, version {version}", rows, empty="No rule.")
