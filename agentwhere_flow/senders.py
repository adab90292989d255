"""The wire of alerts: apprise, which speaks to Slack, Telegram, e-mail, webhooks and a hundred others by one URL."""

from __future__ import annotations

import logging

from pydantic import SecretStr

from agentwhere_core.alerts.words import Message
from agentwhere_core.domain.errors import ConfigurationError, RemoteError

_MOST_TEXT = 300


def send(name: str, url: SecretStr, message: Message) -> None:
    """Send ``message`` to the target ``name`` at ``url``, an apprise address such as ``mailto://…`` or ``json://…``.

    Raises
    ------
    ConfigurationError
        If apprise does not know such an address.
    RemoteError
        If the target did not take the message; it says what apprise says, which names no secret.
    """
    import apprise

    service = apprise.Apprise()
    if not service.add(url.get_secret_value()):
        raise ConfigurationError(
            f"the address of alert target {name!r} is no apprise URL: put a right one with "
            f"`agentwhere secrets put alert-{name}`"
        )
    capture = apprise.LogCapture(level=logging.WARNING, fmt="%(message)s")  # type: ignore[no-untyped-call]
    with capture as said:
        arrived = service.notify(
            title=message.title, body=message.body, notify_type=apprise.NotifyType(message.tone)
        )
        why = " ".join(said.getvalue().split())[:_MOST_TEXT]
    if not arrived:
        raise RemoteError(name, why or "it did not take the message, and did not say why")
