#!/usr/bin/env python3
"""Set up Agent Where's own environment, then hand over to it; needs only Python 3.11 and pip.

    python3 run.py up               everything: PostgreSQL, simulator, Dagster
    python3 run.py test [ARGS]      the test suite; ARGS go to pytest
    python3 run.py lock             write requirements.lock anew from pyproject.toml
    python3 run.py dev TOOL [ARGS]  a tool of the environment: ruff, mypy, lint-imports, dagster …
    python3 run.py ANYTHING ELSE    the `agentwhere` command line, e.g. `cycle --json`

The environment lives in ``$AGENTWHERE_HOME/venv`` (default ``.agentwhere`` beside this file) and is
installed from ``requirements.lock``, every file checked against its hash. Nothing is written
outside that home. Packages come from wherever pip is configured to take them. A stamp with the
lock's hash is written last: while it matches, a run goes straight to the command; a set-up that was
killed leaves no stamp and is begun anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

REPO = Path(__file__).resolve().parent
LOCK = REPO / "requirements.lock"
OLDEST_PYTHON = (3, 11)
MOST_TEST_WORKERS = 8


class SetupError(Exception):
    """The environment could not be made; the message says why and what to do."""


def main(arguments: list[str]) -> None:
    """Make the environment if it is not there yet, then become the command that was asked for."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(str(part) for part in sys.version_info[:3])
        give_up(f"needs Python 3.11 or newer, and this is Python {found}. Use a newer python3.")
    if os.name != "posix":
        give_up("runs on Linux and macOS. On Windows, run it inside WSL.")
    try:
        home = open_home()
        if not is_ready(home):
            set_up(home)
        command, environment = plan(arguments, home)
    except SetupError as error:
        give_up(str(error))
    except KeyboardInterrupt:
        give_up("interrupted; the next run begins the set-up anew.", exit_code=130)
    sys.stdout.flush()
    os.execve(command[0], command, environment)


def plan(arguments: list[str], home: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment that this process is to become."""
    environment = service_environment(home)
    python = str(venv_python(home))
    match arguments:
        case ["test", *rest]:
            os.chdir(REPO)
            environment.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(home / "cache/hypothesis"))
            # Workers must collect the same tests in the same order, parameters from sets included.
            environment.setdefault("PYTHONHASHSEED", "0")
            cache = f"cache_dir={home / 'cache/pytest'}"
            return [python, "-m", "pytest", "-o", cache, *test_workers(rest), *rest], environment
        case ["lock", *rest]:
            os.chdir(REPO)
            return lock_command(home, rest), uv_environment(home, pip_command(home))
        case ["dev", tool, *rest]:
            os.chdir(REPO)
            executable = home / "venv/bin" / tool
            if not executable.exists():
                raise SetupError(f"there is no tool {tool} in {executable.parent}.")
            return [str(executable), *rest], environment
        case _:
            return [python, "-P", "-m", "agentwhere_app.cli", *arguments], environment


def service_environment(home: Path) -> dict[str, str]:
    """Return this process's environment, turned to the home, the venv and this checkout."""
    environment = {**os.environ, "AGENTWHERE_HOME": str(home), "VIRTUAL_ENV": str(home / "venv")}
    environment["PATH"] = f"{home / 'venv/bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    inherited = environment.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = f"{REPO}{os.pathsep}{inherited}" if inherited else str(REPO)
    # Without .pyc files `import dagster` takes twice as long, in every run.
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME"):
        environment.pop(name, None)
    return environment


def test_workers(arguments: list[str]) -> list[str]:
    """Return pytest-xdist's options for this machine's cores, or none where the caller chose."""
    chosen = ("-n", "--numprocesses", "-p", "--pdb", "--collect-only", "--co")
    if any(argument.startswith(chosen) for argument in arguments):
        return []
    return ["-n", str(min(usable_cores(), MOST_TEST_WORKERS)), "--dist", "worksteal"]


def usable_cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def lock_command(home: Path, arguments: list[str]) -> list[str]:
    """Return the command that resolves pyproject.toml into requirements.lock."""
    if uv_executable(home) is None:
        raise SetupError(f"the lock is made by uv, which is not in {home / 'uv'}.")
    command = [str(home / "uv/bin/uv"), "pip", "compile", "--quiet", "--universal"]
    command += ["--generate-hashes", "--no-annotate", "--group", "pyproject.toml:dev"]
    command += ["--python-version", "3.11", "--custom-compile-command", "python3 run.py lock"]
    return [*command, "--output-file", "requirements.lock", *arguments, "pyproject.toml"]


def open_home() -> Path:
    """Return AGENTWHERE_HOME as an absolute folder that exists and can be written.

    Raises
    ------
    SetupError
        When the folder cannot be made or written by this user.
    """
    set_it = "Set AGENTWHERE_HOME to a folder that you can write to."
    configured = os.environ.get("AGENTWHERE_HOME")
    home = Path(configured).expanduser().absolute() if configured else REPO / ".agentwhere"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"cannot make its home {home} ({error.strerror}). {set_it}") from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise SetupError(f"cannot write to its home {home}. {set_it}")
    return home


def venv_python(home: Path) -> Path:
    """Return the environment's interpreter."""
    return home / "venv/bin/python"


def stamp_file(home: Path) -> Path:
    """Return the file whose content says which lock the environment was installed from."""
    return home / "venv/agentwhere-lock.sha256"


def lock_digest() -> str:
    """Return the lock's hash, which is what the stamp must say."""
    try:
        return hashlib.sha256(LOCK.read_bytes()).hexdigest()
    except OSError as error:
        raise SetupError(
            f"cannot read {LOCK} ({error.strerror}). Is the checkout whole?"
        ) from error


def is_ready(home: Path) -> bool:
    """Tell whether the environment was installed from this very lock and its interpreter exists."""
    try:
        stamped = stamp_file(home).read_text()
    except OSError:
        return False
    return stamped == lock_digest() and venv_python(home).exists()


def set_up(home: Path) -> None:
    """Install the environment from the lock; only one process per home does so at a time."""
    with exclusive(home):
        if is_ready(home):
            return
        started = time.monotonic()
        say(f"setting up {home / 'venv'} from {LOCK.name} (once; later runs skip this)")
        updating = stamp_file(home).exists() and venv_python(home).exists()
        stamp_file(home).unlink(missing_ok=True)
        if not updating:
            shutil.rmtree(home / "venv", ignore_errors=True)
        pip = pip_command(home)
        uv = install_uv(home, pip)
        if uv is not None:
            install_with_uv(home, uv, uv_environment(home, pip))
        else:
            install_with_pip(home, pip)
        write_stamp(home)
        say(f"ready after {time.monotonic() - started:.0f} s")


@contextmanager
def exclusive(home: Path) -> Iterator[None]:
    """Hold the home's set-up lock, waiting for another set-up to end; a killed holder frees it.

    Its steps inherit the lock: an installer that outlives a killed set-up is waited for.
    """
    import fcntl  # POSIX only; elsewhere main() has said so

    with (home / "setup.lock").open("w") as handle:
        os.set_inheritable(handle.fileno(), True)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up of this home")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_stamp(home: Path) -> None:
    """Record what is installed, in one step: a kill leaves either no stamp or a whole one."""
    partial = stamp_file(home).with_suffix(".partial")
    partial.write_text(lock_digest())
    partial.replace(stamp_file(home))


def pip_command(home: Path) -> list[str]:
    """Return a working pip: this Python's own, or one that ensurepip unpacks inside the home."""
    own = [sys.executable, "-m", "pip"]
    if succeeds([*own, "--version"]):
        return own
    bundled = home / "pip/bin/python"
    if bundled.exists() or succeeds([sys.executable, "-m", "venv", "--clear", str(home / "pip")]):
        return [str(bundled), "-m", "pip"]
    raise SetupError(
        f"{sys.executable} has no pip. Install it (Debian, Ubuntu: apt-get install python3-pip; "
        "Fedora: dnf install python3-pip; else: python3 -m ensurepip) and run this again."
    )


def install_uv(home: Path, pip: list[str]) -> Path | None:
    """Install uv into the home by pip, checked against the lock's hash; None if it cannot be."""
    if uv := uv_executable(home):
        return uv
    shutil.rmtree(home / "uv", ignore_errors=True)
    pinned = home / "requirement-uv.txt"
    pinned.write_text(locked_requirement("uv"))
    command = [*pip, "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--requirement", str(pinned), "--target", str(home / "uv")]
    run_step("fetching the installer (uv)", command, pip_environment(home))
    pinned.unlink()
    return uv_executable(home)


def uv_executable(home: Path) -> Path | None:
    """Return the home's uv when it is there and starts, else None."""
    uv = home / "uv/bin/uv"
    return uv if uv.exists() and succeeds([str(uv), "--version"]) else None


def install_with_uv(home: Path, uv: Path, environment: dict[str, str]) -> None:
    """Make the environment equal to the lock, compiled to bytecode."""
    python = venv_python(home)
    if not python.exists():
        venv = [str(uv), "venv", "--quiet", "--python", sys.executable, str(home / "venv")]
        require(run_step("making the virtual environment", venv, environment))
    sync = [str(uv), "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"]
    sync += ["--python", str(python), str(LOCK)]
    require(run_step("installing the packages, about half a minute", sync, environment))


def install_with_pip(home: Path, pip: list[str]) -> None:
    """Do the same without uv: slower, and packages that left the lock stay behind."""
    say("uv could not be installed; going on with pip, which takes some minutes")
    python = venv_python(home)
    environment = pip_environment(home)
    if not python.exists():
        venv = [sys.executable, "-m", "venv", "--without-pip", str(home / "venv")]
        require(run_step("making the virtual environment", venv, environment))
    rest = home / "requirements-without-uv.txt"
    rest.write_text(LOCK.read_text().replace(locked_requirement("uv"), ""))
    install = [*pip, "--python", str(python), "install", "--quiet", "--no-deps"]
    install += ["--require-hashes", "--requirement", str(rest)]
    require(run_step("installing the packages", install, environment))
    rest.unlink()
    compiling = [str(python), "-m", "compileall", "-q", "-j", "0", str(home / "venv/lib")]
    # Packages ship templates that are no valid Python: its exit code says no more than that.
    run_step("compiling", compiling, environment)


def locked_requirement(name: str) -> str:
    """Return one package's entry of the lock, with its hashes."""
    entry = re.search(rf"^{name}==(?:.*\\\n)*.*\n", LOCK.read_text(), re.MULTILINE)
    if entry is not None:
        return entry[0]
    raise SetupError(f"{LOCK} does not list {name}. Restore it, or run `python3 run.py lock`.")


def uv_environment(home: Path, pip: list[str]) -> dict[str, str]:
    """Return the environment for uv: its cache in the home, pip's package sources."""
    defaults = {"UV_CACHE_DIR": str(home / "cache/uv"), "UV_PYTHON_DOWNLOADS": "never"}
    if not Path("~/.local/share/uv/credentials").expanduser().exists():
        defaults["UV_CREDENTIALS_DIR"] = str(home / "cache/uv-credentials")
    return {**defaults, **clean_environment(), **index_settings(pip)}


def index_settings(pip: list[str]) -> dict[str, str]:
    """Return pip's configured package sources as uv's variables, where the user set none."""
    configured = pip_configuration(pip)
    extra_indexes = configured.get("extra-index-url", "").split()
    wanted = {
        "UV_DEFAULT_INDEX": configured.get("index-url", ""),
        "UV_INDEX": " ".join(extra_indexes),
        "UV_FIND_LINKS": ",".join(configured.get("find-links", "").split()),
        "UV_NO_INDEX": configured.get("no-index", ""),
        "UV_INSECURE_HOST": " ".join(configured.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": configured.get("default-timeout", configured.get("timeout", "")),
        "SSL_CERT_FILE": configured.get("cert", ""),
        "ALL_PROXY": configured.get("proxy", ""),
        # Like pip, trust the system's certificates and ask every index: hashes tell what is right.
        "UV_SYSTEM_CERTS": "true",
        "UV_INDEX_STRATEGY": "unsafe-best-match" if extra_indexes else "",
    }
    if {"UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL"} & os.environ.keys():
        for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_STRATEGY"):
            del wanted[name]
    return {key: value for key, value in wanted.items() if value and key not in os.environ}


def pip_configuration(pip: list[str]) -> dict[str, str]:
    """Return pip's settings from its files and variables, the stronger source winning."""
    listed = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False)
    strength = {"global": 0, "install": 1, ":env:": 2}
    found: list[tuple[int, str, str]] = []
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.strip().rpartition(".")
        if section in strength:
            found.append((strength[section], name, value.strip().strip("'\"").replace("\\n", " ")))
    return {name: value for _, name, value in sorted(found)}


def clean_environment() -> dict[str, str]:
    """Return the environment without what would turn pip or uv to another place than the home."""
    misleading = {"PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"}
    misleading |= {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIREMENT", "PIP_CONSTRAINT"}
    return {key: value for key, value in os.environ.items() if key not in misleading}


def pip_environment(home: Path) -> dict[str, str]:
    """Return the environment for pip: its cache in the home, its user-wide switches off."""
    fixed = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    fixed["PIP_ROOT_USER_ACTION"] = "ignore"
    return {"PIP_CACHE_DIR": str(home / "cache/pip"), **clean_environment(), **fixed}


def run_step(title: str, command: list[str], environment: dict[str, str]) -> bool:
    """Run one step of the set-up, saying what it is and how long it took."""
    started = time.monotonic()
    say(f"  {title} …")
    try:
        status = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, check=False
        ).returncode
    except OSError as error:
        say(f"  {command[0]}: {error.strerror}")
        return False
    outcome = "done" if status == 0 else f"failed with exit code {status}"
    say(f"  {title}: {outcome} ({time.monotonic() - started:.1f} s)")
    return status == 0


def require(succeeded: bool) -> None:
    """Stop the set-up at a step that failed."""
    if not succeeded:
        raise SetupError(
            "the step above failed. Check the network and pip's configuration (`pip config list`), "
            "then run the same command again: what was fetched is kept."
        )


def succeeds(command: list[str]) -> bool:
    """Tell whether a command exits with 0; its output is dropped."""
    try:
        return (
            subprocess.run(
                command, capture_output=True, env=clean_environment(), check=False
            ).returncode
            == 0
        )
    except OSError:
        return False


def say(line: str) -> None:
    """Print a line of progress on standard error, so that a command's own output stays clean."""
    print(f"agentwhere: {line}", file=sys.stderr, flush=True)


def give_up(reason: str, exit_code: int = 2) -> NoReturn:
    """Say why this cannot go on, and leave."""
    say(reason)
    sys.exit(exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
