"""A home for tests of the embedded server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentwhere_store.embedded import EmbeddedPostgres


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that every account can enter, with nothing left of its server afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="home-", dir=os.environ["AGENTWHERE_TEST_RUN_FOLDER"]))
    folder.chmod(0o711)
    yield folder
    EmbeddedPostgres(folder).destroy()
    shutil.rmtree(folder)


@pytest.fixture
def server(home: Path) -> EmbeddedPostgres:
    """The home's server, not flushing to disk."""
    return EmbeddedPostgres(home, durable=False)
