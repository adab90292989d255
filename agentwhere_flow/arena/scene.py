"""What models see: accounts, positions, quotes and indicators, read once for all models of a tick.

A model whose account or markets cannot be read is left out of the tick, with a problem; the others go on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.arena.indicators import INTERVALS, UNKNOWN, as_text, series_of
from agentwhere_core.arena.prompt import is_presentable
from agentwhere_core.arena.values import HeldScene, MarketScene, Series, Snapshot, TraderModel
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import AgentWhereError, RemoteError
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.trade import (
    AccountState,
    Deployment,
    Position,
    VenueAccount,
    VenuePosition,
)
from agentwhere_core.tracing import carried
from agentwhere_flow.arena.candles import (
    Bars,
    markets_of,
    stored_bars,
    update_candles,
    warm_up_since,
)
from agentwhere_flow.fills import sync_account
from agentwhere_flow.report import Tally
from agentwhere_store import deployments as deployment_store
from agentwhere_store import fills as fill_store
from agentwhere_store import positions as position_store
from agentwhere_store.arena import models as model_store
from agentwhere_store.arena.models import Record

if TYPE_CHECKING:
    from agentwhere_flow.system import System

MarketKey = tuple[Venue, str]


@dataclass(frozen=True, slots=True)
class Account:
    """The accounts of one model as their venues hold them."""

    deployment: Deployment
    states: tuple[tuple[VenueAccount, AccountState], ...]

    @property
    def equity_usd(self) -> Decimal:
        """Worth of all accounts together."""
        return sum((state.equity_usd for _, state in self.states), Decimal(0))

    @property
    def cash_usd(self) -> Decimal:
        """Free margin of all accounts together."""
        return sum((state.free_margin_usd for _, state in self.states), Decimal(0))

    @property
    def open_positions(self) -> int:
        """Number of open positions."""
        return sum(len(state.positions) for _, state in self.states)


def read_snapshots(
    system: System, now: datetime, models: Sequence[TraderModel], tally: Tally
) -> dict[UUID, Snapshot]:
    """Return, by model id, what each model is shown now."""
    with system.engine.begin() as conn:
        markets = markets_of(system, conn, models)
        records = model_store.records(conn, now)
    known = {(m.venue, m.token): m for found in markets.values() for m in found}
    listed = list(known.values())
    update_candles(system, now, listed, tally)
    seeing = [model for model in models if markets[model.id]]
    tally.problems += [
        f"{model.name} sits this turn out: none of {', '.join(model.markets)} trades on {model.venue}; "
        f"run `agentwhere sync-markets`"
        for model in models
        if not markets[model.id]
    ]
    accounts = read_accounts(system, now, seeing, tally)
    _bring_home(system, now, accounts, tally)
    quotes = _quotes(system, listed, now, tally)
    with system.engine.begin() as conn:
        bars = stored_bars(conn, listed, warm_up_since(now), now)
        ids = [account.id for item in accounts.values() for account, _ in item.states]
        positions = {
            (position.account_id, position.token): position
            for position in position_store.open_positions(conn, account_ids=ids)
        }
    shared = {(m.venue, m.token): _series(m, bars) for m in listed}
    return {
        model.id: _snapshot(
            accounts[model.id],
            positions,
            [
                _market_scene(model, market, quotes[market.venue, market.token], shared)
                for market in markets[model.id]
                if (market.venue, market.token) in quotes and is_presentable(market.token)
            ],
            records.get(model.id, Record()),
            {key: market.size_multiplier for key, market in known.items()},
            now,
        )
        for model in seeing
        if model.id in accounts
    }


def read_accounts(
    system: System, now: datetime, models: Sequence[TraderModel], tally: Tally
) -> dict[UUID, Account]:
    """Return, by model id, what the venues hold for each model; those that cannot be read become problems."""
    with system.engine.begin() as conn:
        agent_ids = [model.agent_id for model in models]
        by_agent = {item.agent_id: item for item in deployment_store.deployments(conn, agent_ids)}

    def read(model: TraderModel) -> Account | AgentWhereError:
        deployment = by_agent[model.agent_id]
        states = []
        for account in deployment.accounts:
            adapter = system.execution(account.venue)
            if adapter is None or not account.is_enabled:
                continue
            try:
                states.append((account, adapter.account_state(account, now)))
            except AgentWhereError as error:
                return error
        return Account(deployment, tuple(states))

    with ThreadPoolExecutor(system.settings.execution_concurrency) as pool:
        answers = list(pool.map(carried(read), models))
    found: dict[UUID, Account] = {}
    for model, answer in zip(models, answers, strict=True):
        if isinstance(answer, AgentWhereError):
            tally.problems.append(f"{model.name} sits this turn out: {answer}")
        elif not answer.states:
            tally.problems.append(
                f"{model.name} has no account that this version can trade on: pause it with "
                f"`agentwhere models pause {model.name!r}`, and add one with an account"
            )
        else:
            found[model.id] = answer
    with system.engine.begin() as conn:
        for item in found.values():
            for account, state in item.states:
                position_store.save_account_state(conn, account.id, state)
    return found


def _bring_home(
    system: System, now: datetime, accounts: Mapping[UUID, Account], tally: Tally
) -> None:
    """Fetch the fills of accounts whose positions are not those that we know, e.g. after a stop was hit."""
    at_venue = {
        account.id: {position.token: position.size for position in state.positions}
        for item in accounts.values()
        for account, state in item.states
    }
    with system.engine.begin() as conn:
        ours: dict[UUID, dict[str, Decimal]] = defaultdict(dict)
        for position in position_store.open_positions(conn, account_ids=list(at_venue)):
            ours[position.account_id][position.token] = position.size
        watched = fill_store.watched_accounts(conn, list(system.venues))
    for item in watched:
        account = item.account
        adapter = system.execution(account.venue)
        if adapter is None or at_venue.get(account.id, ours[account.id]) == ours[account.id]:
            continue
        try:
            sync_account(system, adapter, item, now)
        except AgentWhereError as error:
            tally.problems.append(f"fills of {account.address} follow with the next turn: {error}")


def _quotes(
    system: System, markets: Sequence[Market], now: datetime, tally: Tally
) -> dict[MarketKey, Quote]:
    by_venue: dict[Venue, list[Market]] = defaultdict(list)
    for market in markets:
        by_venue[market.venue].append(market)
    quotes: dict[MarketKey, Quote] = {}
    for venue, listed in by_venue.items():
        try:
            found = system.venues[venue].quotes(listed, now)
        except RemoteError as error:
            tally.problems.append(f"models see no market of {venue} in this turn: {error}")
            continue
        quotes |= {(venue, token): quote for token, quote in found.items() if quote.is_open}
    return quotes


def _series(market: Market, bars: Bars) -> tuple[Series, ...]:
    return tuple(
        series_of(
            bars.get((market.venue, market.token, interval), []), interval, market.size_multiplier
        )
        for interval in INTERVALS
    )


def _market_scene(
    model: TraderModel,
    market: Market,
    quote: Quote,
    series: Mapping[MarketKey, tuple[Series, ...]],
) -> MarketScene:
    return MarketScene(
        token=market.token,
        mid=as_text(quote.mid / market.size_multiplier),
        leverage=as_text(min(model.leverage_for(market.token), market.max_leverage)),
        max_leverage=as_text(market.max_leverage),
        series=series[market.venue, market.token],
    )


def _snapshot(  # noqa: PLR0917 - one model's view, from everything that was read
    account: Account,
    positions: Mapping[tuple[UUID, str], Position],
    markets: Sequence[MarketScene],
    record: Record,
    multipliers: Mapping[MarketKey, Decimal],
    now: datetime,
) -> Snapshot:
    mids = {market.token: market.mid for market in markets}
    equity = account.equity_usd
    held = [
        _held(
            there,
            positions.get((venue_account.id, there.token)),
            mids,
            multipliers.get((venue_account.venue, there.token), Decimal(1)),
        )
        for venue_account, state in account.states
        for there in state.positions
        if is_presentable(there.token)
    ]
    return Snapshot(
        invocation=record.invocations + 1,
        minutes_since_start=record.minutes_since_start(now),
        at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        account_value_usd=f"{equity:.2f}",
        available_cash_usd=f"{account.cash_usd:.2f}",
        capital_usd=f"{max(Decimal(0), min(account.deployment.capital_usd, equity)):.2f}",
        positions=tuple(sorted(held, key=lambda item: item.token)),
        markets=tuple(markets),
    )


def _held(
    there: VenuePosition, ours: Position | None, mids: Mapping[str, str], multiplier: Decimal
) -> HeldScene:
    """Return a position in units of the token: the venue's own may be a thousand of them."""

    def price(value: Decimal | None) -> str | None:
        return None if value is None else as_text(value / multiplier)

    return HeldScene(
        position_id=str(ours.id) if ours else None,
        token=there.token,
        side=there.side,
        quantity=as_text(there.size * multiplier),
        entry_price=as_text(there.entry_price / multiplier),
        mark_price=mids.get(there.token, UNKNOWN),
        unrealized_pnl_usd=f"{there.unrealized_pnl_usd:.2f}",
        stop_loss=price(ours.stop_loss_price if ours else None),
        take_profit=price(ours.take_profit_price if ours else None),
    )
