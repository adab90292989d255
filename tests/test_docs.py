"""What the documents point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
# A venue that the walk-through invents.
INVENTED = ("agentwhere_core/venues/gmx/", "agentwhere_sim/gmx/")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
def test_its_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@every_page
def test_the_files_that_it_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:agentwhere_\w+|tests|docs|\.ci)/[\w./-]*)`", page.read_text())
    missing = [name for name in named if not (REPOSITORY / name).exists()]
    assert [name for name in missing if not name.startswith(INVENTED)] == []
