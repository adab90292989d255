"""Write a revision from the difference between a database and the tables.

    python -m agentwhere_store.migrations URL 0002 "say what changes"
    python -m agentwhere_store.migrations URL 0001 "Foundation" --replace

``URL`` names a scratch database. It is migrated to the newest revision first; with ``--replace``, only to the one
before, and the newest is written anew. A revision that has been released is never replaced.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text

from agentwhere_store.engine import make_engine
from agentwhere_store.migrate import alembic_config
from agentwhere_store.tables import SCHEMA


def write_revision(url: str, revision: str, message: str, *, replace: bool) -> Path:
    """Write the revision's module, formatted, and return where it is."""
    if replace:
        for old in (Path(__file__).parent / "versions").glob(f"{revision}_*.py"):
            old.unlink()
    with make_engine(url).begin() as conn:
        conn.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"'))
        config = alembic_config(conn)
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        head = ScriptDirectory.from_config(config).get_current_head()
        if head is not None:
            command.upgrade(config, "head")
        command.revision(config, message, rev_id=revision, autogenerate=True)
    slug = re.sub(r"\W+", "_", message).lower()
    path = Path(__file__).parent / "versions" / f"{revision}_{slug}.py"
    for tool in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *tool, str(path)], check=True)
    return path


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("url")
    arguments.add_argument("revision")
    arguments.add_argument("message")
    arguments.add_argument("--replace", action="store_true")
    given = arguments.parse_args()
    written = write_revision(given.url, given.revision, given.message, replace=given.replace)
    sys.stdout.write(f"{written}\n")
