"""Everything that Agent Where raises on purpose.

AgentWhereError
├── ConfigurationError      a setting, key or row is missing or wrong
│   ├── NoSuchThingError    somebody names an agent, a deployment, … that is not there
│   └── AlreadyThereError   somebody makes what exists, under a name that is taken
├── InvariantError          our own data contradicts itself; nothing is guessed
├── LeaseHeldError          another process is doing this step now
├── IllegalTransitionError  an order may not move between these two states
└── RemoteError             something on the far side of a wire
    ├── UnreachableError    no connection, or the request was never sent
    ├── TimedOutError       sent, but no answer in time: the outcome is unclear
    ├── RateLimitedError    told to slow down; carries ``retry_at``
    ├── ServerFaultError    5xx: the outcome of a write is unclear
    ├── RefusedError        4xx or a definite refusal in the body
    ├── NotFoundError       the thing asked for is not there, or suspended
    └── MalformedReplyError the answer does not follow the protocol
"""

from __future__ import annotations

from datetime import datetime


class AgentWhereError(Exception):
    """Base of all errors that the product raises on purpose."""


class ConfigurationError(AgentWhereError):
    """A setting, key or row is missing or wrong; the message says which and how to set it."""


class NoSuchThingError(ConfigurationError):
    """Nothing of that name or id exists; the message says where to look for those that do."""


class AlreadyThereError(ConfigurationError):
    """The name or account is taken; the message says by what."""


class InvariantError(AgentWhereError):
    """Our own data contradicts itself."""


class LeaseHeldError(AgentWhereError):
    """Another process holds the lease of this step."""


class IllegalTransitionError(AgentWhereError):
    """An order may not move from its state to the one asked for."""


class RemoteError(AgentWhereError):
    """Base of errors on the far side of a wire.

    Parameters
    ----------
    service
        Who was asked, e.g. ``"hyperliquid"`` or ``"x"``.
    message
        What happened and what to do about it.
    """

    def __init__(self, service: str, message: str) -> None:
        super().__init__(f"{service}: {message}")
        self.service = service


class UnreachableError(RemoteError):
    """No connection was made: nothing was sent."""


class TimedOutError(RemoteError):
    """The request left, and no answer came in time."""


class RateLimitedError(RemoteError):
    """The service asked to slow down.

    Parameters
    ----------
    retry_at
        Earliest time for another try, if the service named one.
    """

    def __init__(self, service: str, message: str, retry_at: datetime | None = None) -> None:
        super().__init__(service, message)
        self.retry_at = retry_at


class ServerFaultError(RemoteError):
    """The service failed (5xx)."""


class RefusedError(RemoteError):
    """The service understood and refused.

    Parameters
    ----------
    body
        What it answered, for those who know its codes.
    """

    def __init__(self, service: str, message: str, body: str = "") -> None:
        super().__init__(service, message)
        self.body = body


class NotFoundError(RemoteError):
    """The thing asked for does not exist, or is suspended."""


class MalformedReplyError(RemoteError):
    """The reply does not follow the protocol."""
