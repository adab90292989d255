"""Agent Where, first half: choose a venue for every signal that passed a deployment's policy."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import HealthStatus, RoutingStrategy, Side, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.routing import FundsAt, RoutingConfig, RoutingDecision
from agentwhere_core.domain.trade import Deployment, PolicyDecision
from agentwhere_core.how.book import Book, Engagement
from agentwhere_core.how.policy import barred_venues, limits_venues
from agentwhere_core.venues.symbols import canonical
from agentwhere_core.where.router import route
from agentwhere_core.where.scene import (
    DEFAULT_HOLDING_H,
    Obstacle,
    RouteRequest,
    Scene,
    Site,
    Standing,
)
from agentwhere_flow.depth import Depth, read_depth
from agentwhere_flow.funds import read_funds
from agentwhere_flow.report import Tally, step
from agentwhere_store import deployments as deployment_store
from agentwhere_store import markets as market_store
from agentwhere_store import operations
from agentwhere_store import policy as policy_store
from agentwhere_store import routing as store
from agentwhere_store.decisions import RoutedSignal, save_decisions
from agentwhere_store.routing import KillSwitches, RoutingWork

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System

EXAMPLE_MARGIN_USD = Decimal(100)

_ROUTABLE = (Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER)


@dataclass(frozen=True, slots=True)
class _World:
    """What all decisions of one pass look at, read once."""

    now: datetime
    configs: Mapping[UUID | None, RoutingConfig]
    markets: Mapping[tuple[Venue, str], Market]
    depth: Depth
    switches: KillSwitches
    unhealthy: frozenset[Venue]
    enabled: Sequence[Venue]
    executing: frozenset[Venue]
    max_age: timedelta
    scenes: dict[UUID, Scene] = field(default_factory=dict)
    scene_ids: dict[tuple[str, UUID | None], UUID] = field(default_factory=dict)

    def scene(self, token: str, agent_id: UUID | None) -> tuple[UUID, Scene]:
        """Return what is known of a token, by the agent's own configuration or the global one, and its id."""
        configured = agent_id if agent_id in self.configs else None
        id_ = self.scene_ids.get((token, configured))
        if id_ is None:
            id_ = self.scene_ids[token, configured] = new_id()
            config = self.configs[configured]
            sites = {venue: self._site(venue, token) for venue in _ROUTABLE}
            self.scenes[id_] = Scene(token, config, sites, self.now)
        return id_, self.scenes[id_]

    def standings(
        self,
        funds: Mapping[Venue, FundsAt],
        barred: Mapping[Venue, Obstacle],
        *,
        agent_id: UUID,
        deployment_id: UUID,
    ) -> dict[Venue, Standing]:
        """Return what a deployment can do at each venue; of venues at which nothing is to be said, nothing."""
        is_stopped = agent_id in self.switches.agents or deployment_id in self.switches.deployments
        told = _ROUTABLE if is_stopped else [v for v in _ROUTABLE if v in funds or v in barred]
        return {v: Standing(funds.get(v), is_stopped, barred.get(v)) for v in told}

    def _site(self, venue: Venue, token: str) -> Site:
        market = self.markets.get((venue, token))
        if market is not None:
            market = self.depth.refreshed(market)
        return Site(
            market=market,
            book=self.depth.books.get((venue, token)),
            can_execute=venue in self.executing,
            is_enabled=venue in self.enabled,
            is_healthy=venue not in self.unhealthy,
            is_stopped=self.switches.is_global or venue in self.switches.venues,
            max_age=self.max_age,
        )


@step("routing_decisions")
def route_signals(system: System, now: datetime) -> Tally:
    """Decide where each signal goes for each deployment, and keep every decision with its inputs."""
    tally = Tally()
    with system.engine.begin() as conn:
        work = store.unrouted(conn, now, shard=system.shard)
        by_id = {item.id: item for item in deployment_store.deployments(conn, shard=system.shard)}
        books = _read_books(conn, {item.decision.deployment_id for item in work}, by_id, now)
    tally.rows_in = len(work)
    world = _read_world(system, {item.signal.token for item in work}, now)
    tally.details["books"] = len(world.depth.books)
    tally.details["books_unread"] = world.depth.unread
    concerned = {item.decision.deployment_id for item in work if item.signal.expires_at > now}
    accounts = [a for id_ in concerned for a in by_id[id_].accounts if a.is_enabled]
    funds, unread = read_funds(system, world.unhealthy, accounts, now, tally)
    ready = [
        item
        for item in work
        if item.decision.deployment_id not in unread or item.signal.expires_at <= now
    ]
    began = time.perf_counter()
    routed = []
    for item in ready:
        routed.append(_decide(item, by_id[item.decision.deployment_id], world, funds, books))
        _reserve(funds, books, routed[-1], item.decision)
    tally.details["decision_seconds"] = round(time.perf_counter() - began, 6)
    with system.engine.begin() as conn:
        tally.rows_out = save_decisions(conn, world.scenes, routed, now)
    _count(tally, routed, by_id)
    return tally


def explain_route(
    system: System,
    now: datetime,
    token: str,
    side: Side = Side.LONG,
    margin_usd: Decimal = EXAMPLE_MARGIN_USD,
) -> RoutingDecision:
    """Decide where a trade would go now, by the global configuration and for no account in particular.

    ``token`` may be a canonical symbol, or any venue's own name for a market.
    """
    with system.engine.begin() as conn:
        token = _symbol(token, market_store.listed_tokens(conn))
    world = _read_world(system, {token}, now)
    plenty = Standing(FundsAt(equity_usd=Decimal(10) ** 9, free_margin_usd=Decimal(10) ** 9))
    return route(
        RouteRequest(token=token, side=side, margin_usd=margin_usd, leverage=Decimal(1)),
        world.scene(token, None)[1],
        dict.fromkeys(world.executing, plenty),
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
    world = _read_world(system, {signal.token}, now)
    config = world.configs.get(signal.agent_id) or world.configs[None]
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
    funds, unread = read_funds(system, world.unhealthy, accounts, now, tally)
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
    again = replace(world, configs={signal.agent_id: narrowed}, scenes={}, scene_ids={})
    with system.engine.begin() as conn:
        books = _read_books(conn, {deployment.id}, {deployment.id: deployment}, now)
    return _decide(work, deployment, again, funds, books).decision


def _read_books(
    conn: Connection,
    deployment_ids: Collection[UUID],
    by_id: Mapping[UUID, Deployment],
    now: datetime,
) -> dict[UUID, Book]:
    """Return what those deployments hold whose policy has a say in the venue."""
    choosy = {id_ for id_ in deployment_ids if limits_venues(by_id[id_].policy)}
    return policy_store.books(conn, choosy, now, traded_since=now) if choosy else {}


def _symbol(text: str, listed: frozenset[str]) -> str:
    """Return the listed symbol that a person means by ``text``, or ``text`` itself where none is."""
    spellings = [text.upper(), *(canonical(venue, text).token for venue in _ROUTABLE)]
    return next((token for token in spellings if token in listed), text.upper())


def _read_world(system: System, tokens: Collection[str], now: datetime) -> _World:
    with system.engine.begin() as conn:
        configs = store.routing_configs(conn)
        markets = market_store.markets(conn, tokens=tokens)
        switches = store.engaged_switches(conn)
        health = operations.venue_health(conn, now)
    unhealthy = frozenset(v for v, status in health.items() if status is HealthStatus.CRITICAL)
    asked = [m for m in markets if m.is_active and m.venue not in unhealthy]
    return _World(
        now=now,
        configs=configs,
        markets={(market.venue, market.token): market for market in markets},
        depth=read_depth(system, asked, now),
        switches=switches,
        unhealthy=unhealthy,
        enabled=tuple(system.venues),
        executing=frozenset(v for v in system.venues if system.execution(v) is not None),
        max_age=timedelta(hours=system.settings.market_data_max_age_h),
    )


def _reserve(
    funds: dict[UUID, dict[Venue, FundsAt]],
    books: dict[UUID, Book],
    routed: RoutedSignal,
    granted: PolicyDecision,
) -> None:
    """Take what a decision will use out of accounts and books: the next one of this pass must not count on it."""
    book = books.get(routed.deployment_id)
    if book is not None:
        exposure = granted.fund_percentage * granted.leverage
        book = book.without(routed.signal.token)
        for leg in routed.decision.legs:
            book = book.with_engagement(
                Engagement(routed.signal.token, leg.venue, exposure * leg.share)
            )
        books[routed.deployment_id] = book
    at = funds.get(routed.deployment_id, {})
    for leg in routed.decision.legs:
        before = at.get(leg.venue)
        if before is not None:
            at[leg.venue] = replace(
                before,
                free_margin_usd=before.free_margin_usd - routed.margin_usd * leg.share,
                pending_tokens=before.pending_tokens | {routed.signal.token},
            )


def _decide(
    work: RoutingWork,
    deployment: Deployment,
    world: _World,
    funds: Mapping[UUID, Mapping[Venue, FundsAt]],
    books: Mapping[UUID, Book],
) -> RoutedSignal:
    signal, granted = work.signal, work.decision
    book = books.get(deployment.id)
    barred = (
        {}
        if book is None
        else barred_venues(
            deployment.policy,
            book.without(signal.token),
            granted.fund_percentage * granted.leverage,
        )
    )
    margin_usd = deployment.capital_usd * work.decision.fund_percentage / 100
    scene_id, scene = world.scene(signal.token, signal.agent_id)
    began = time.perf_counter()
    decision = route(
        RouteRequest(
            token=signal.token,
            side=signal.side,
            margin_usd=margin_usd,
            leverage=work.decision.leverage,
            requested_venue=signal.venue,
            holding_h=signal.max_holding_h or DEFAULT_HOLDING_H,
            expires_at=signal.expires_at,
        ),
        scene,
        world.standings(
            funds.get(deployment.id, {}),
            barred,
            agent_id=signal.agent_id,
            deployment_id=deployment.id,
        ),
    )
    elapsed_ms = Decimal(f"{(time.perf_counter() - began) * 1000:.4f}")
    return RoutedSignal(signal, deployment.id, decision, scene_id, margin_usd, elapsed_ms)


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
