"""Market lists, context and candles: each venue by itself, and no failure wipes anything."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import (
    ConfigurationError,
    MalformedReplyError,
    RateLimitedError,
    RemoteError,
    ServerFaultError,
)
from agentwhere_flow.classify import classify_posts
from agentwhere_flow.markets import (
    refresh_candles,
    refresh_context,
    summarize_markets,
    sync_markets,
)
from agentwhere_flow.posts import ingest_posts
from agentwhere_flow.report import StepFailedError
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.world import contents, open_system, rows, utc_now

SERVICES = {
    Venue.HYPERLIQUID: "hyperliquid.info",
    Venue.OSTIUM: "ostium",
    Venue.LIGHTER: "lighter",
}


def counts(system: System) -> dict[str, int]:
    """Return the number of active markets by venue."""
    return dict(
        rows(
            system,
            "SELECT venue, count(*) FROM agentwhere.venue_markets WHERE is_active GROUP BY venue",
        )
    )


def test_three_venues_are_synced_under_canonical_symbols(desk: System) -> None:
    found = counts(desk)
    assert found["HYPERLIQUID"] >= 150
    assert found["OSTIUM"] >= 30
    assert found["LIGHTER"] >= 40
    venues = dict(
        rows(
            desk,
            """SELECT token_symbol, array_agg(venue ORDER BY venue) FROM agentwhere.venue_markets
               WHERE token_symbol IN ('BTC', 'XAU') GROUP BY token_symbol""",
        )
    )
    assert venues["BTC"] == ["HYPERLIQUID", "LIGHTER", "OSTIUM"]
    assert "HYPERLIQUID" not in venues["XAU"]


def test_syncing_again_keeps_every_row_and_its_id(desk: System) -> None:
    ids = rows(desk, "SELECT venue, token_symbol, id FROM agentwhere.venue_markets ORDER BY id")
    report = sync_markets(desk, utc_now(), venue=Venue.LIGHTER)
    assert report.details["added"] == 0
    assert (
        rows(desk, "SELECT venue, token_symbol, id FROM agentwhere.venue_markets ORDER BY id")
        == ids
    )


@pytest.mark.parametrize("venue", SERVICES)
@pytest.mark.parametrize(
    ("fault", "error"),
    [("malformed", MalformedReplyError), ("5xx", ServerFaultError), ("429", RateLimitedError)],
)
def test_a_failing_venue_says_so_and_wipes_nothing(
    desk: System, sim: Simulator, venue: Venue, fault: str, error: type[RemoteError]
) -> None:
    before = contents(desk, "venue_markets")
    sim.fault(SERVICES[venue], fault, count=None, seconds=3600)
    with pytest.raises(error) as raised:
        sync_markets(desk, utc_now(), venue=venue)
    assert raised.value.service == venue.value.lower()
    assert contents(desk, "venue_markets") == before
    kind, step = rows(desk, "SELECT kind, step FROM agentwhere.errors ORDER BY id DESC LIMIT 1")[0]
    assert (kind, step) == (error.__name__, "market_lists")

    others = [other for other in SERVICES if other is not venue]
    assert all(sync_markets(desk, utc_now(), venue=other).rows_out for other in others)
    sim.http.delete("/control/faults")
    assert sync_markets(desk, utc_now(), venue=venue).rows_out > 0


def test_a_stopped_simulator_fails_each_sync_with_advice(
    desk: System, sim: Simulator, database_url: str, tmp_path: Path
) -> None:
    before = counts(desk)
    elsewhere = open_system(sim, database_url, tmp_path / "home")
    settings = elsewhere.settings.model_copy(update={"sim_port": 9})
    lonely = System(settings)
    with pytest.raises(RemoteError, match="Check that it is up"):
        sync_markets(lonely, utc_now(), venue=Venue.LIGHTER)
    assert counts(desk) == before
    lonely.close()
    elsewhere.close()


def test_a_venue_that_is_not_enabled_is_refused(desk: System) -> None:
    with pytest.raises(ConfigurationError, match="AGENTWHERE_VENUES"):
        sync_markets(desk, utc_now(), venue=Venue.GMX)


def test_the_summary_names_stale_and_missing_venues(desk: System) -> None:
    assert not summarize_markets(desk, utc_now()).problems
    later = utc_now() + timedelta(hours=desk.settings.market_data_max_age_h + 1)
    problems = summarize_markets(desk, later).problems
    assert [problem.split(":")[0] for problem in problems] == ["HYPERLIQUID", "LIGHTER", "OSTIUM"]


def test_the_summary_fails_when_nothing_was_ever_synced(system: System) -> None:
    with pytest.raises(StepFailedError, match="agentwhere sync-markets"):
        summarize_markets(system, utc_now())


def test_context_covers_every_active_market_and_measures_tokens_in_use(desk: System) -> None:
    ingest_posts(desk, utc_now())
    classify_posts(desk, utc_now())
    report = refresh_context(desk, utc_now())
    assert report.rows_out == sum(counts(desk).values())
    assert {"BTC", "ETH", "SOL", "XAU"} <= set(report.details["tokens_in_use"])
    volatility = rows(
        desk,
        """SELECT volatility_24h FROM agentwhere.market_context
           WHERE venue = 'HYPERLIQUID' AND token_symbol = 'BTC'""",
    )
    assert 0 < volatility[0][0] < 1


def test_context_survives_one_venue_and_fails_when_all_are_silent(
    desk: System, sim: Simulator
) -> None:
    sim.fault("ostium", "down")
    report = refresh_context(desk, utc_now())
    assert report.details["venues"] == ["HYPERLIQUID", "LIGHTER"]
    assert any("OSTIUM" in problem for problem in report.problems)
    sim.fault("hyperliquid.info", "malformed", count=None)
    sim.fault("lighter", "malformed", count=None)
    with pytest.raises(StepFailedError, match="no venue told its market context"):
        refresh_context(desk, utc_now())


def test_candles_are_fetched_once(desk: System) -> None:
    ingest_posts(desk, utc_now())
    classify_posts(desk, utc_now())
    now = utc_now()
    first = refresh_candles(desk, now)
    second = refresh_candles(desk, now)
    later = refresh_candles(desk, now + timedelta(hours=1))
    assert first.rows_out > 60
    assert second.rows_out == 0
    assert 0 < later.rows_out <= 2 * later.details["markets_with_new_candles"], (
        "the hour's and the forming one"
    )
    duplicated = rows(
        desk,
        """SELECT count(*) FROM agentwhere.candles GROUP BY venue, token_symbol, interval, open_time
           HAVING count(*) > 1""",
    )
    assert duplicated == []
