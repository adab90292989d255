"""Make screenshots of every view, dark and light, wide and on a phone: ``python -m tests.app.screenshots``.

They go into ``.screenshots``, which git ignores. The data is that of `tests.app.showcase`; with ``--url`` they are made
of a system that runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
from agentwhere_store.embedded import EmbeddedPostgres
from agentwhere_store.migrate import migrate
from tests.app.api.served import serving
from tests.app.browser import PHONE, VIEWS, WIDE, chromium, open_view, running
from tests.app.showcase import furnish
from tests.flow.world import utc_now

FOLDER = Path(__file__).parents[2] / ".screenshots"


@contextmanager
def showcase() -> Iterator[str]:
    """Serve a furnished system, and give its address."""
    with tempfile.TemporaryDirectory(prefix="agentwhere-screenshots-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        server = EmbeddedPostgres(folder / "server", durable=False)
        with server.running() as address:
            with psycopg.connect(address.conninfo("postgres"), autocommit=True) as connection:
                connection.execute("CREATE DATABASE showcase")
            migrate(address.url("showcase"))
            system = System(Settings(DATABASE_URL=address.url("showcase"), home=folder / "home"))
            furnish(system, utc_now())
            with serving(system) as served:
                yield served.url
            system.close()
        server.destroy()


def photograph(url: str, only: list[str]) -> list[Path]:
    """Write the pictures, and return where they are."""
    FOLDER.mkdir(exist_ok=True)
    made = []
    with running() as browser:
        for theme in ("light", "dark"):
            for kind, (width, height) in (("wide", WIDE), ("phone", PHONE)):
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if theme == "dark" else "light",
                    reduced_motion="reduce",
                    device_scale_factor=1 if kind == "wide" else 2,
                )
                page = context.new_page()
                for name, path in VIEWS.items():
                    if only and name not in only:
                        continue
                    open_view(page, url + path)
                    page.wait_for_timeout(300)
                    target = FOLDER / f"{name}-{theme}-{kind}.png"
                    page.screenshot(path=target, full_page=True)
                    made.append(target)
                if not only or "agent" in only:
                    open_view(page, f"{url}/marketplace")
                    page.click("a.row-link >> nth=0")
                    page.wait_for_selector("text=Recent signals")
                    page.wait_for_timeout(300)
                    target = FOLDER / f"agent-{theme}-{kind}.png"
                    page.screenshot(path=target, full_page=True)
                    made.append(target)
                context.close()
    return made


def main() -> None:
    """Make the screenshots and say where they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running dashboard, e.g. http://127.0.0.1:8000")
    parser.add_argument("views", nargs="*", help="some views only")
    given = parser.parse_args()
    if chromium() is None:
        sys.exit("there is no Chromium on this machine: apt-get install chromium")
    if given.url:
        made = photograph(given.url, given.views)
    else:
        with showcase() as url:
            made = photograph(url, given.views)
    sys.stdout.write("".join(f"{path}\n" for path in made))


if __name__ == "__main__":
    main()
