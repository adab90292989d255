"""``agents create|list`` and ``deploy``: who follows whom, and with whose money."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from agentwhere_app.output import Json, command, print_json, print_table
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError

agents = typer.Typer()

_NO_WALLET = "0x" + "0" * 40


@agents.command("create")
@command
def create(
    *,
    name: Annotated[str, typer.Argument(help="Unique name.")],
    x: Annotated[list[str] | None, typer.Option(help="X account to follow; repeat it.")] = None,
    feed: Annotated[list[str] | None, typer.Option(help="RSS or Atom URL; repeat it.")] = None,
    venue: Annotated[Venue, typer.Option(help="MULTI lets the router choose.")] = Venue.MULTI,
    wallet: Annotated[str, typer.Option(help="The creator's address.")] = _NO_WALLET,
    leverage: Annotated[str, typer.Option(help="Leverage of its signals.")] = "1",
    stop_loss: Annotated[str | None, typer.Option(help="Percent from entry.")] = None,
    take_profit: Annotated[str | None, typer.Option(help="Percent from entry.")] = None,
    trailing: Annotated[
        str | None, typer.Option(help="Trailing stop ACTIVATION:DISTANCE, in percent.")
    ] = None,
    max_holding_h: Annotated[str | None, typer.Option(help="Longest holding time, hours.")] = None,
    as_json: Json = False,
) -> None:
    """Create an active agent that follows X accounts and research feeds."""
    from agentwhere_app.session import open_system
    from agentwhere_core.domain.enums import AgentStatus
    from agentwhere_core.domain.idea import Agent
    from agentwhere_core.domain.ids import new_id
    from agentwhere_flow.registry import create_agent

    activation, distance = trailing_stop(trailing)
    agent = Agent(
        id=new_id(),
        name=name,
        creator_wallet=wallet,
        venue=venue,
        status=AgentStatus.ACTIVE,
        leverage=number("--leverage", leverage) or Decimal(1),
        stop_loss_pct=number("--stop-loss", stop_loss),
        take_profit_pct=number("--take-profit", take_profit),
        trailing_activation_pct=activation,
        trailing_distance_pct=distance,
        max_holding_h=number("--max-holding-h", max_holding_h),
    )
    with open_system() as system:
        create_agent(system, system.clock(), agent, tuple(x or ()), tuple(feed or ()))
    if as_json:
        print_json({"id": agent.id, "name": agent.name})
    else:
        print(
            f"created {agent.name}; run it with `agentwhere deploy {agent.name!r} NAME --capital USD`"
        )


@agents.command("list")
@command
def list_all(as_json: Json = False) -> None:
    """List agents with their sources and deployments."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.registry import agents_and_deployments

    with open_system() as system:
        found = agents_and_deployments(system)
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "agent": agent["name"],
            "status": agent["status"],
            "venue": agent["venue"],
            "follows": ", ".join([*(f"@{h}" for h in agent["x_accounts"]), *agent["feeds"]]),
            "deployments": ", ".join(
                f"{d['name']} (${d['capital_usd']:,.0f}, {d['status']})"
                for d in agent["deployments"]
            ),
        }
        for agent in found
    ]
    print_table("Agents", rows, empty="No agent yet: `agentwhere agents create NAME --x HANDLE`.")


@command
def deploy(
    *,
    agent: Annotated[str, typer.Argument(help="Name of the agent.")],
    name: Annotated[str, typer.Argument(help="Name of the deployment.")],
    capital: Annotated[str, typer.Option(help="USD that the deployment may use.")],
    account: Annotated[
        list[str] | None,
        typer.Option(
            help="VENUE:ADDRESS:SECRET, the secret being the signing key's name; repeat it."
        ),
    ] = None,
    wallet: Annotated[str, typer.Option(help="The subscriber's address.")] = _NO_WALLET,
    max_leverage: Annotated[str | None, typer.Option(help="Policy: cap on leverage.")] = None,
    max_fund_percentage: Annotated[
        str | None, typer.Option(help="Policy: cap on the share of funds per trade, percent.")
    ] = None,
    max_open_positions: Annotated[int | None, typer.Option(help="Policy: cap.")] = None,
    min_confidence: Annotated[str | None, typer.Option(help="Policy: 0 to 1.")] = None,
    block: Annotated[list[str] | None, typer.Option(help="Policy: token not to trade.")] = None,
    as_json: Json = False,
) -> None:
    """Run an agent on your own venue accounts, with your own caps."""
    from agentwhere_app.session import open_system
    from agentwhere_core.domain.trade import Policy
    from agentwhere_flow.registry import NewAccount, create_deployment

    policy = Policy(
        max_leverage=number("--max-leverage", max_leverage),
        max_fund_percentage=number("--max-fund-percentage", max_fund_percentage),
        max_open_positions=max_open_positions,
        min_confidence=number("--min-confidence", min_confidence),
        blocked_tokens=frozenset(token.upper() for token in block or ()),
    )
    capital_usd = number("--capital", capital)
    if capital_usd is None or capital_usd <= 0:
        raise ConfigurationError("--capital must be more than zero")
    accounts = [NewAccount(*parse_account(text)) for text in account or ()]
    with open_system() as system:
        created = create_deployment(
            system,
            system.clock(),
            agent_name=agent,
            name=name,
            subscriber_wallet=wallet,
            capital_usd=capital_usd,
            policy=policy,
            accounts=accounts,
        )
    if as_json:
        print_json({"id": created.id, "name": created.name, "accounts": len(created.accounts)})
    else:
        print(f"deployed {agent} as {created.name} on {len(created.accounts)} accounts")


def number(option: str, text: str | None) -> Decimal | None:
    """Read what an option holds as a number of at least zero; None where it was not given."""
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ConfigurationError(f"{option} must be a number, not {text!r}") from None
    if not value.is_finite() or value < 0:
        raise ConfigurationError(f"{option} must be zero or more, not {text!r}")
    return value


def trailing_stop(text: str | None) -> tuple[Decimal | None, Decimal | None]:
    """Read ACTIVATION:DISTANCE; None and None where it was not given."""
    if text is None:
        return None, None
    activation, separator, distance = text.partition(":")
    if not separator:
        raise ConfigurationError(
            f"--trailing must be ACTIVATION:DISTANCE, e.g. 3:1.5, not {text!r}"
        )
    return number("--trailing", activation), number("--trailing", distance)


def parse_account(text: str) -> tuple[Venue, str, str]:
    """Return venue, address and key name of ``VENUE:ADDRESS:SECRET``."""
    venue, _, rest = text.partition(":")
    address, _, secret = rest.rpartition(":")
    if venue.upper() not in list(Venue) or not address or not secret:
        raise ConfigurationError(
            "--account must be VENUE:ADDRESS:SECRET, e.g. HYPERLIQUID:0xabc…:alice-key or "
            f"LIGHTER:123456:4:alice-lighter (account index : API key index), not {text!r}"
        )
    return Venue(venue.upper()), address, secret
