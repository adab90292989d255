"""What trading on Lighter asks of the flow beyond what the crash tests show: positions that somebody enlarged."""

from __future__ import annotations

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, Venue
from agentwhere_core.domain.trade import OrderSpec
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from agentwhere_store import deployments as deployment_store
from agentwhere_store import markets as market_store
from tests.flow.scenes import place_signal
from tests.flow.world import rows, utc_now


def test_a_stop_that_closes_more_than_it_was_for_is_recorded(desk: System, sim: Simulator) -> None:
    """Protection belongs to the position there: enlarged outside, it closes all of it, and the books still agree."""
    sim.control("prices", BTC="100000")
    place_signal(desk, "BTC", deployment="bold", venue=Venue.LIGHTER)
    execute_orders(desk, utc_now())
    buy_outside(desk, "BTC")
    monitor_positions(desk, utc_now())
    sim.control("prices", BTC="94000")

    report = monitor_positions(desk, utc_now())

    assert report.problems == ()
    stop = rows(
        desk, "SELECT state, filled_size = size FROM agentwhere.orders WHERE purpose = 'STOP_LOSS'"
    )
    assert stop == [("FILLED", True)]
    closed = rows(desk, "SELECT status, size FROM agentwhere.positions")
    assert closed == [("CLOSED", 0)]
    [account] = rows(
        desk,
        "SELECT count(*) FROM agentwhere.fills f JOIN agentwhere.orders o ON o.client_id = f.client_id",
    )
    assert account[0] >= 2


def buy_outside(system: System, token: str) -> None:
    """Buy as much again with the account's own key, but not through the ledger."""
    with system.engine.begin() as conn:
        accounts = [a for d in deployment_store.deployments(conn) for a in d.accounts]
        [market] = [
            m for m in market_store.markets(conn, tokens={token}) if m.venue is Venue.LIGHTER
        ]
    [address] = rows(
        system, "SELECT DISTINCT account_id FROM agentwhere.orders WHERE purpose = 'ENTRY'"
    )
    account = next(one for one in accounts if one.id == address[0])
    adapter = system.execution(Venue.LIGHTER)
    assert adapter is not None
    quote = adapter.quotes([market], utc_now())[token]
    [held] = adapter.account_state(account, utc_now()).positions
    limit = adapter.limit_price(market, OrderSide.BUY, quote.ask, system.settings.max_slippage_bps)
    spec = OrderSpec(
        client_id="77",
        purpose=OrderPurpose.ENTRY,
        market_name=market.market_name,
        market_index=market.market_index,
        side=OrderSide.BUY,
        size=held.size,
        limit_price=limit,
        trigger_price=None,
        reduce_only=False,
        size_decimals=market.size_decimals,
        price_decimals=market.price_decimals,
    )
    key = system.secrets.get(account.key_name).get_secret_value()
    nonce = adapter.next_nonce(account)
    assert nonce is not None
    deadline = adapter.deadline(utc_now(), utc_now() - utc_now())
    payload = adapter.sign_orders([spec], account, key, nonce, deadline)
    adapter.send(payload, [spec.client_id], utc_now())
