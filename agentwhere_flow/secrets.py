"""Secrets: from the environment, or from files that only the owner can read. Never from the database, never logged."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from pydantic import SecretStr

from agentwhere_core.domain.errors import ConfigurationError

_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


class SecretStore:
    """Named secrets of one home.

    ``get("alice-hyperliquid")`` reads the environment variable ``AGENTWHERE_SECRET_ALICE_HYPERLIQUID``, else the file
    ``<home>/secrets/alice-hyperliquid``.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "secrets"

    def get(self, name: str) -> SecretStr:
        """Return the secret called ``name``.

        Raises
        ------
        ConfigurationError
            If it is nowhere, or its file can be read by others.
        """
        self._check_name(name)
        variable = f"AGENTWHERE_SECRET_{name.upper().replace('-', '_')}"
        if value := os.environ.get(variable):
            return SecretStr(value)
        path = self._folder / name
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            raise ConfigurationError(
                f"no secret {name!r}: set {variable}, or write it with `agentwhere secrets put {name}`"
            ) from None
        if mode & 0o077:
            raise ConfigurationError(
                f"secret {name!r} can be read by other users: run `chmod 600 {path}`"
            )
        return SecretStr(path.read_text().strip())

    def has(self, name: str) -> bool:
        """Return whether the secret can be read."""
        try:
            self.get(name)
        except ConfigurationError:
            return False
        return True

    def put(self, name: str, value: str) -> None:
        """Write a secret to its file, replacing it whole or not at all."""
        self._check_name(name)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self._folder / f".{name}.{os.getpid()}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._folder / name)

    @staticmethod
    def _check_name(name: str) -> None:
        if not _NAME.match(name):
            raise ConfigurationError(
                f"{name!r} is no name for a secret: use lower-case letters, digits and hyphens"
            )
