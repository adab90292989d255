"""The dashboard in a real Chromium: loads by itself, keeps up to date, asks before it stops, and can be read by all."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import delete, select, text

from agentwhere_core.domain.enums import Scope, Severity
from agentwhere_flow.alerts import close_alert, open_alerts, raise_alert
from agentwhere_flow.kill_switches import list_switches
from agentwhere_flow.settings import Settings
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from agentwhere_store.deployments import deployments as deployments_of
from agentwhere_store.embedded import ServerAddress
from agentwhere_store.tables.arena import portfolio_size
from agentwhere_store.tables.trading import deployments, venue_accounts
from tests.app.api.served import PATIENCE_S, Served, serving
from tests.app.browser import PHONE, VIEWS, WIDE, chromium, open_view, running
from tests.app.showcase import furnish, open_position
from tests.app.showcase.arena import models
from tests.conftest import Administration
from tests.flow.world import utc_now

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no Chromium on this machine: apt-get install chromium"
)
PATIENCE_MS = PATIENCE_S * 1000


@dataclass
class Watched:
    """A page, and what went wrong on it."""

    page: Page
    url: str
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Show a view, with its data."""
        open_view(self.page, self.url + path)

    def assert_quiet(self) -> None:
        """Fail if anything was asked of another host, or anything was complained of."""
        assert self.outside == []
        assert self.complaints == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running() as browser:
        yield browser


@pytest.fixture(scope="module")
def system(
    postgres_server: ServerAddress,
    administration: Administration,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[System]:
    """A system with a past, which this module's tests share."""
    name = f"showcase_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    administration.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}")
    home = tmp_path_factory.mktemp("home")
    system = System(Settings(DATABASE_URL=postgres_server.url(name), home=home))
    furnish(system, utc_now())
    yield system
    system.close()
    administration.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def served(system: System) -> Iterator[Served]:
    with serving(system) as served:
        yield served


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Iterator[Served]:
    """A system that was just set up."""
    system = System(Settings(DATABASE_URL=database_url, home=tmp_path / "home"))
    setup(system, utc_now())
    with serving(system) as served:
        yield served
    system.close()


@pytest.fixture
def watched(browser: Browser, served: Served) -> Iterator[Watched]:
    with watching(browser, served) as page:
        yield page


class watching:  # noqa: N801 - reads as what it does
    """A page of its own that keeps an eye on requests and errors, for the length of a block."""

    def __init__(self, browser: Browser, served: Served, **options: Any) -> None:
        given = {"viewport": {"width": WIDE[0], "height": WIDE[1]}, **options}
        self._context = browser.new_context(reduced_motion="reduce", **given)
        self._watched = Watched(self._context.new_page(), served.url)
        page, watched = self._watched.page, self._watched
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: self._check(request.url))
        page.on(
            "console",
            lambda said: (
                watched.complaints.append(said.text) if said.type in {"error", "warning"} else None
            ),
        )
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if (
            parts.scheme in {"http", "https"}
            and f"{parts.scheme}://{parts.netloc}" != self._watched.url
        ):
            self._watched.outside.append(url)

    def __enter__(self) -> Watched:
        return self._watched

    def __exit__(self, *_: object) -> None:
        self._context.close()


def test_each_view_loads_from_this_machine_alone_and_without_a_complaint(watched: Watched) -> None:
    for name, path in VIEWS.items():
        watched.open(path)
        assert watched.page.locator("main h1").inner_text().lower() == name
        assert watched.page.locator("main .card").count() >= 1
    watched.open("/marketplace")
    watched.page.click("text=Macro Desk")
    watched.page.wait_for_selector("text=95 % interval of Sharpe")
    watched.assert_quiet()


def test_a_position_that_is_opened_meanwhile_appears_without_a_reload(
    system: System, watched: Watched
) -> None:
    watched.open("/positions")
    watched.page.wait_for_selector("text=Live")
    assert watched.page.locator("text=NEWTOKEN").count() == 0
    with system.engine.begin() as conn:
        account = conn.execute(
            select(venue_accounts.c.id, deployments.c.id, deployments.c.agent_id)
            .join(deployments, deployments.c.id == venue_accounts.c.deployment_id)
            .where(venue_accounts.c.venue == "HYPERLIQUID")
        ).first()
        assert account is not None
        open_position(conn, account[2], account[1], account[0], utc_now(), token_symbol="NEWTOKEN")
    watched.page.wait_for_selector("text=NEWTOKEN")
    watched.assert_quiet()


def test_the_kill_switch_asks_first_and_then_stops_and_can_be_released(
    system: System, watched: Watched
) -> None:
    page = watched.page
    watched.open("/")
    page.click("text=Stop trading…")
    page.wait_for_selector("dialog[open] >> text=Stop new entries?")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    assert list_switches(system) == []

    page.click("text=Stop trading…")
    page.click("dialog[open] >> button.danger")
    assert list_switches(system) == [], "a reason is needed"
    page.fill("dialog[open] input[name=reason]", "the feed looks wrong")
    page.click("dialog[open] >> button.danger")
    page.wait_for_selector("text=Kill switch engaged: everything.")
    (switch,) = list_switches(system)
    assert (switch.scope.value, switch.reason, switch.author) == (
        "GLOBAL",
        "the feed looks wrong",
        "local (API)",
    )

    page.click("text=Release…")
    page.fill("dialog[open] input[name=reason]", "it was the clock")
    page.click("dialog[open] >> button.primary")
    page.wait_for_selector("text=Kill switch engaged", state="detached")
    assert list_switches(system) == []
    watched.assert_quiet()


def test_one_venue_can_be_stopped_from_the_page(system: System, watched: Watched) -> None:
    page = watched.page
    watched.open("/")
    page.wait_for_selector(".components li:has-text('Ostium')")
    page.click("text=Stop trading…")
    page.select_option("#kill-scope", "VENUE")
    offered = page.locator("#kill-venue option").all_inner_texts()
    assert sorted(offered) == sorted(venue.capitalize() for venue in system.settings.venues)
    page.select_option("#kill-venue", "OSTIUM")
    page.fill("dialog[open] input[name=reason]", "its oracle sleeps")
    page.click("dialog[open] >> button.danger")
    page.wait_for_selector("text=Kill switch engaged:")
    (switch,) = list_switches(system)
    assert (switch.scope.value, switch.target) == ("VENUE", "OSTIUM")
    watched.assert_quiet()


def test_an_incident_is_taken_on_after_a_question(system: System, watched: Watched) -> None:
    page = watched.page
    raise_alert(system, utc_now(), "check:x", Severity.WARNING, "x is odd", "look at it")
    watched.open("/")
    page.click("[aria-label='Take on: x is odd']")
    page.wait_for_selector("dialog[open] >> text=Take this incident on?")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    [alert] = [item for item in open_alerts(system) if item.incident == "check:x"]
    assert alert.acknowledged_by is None
    page.click("[aria-label='Take on: x is odd']")
    page.click("dialog[open] >> button.primary")
    page.wait_for_selector("text=Taken on by local (API).")
    assert page.locator("[aria-label='Take on: x is odd']").count() == 0
    close_alert(system, utc_now(), "check:x")
    watched.assert_quiet()


def test_a_deployment_is_paused_and_resumed_after_a_question(
    system: System, watched: Watched
) -> None:
    page = watched.page
    watched.open("/marketplace")
    page.click("text=Macro Desk")
    for word, status in (("Pause", "PAUSED"), ("Resume", "ACTIVE")):
        page.click(f"button:has-text('{word}…') >> nth=0")
        page.wait_for_selector(f"dialog[open] >> text={word} this deployment?")
        page.click("dialog[open] >> button.primary")
        page.wait_for_selector("dialog[open]", state="detached")
        page.wait_for_selector(f"li.component:has-text('{status.capitalize()}')")
        with system.engine.connect() as conn:
            found = {item.name: item.status.value for item in deployments_of(conn)}
        name = page.locator("li.component .name >> nth=0").inner_text()
        assert found[name] == status
    watched.assert_quiet()


@pytest.mark.parametrize(
    ("theme", "size"), [("light", WIDE), ("dark", PHONE)], ids=["light and wide", "dark on a phone"]
)
def test_no_view_has_a_serious_barrier(
    browser: Browser, served: Served, theme: str, size: tuple[int, int]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    viewport = {"width": size[0], "height": size[1]}
    # axe is put into the page as a script, which the page's own policy would rightly refuse.
    with watching(
        browser, served, viewport=viewport, color_scheme=theme, bypass_csp=True
    ) as watched:
        for name, path in VIEWS.items():
            watched.open(path)
            found = axe.run(watched.page).response["violations"]
            serious = {
                item["id"]: [node["target"] for node in item["nodes"]]
                for item in found
                if item["impact"] in {"serious", "critical"}
            }
            assert serious == {}, f"{name}: {serious}"


def test_nothing_is_wider_than_a_phone_and_no_table_scrolls_sideways(
    browser: Browser, served: Served
) -> None:
    viewport = {"width": PHONE[0], "height": PHONE[1]}
    with watching(browser, served, viewport=viewport) as watched:
        page = watched.page
        watched.open("/marketplace")
        agent = page.locator("text=Macro Desk").get_attribute("href")
        found = {}
        for name, path in {**VIEWS, "agent": agent or ""}.items():
            watched.open(path)
            box = page.locator("main").bounding_box()
            assert box is not None
            assert box["width"] <= PHONE[0], name
            cut = page.evaluate(
                "[...document.querySelectorAll('.scroll')].filter(t => t.scrollWidth > t.clientWidth)"
                ".map(t => [t.getAttribute('aria-label'), t.scrollWidth - t.clientWidth])"
            )
            found[name] = cut
        assert not any(found.values()), found


def test_all_of_it_can_be_reached_by_keyboard(watched: Watched) -> None:
    page = watched.page
    watched.open("/")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to content"
    page.focus("nav >> text=Positions")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Positions')")
    page.focus("tbody .opener >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Take profit")
    watched.assert_quiet()


def test_with_a_key_set_the_page_asks_for_it_and_works_with_it(
    browser: Browser, empty: Served
) -> None:
    key = empty.key(Scope.READ)
    with watching(browser, empty) as watched:
        page = watched.page
        watched.open("/positions")
        page.wait_for_selector("text=This needs an API key", timeout=PATIENCE_MS)
        page.fill("#api-key", key)
        page.click("text=Use it")
        page.wait_for_selector("text=Newest orders")
        assert watched.outside == []


def test_a_first_curve_is_not_waited_for_and_a_refresh_that_fails_is_said(
    browser: Browser, empty: Served
) -> None:
    now, system = utc_now(), empty.system
    with watching(browser, empty) as watched:
        page = watched.page
        watched.open("/arena")
        page.wait_for_selector("text=No model trades yet")
        with system.engine.begin() as conn:
            models(conn, random.Random(7), now, {})
            conn.execute(delete(portfolio_size).where(portfolio_size.c.created_at < now))
        page.wait_for_selector(".legend >> text=Buy and hold")

        with system.engine.begin() as conn:
            conn.execute(text("ALTER TABLE agentwhere.portfolio_size RENAME TO away"))
            conn.execute(text("UPDATE agentwhere.models SET name = name"))
        page.wait_for_selector(".age.stale:has-text('Stale')")
        assert page.locator(".legend >> text=Buy and hold").count() == 1
        with system.engine.begin() as conn:
            conn.execute(text("ALTER TABLE agentwhere.away RENAME TO portfolio_size"))
        page.wait_for_selector(".age:not(.stale)")
        assert watched.outside == []


def test_a_server_that_goes_away_is_said_and_the_last_answer_stays(
    browser: Browser, system: System
) -> None:
    with serving(system) as served:
        watcher = watching(browser, served)
        page = watcher.__enter__().page
        open_view(page, f"{served.url}/positions")
        page.wait_for_selector("text=Live")
    page.wait_for_selector("text=Offline")
    assert page.locator("h2:has-text('Newest orders')").count() == 1
    watcher.__exit__()


def test_an_empty_system_says_what_to_do_in_every_view(browser: Browser, empty: Served) -> None:
    with watching(browser, empty) as watched:
        for path in VIEWS.values():
            watched.open(path)
            assert watched.page.locator(".empty").count() >= 1, path
        watched.assert_quiet()
