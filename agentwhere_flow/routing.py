"""Agent Where, first half: choose a venue for every signal that passed a deployment's policy."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import HealthStatus, RoutingStrategy, Side, Venue
from agentwhere_core.domain.errors import RemoteError
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.trade import (
    Deployment,
    FundsAt,
    RoutingConfig,
    RoutingDecision,
    VenueAccount,
)
from agentwhere_core.venues.symbols import canonical
from agentwhere_core.where.availability import RouteRequest, VenueView
from agentwhere_core.where.router import route
from agentwhere_flow.report import Tally, step
from agentwhere_store import agents as agent_store
from agentwhere_store import markets as market_store
from agentwhere_store import open_orders, operations, positions
from agentwhere_store import routing as store
from agentwhere_store.routing import KillSwitches, RoutedSignal, RoutingWork

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_core.venues.protocol import Execution
    from agentwhere_flow.system import System

EXAMPLE_MARGIN_USD = Decimal(100)

_ROUTABLE = (Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER)


@dataclass(frozen=True, slots=True)
class _World:
    """What all decisions of one pass look at, read once."""

    now: datetime
    configs: Mapping[UUID | None, RoutingConfig]
    markets: Mapping[tuple[Venue, str], Market]
    switches: KillSwitches
    unhealthy: frozenset[Venue]
    enabled: Sequence[Venue]
    executing: frozenset[Venue]
    max_age: timedelta

    def config_for(self, agent_id: UUID | None) -> RoutingConfig:
        """Return the agent's own configuration, or the global one."""
        return self.configs.get(agent_id) or self.configs[None]

    def views(
        self,
        token: str,
        funds: Mapping[Venue, FundsAt],
        *,
        agent_id: UUID | None = None,
        deployment_id: UUID | None = None,
    ) -> dict[Venue, VenueView]:
        """Return what is known of each venue for one trade."""
        stopped_everywhere = self.switches.is_global or (
            agent_id in self.switches.agents or deployment_id in self.switches.deployments
        )
        return {
            venue: VenueView(
                market=self.markets.get((venue, token)),
                funds=funds.get(venue),
                can_execute=venue in self.executing,
                is_enabled=venue in self.enabled,
                is_healthy=venue not in self.unhealthy,
                is_stopped=stopped_everywhere or venue in self.switches.venues,
                max_age=self.max_age,
            )
            for venue in _ROUTABLE
        }


@step("routing_decisions")
def route_signals(system: System, now: datetime) -> Tally:
    """Decide where each signal goes for each deployment, and keep every decision with its inputs."""
    tally = Tally()
    with system.engine.begin() as conn:
        work = store.unrouted(conn, now)
        world = _read_world(system, conn, {item.signal.token for item in work}, now)
        by_id = {item.id: item for item in agent_store.deployments(conn)}
    tally.rows_in = len(work)
    concerned = {item.decision.deployment_id for item in work if item.signal.expires_at > now}
    accounts = [a for id_ in concerned for a in by_id[id_].accounts if a.is_enabled]
    funds, unread = _read_funds(system, world, accounts, now, tally)
    ready = [
        item
        for item in work
        if item.decision.deployment_id not in unread or item.signal.expires_at <= now
    ]
    began = time.perf_counter()
    routed = []
    for item in ready:
        routed.append(_decide(item, by_id[item.decision.deployment_id], world, funds))
        _reserve(funds, routed[-1])
    tally.details["decision_seconds"] = round(time.perf_counter() - began, 6)
    with system.engine.begin() as conn:
        tally.rows_out = store.save_decisions(conn, routed, now)
    _count(tally, routed, by_id)
    return tally


def explain_route(
    system: System, now: datetime, token: str, side: Side = Side.LONG
) -> RoutingDecision:
    """Decide where a small trade would go now, by the global configuration and for no account in particular.

    ``token`` may be a canonical symbol, or any venue's own name for a market.
    """
    with system.engine.begin() as conn:
        token = _symbol(token, market_store.listed_tokens(conn))
        world = _read_world(system, conn, {token}, now)
    plenty = FundsAt(equity_usd=Decimal(10) ** 9, free_margin_usd=Decimal(10) ** 9)
    return route(
        RouteRequest(token=token, side=side, margin_usd=EXAMPLE_MARGIN_USD, leverage=Decimal(1)),
        world.config_for(None),
        world.views(token, dict.fromkeys(world.executing, plenty)),
        now,
    )


def route_elsewhere(
    system: System,
    now: datetime,
    work: RoutingWork,
    deployment: Deployment,
    tally: Tally,
    *,
    without: Collection[Venue],
) -> RoutingDecision | None:
    """Decide again, by what is known now, where a signal goes that venues ``without`` have rejected.

    None says that it must wait: failover is off, entries are stopped, or an account cannot be read.
    """
    signal = work.signal
    with system.engine.begin() as conn:
        world = _read_world(system, conn, {signal.token}, now)
    config = world.config_for(signal.agent_id)
    switches = world.switches
    if (
        not config.failover_enabled
        or switches.is_global
        or signal.agent_id in switches.agents
        or deployment.id in switches.deployments
    ):
        return None
    left = tuple(v for v in config.priority_for(signal.token) if v not in without)
    accounts = [a for a in deployment.accounts if a.is_enabled and a.venue in left]
    funds, unread = _read_funds(system, world, accounts, now, tally)
    if deployment.id in unread:
        return None
    narrowed = replace(
        config,
        venue_priority=left,
        token_overrides={},
        # What is left of a trade that one venue rejected is taken whole by one other.
        routing_strategy=RoutingStrategy.FIRST_AVAILABLE
        if config.routing_strategy is RoutingStrategy.SPLIT
        else config.routing_strategy,
    )
    configs: dict[UUID | None, RoutingConfig] = {signal.agent_id: narrowed}
    return _decide(work, deployment, replace(world, configs=configs), funds).decision


def _symbol(text: str, listed: frozenset[str]) -> str:
    """Return the listed symbol that a person means by ``text``, or ``text`` itself where none is."""
    spellings = [text.upper(), *(canonical(venue, text).token for venue in _ROUTABLE)]
    return next((token for token in spellings if token in listed), text.upper())


def _read_world(system: System, conn: Connection, tokens: Iterable[str], now: datetime) -> _World:
    return _World(
        now=now,
        configs=store.routing_configs(conn),
        markets={(m.venue, m.token): m for m in market_store.markets(conn, tokens=set(tokens))},
        switches=store.engaged_switches(conn),
        unhealthy=frozenset(
            venue
            for venue, status in operations.venue_health(conn, now).items()
            if status is HealthStatus.CRITICAL
        ),
        enabled=tuple(system.venues),
        executing=frozenset(v for v in system.venues if system.execution(v) is not None),
        max_age=timedelta(hours=system.settings.market_data_max_age_h),
    )


def _read_funds(
    system: System,
    world: _World,
    accounts: Sequence[VenueAccount],
    now: datetime,
    tally: Tally,
) -> tuple[dict[UUID, dict[Venue, FundsAt]], set[UUID]]:
    """Ask the venues what each account can do; return that by deployment, and the deployments that must wait.

    An account that cannot be read is no reason to trade somewhere else: its deployment waits for the next tick, until
    the venue is found critical.
    """
    readable = [
        (account, adapter)
        for account in accounts
        if account.venue not in world.unhealthy
        and (adapter := system.execution(account.venue)) is not None
    ]

    def read(asked: tuple[VenueAccount, Execution]) -> FundsAt | RemoteError:
        account, adapter = asked
        try:
            state = adapter.account_state(account, now)
        except RemoteError as error:
            return error
        with system.engine.begin() as conn:
            positions.save_account_state(conn, account.id, state)
        return FundsAt(
            equity_usd=state.equity_usd,
            free_margin_usd=state.free_margin_usd,
            open_tokens=frozenset(position.token for position in state.positions),
        )

    with ThreadPoolExecutor(max_workers=system.settings.execution_concurrency) as pool:
        answers = list(pool.map(read, readable))
    with system.engine.begin() as conn:
        pending = open_orders.pending_tokens(conn, [account.id for account, _ in readable])
    funds: dict[UUID, dict[Venue, FundsAt]] = {}
    unread: set[UUID] = set()
    for (account, _), answer in zip(readable, answers, strict=True):
        if isinstance(answer, RemoteError):
            unread.add(account.deployment_id)
            tally.problems.append(
                f"signals of one deployment wait: {account.venue} account {account.address} cannot be read: {answer}"
            )
            continue
        funds.setdefault(account.deployment_id, {})[account.venue] = FundsAt(
            equity_usd=answer.equity_usd,
            free_margin_usd=answer.free_margin_usd,
            open_tokens=answer.open_tokens,
            pending_tokens=pending.get(account.id, frozenset()),
        )
    return funds, unread


def _reserve(funds: dict[UUID, dict[Venue, FundsAt]], routed: RoutedSignal) -> None:
    """Take what a decision will use out of the account, so that the next one of this pass does not count on it."""
    venue = routed.decision.selected_venue
    at = funds.get(routed.deployment_id, {})
    if venue is None or venue not in at:
        return
    before = at[venue]
    at[venue] = replace(
        before,
        free_margin_usd=before.free_margin_usd - routed.margin_usd,
        pending_tokens=before.pending_tokens | {routed.signal.token},
    )


def _decide(
    work: RoutingWork,
    deployment: Deployment,
    world: _World,
    funds: Mapping[UUID, Mapping[Venue, FundsAt]],
) -> RoutedSignal:
    signal = work.signal
    margin_usd = deployment.capital_usd * work.decision.fund_percentage / 100
    began = time.perf_counter()
    decision = route(
        RouteRequest(
            token=signal.token,
            side=signal.side,
            margin_usd=margin_usd,
            leverage=work.decision.leverage,
            requested_venue=signal.venue,
            expires_at=signal.expires_at,
        ),
        world.config_for(signal.agent_id),
        world.views(
            signal.token,
            funds.get(deployment.id, {}),
            agent_id=signal.agent_id,
            deployment_id=deployment.id,
        ),
        world.now,
    )
    elapsed_ms = Decimal(str(round((time.perf_counter() - began) * 1000, 4)))
    return RoutedSignal(signal, deployment.id, decision, margin_usd, elapsed_ms)


def _count(tally: Tally, routed: Sequence[RoutedSignal], by_id: Mapping[UUID, Deployment]) -> None:
    """Put decisions into the report: venues chosen, refusals, and each story."""
    chosen: Counter[str] = Counter()
    for item in routed:
        decision = item.decision
        if decision.selected_venue is None:
            tally.refuse(decision.reason)
        else:
            chosen[decision.selected_venue.value] += 1
        tally.table.append(
            {
                "deployment": by_id[item.deployment_id].name,
                "token": item.signal.token,
                "requested": decision.requested_venue.value,
                "selected": decision.selected_venue.value if decision.selected_venue else "",
                "checked": " → ".join(check.venue.value for check in decision.checked),
                "story": decision.story,
            }
        )
    tally.details["by_venue"] = dict(chosen)
    tally.details["slowest_ms"] = max((float(item.duration_ms) for item in routed), default=0.0)
