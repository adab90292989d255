"""How every process of ours logs: lines for people, or one JSON object a line for programs, on standard error.

A traceback shows where an error arose and what it said, never the values of variables: a signing key may be among them.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from agentwhere_flow.settings import LogFormat


def configure_logs(style: LogFormat, level: int = logging.INFO) -> None:
    """Let what this process says of itself be written in ``style``, from ``level`` on."""
    structlog.configure(
        processors=[*_BEFORE, structlog.dev.set_exc_info, *_ending(style)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Asked for at each message: standard error may be another one by then.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def configure_libraries(style: LogFormat, level: int = logging.WARNING) -> None:
    """Let what libraries log be written in the same way; for processes of which we are the master."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_BEFORE, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_ending(style),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)


_BEFORE: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.StackInfoRenderer(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _ending(style: LogFormat) -> list[Any]:
    if style is LogFormat.JSON:
        # Plain text of the traceback: structlog's structured one lists local variables.
        return [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
    # The default formatter prints local variables wherever rich is installed.
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]
