"""Looking at an embedded server from outside: its processes, its users, its answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from agentwhere_store.embedded import ServerAddress
from agentwhere_store.embedded.guardian import server_processes
from agentwhere_store.embedded.record import load_record

REPO = Path(__file__).resolve().parents[2]
USE_UNTIL_TOLD = """
import sys
from pathlib import Path
from agentwhere_store.embedded import EmbeddedPostgres
address = EmbeddedPostgres(Path(sys.argv[1]), durable=False).ensure_running()
print(address.port, flush=True)
sys.stdin.read()
"""


def ask(address: ServerAddress, query: str) -> object:
    with psycopg.connect(address.conninfo(), autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def processes(home: Path) -> list[int]:
    """All processes of a home's server, as the machine knows them."""
    record = load_record(home / "postgres")
    return [] if record is None else server_processes(record.marker)


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def pid(value: int | None) -> int:
    assert value is not None
    return value


@contextmanager
def user_process(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the home's server until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", USE_UNTIL_TOLD, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    with process:
        try:
            yield process
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(30)


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def parent_of(process: int) -> int:
    listed = subprocess.run(
        ["ps", "-o", "ppid=", "-p", str(process)], capture_output=True, text=True, check=False
    )
    return int(listed.stdout or 0)
