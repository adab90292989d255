"""Logs: JSON by setting, and never the value of a variable."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SECRET = "0xfeedfacefeedfacefeedface"
PROGRAM = """
import logging, sys
import structlog
from agentwhere_flow.logs import configure_libraries, configure_logs
from agentwhere_flow.settings import LogFormat
style = LogFormat(sys.argv[1])
configure_logs(style)
configure_libraries(style)

def sign(key):
    local_copy = key
    raise ValueError("cannot sign")

def key():
    return "".join(["0xfeed", "face"] + ["feedface"] * 2)

for log in (structlog.get_logger("ours"), logging.getLogger("theirs")):
    try:
        sign(key())
    except ValueError:
        log.exception("signing failed")
structlog.get_logger("ours").info("step finished", step="orders", rows_out=3)
"""


def logged(style: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, style], capture_output=True, text=True, check=True
    )
    assert run.stdout == ""
    return run.stderr


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_traceback_tells_where_and_what_but_no_variable(style: str) -> None:
    said = logged(style)
    assert said.count("ValueError: cannot sign") == 2
    assert "in sign" in said
    assert SECRET not in said


def test_json_is_one_object_a_line() -> None:
    ours, theirs, step = [json.loads(line) for line in logged("json").splitlines()]
    assert ours["event"] == theirs["event"] == "signing failed"
    assert ours["level"] == theirs["level"] == "error"
    assert theirs["logger"] == "theirs"
    assert "Traceback" in ours["exception"]
    assert step["rows_out"] == 3
    assert step["timestamp"].endswith("Z")


def test_text_is_for_people() -> None:
    assert "step finished" in logged("text").splitlines()[-1]
