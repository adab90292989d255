"""run.py's promises, kept offline: a small checkout, and wheels made here instead of an index."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
# The interpreter that a newcomer starts run.py with: it has pip, and none of our packages.
PYTHON = getattr(sys, "_base_executable", sys.executable)
UV = Path(sys.prefix, "bin/uv")
by_both = pytest.mark.parametrize("checkout", ["uv", "pip"], indirect=True)
CLI = """
import json, os, sys
import aw_tiny
print(json.dumps({
    "arguments": sys.argv[1:],
    "version": aw_tiny.VERSION,
    "home": os.environ["AGENTWHERE_HOME"],
    "without_bytecode": "PYTHONDONTWRITEBYTECODE" in os.environ,
    "pyc": aw_tiny.__cached__ and os.path.exists(aw_tiny.__cached__),
}))
"""


def make_wheel(folder: Path, name: str, version: str) -> str:
    """Write a wheel with one module, and return its line of a lock."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
        rows.append(f"{path},sha256={digest.rstrip('=')},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


@dataclass
class Checkout:
    """A small checkout, with a home and a user's HOME of its own."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "state"

    @property
    def user_home(self) -> Path:
        return self.root / "user"

    @property
    def lock(self) -> Path:
        return self.root / "repo/requirements.lock"

    def write_lock(self, version: str) -> None:
        wheels = self.root / "wheels"
        # This uv has no program inside: run.py has to go on with pip.
        entries = [make_wheel(wheels, "aw-tiny", version), make_wheel(wheels, "uv", "0.0.1")]
        self.lock.write_text("".join(entries))

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.user_home),
            "AGENTWHERE_HOME": str(self.home),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.root / "wheels"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **settings,
        }
        return subprocess.Popen(
            [PYTHON, str(self.root / "repo/run.py"), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        with self.start(*arguments, **settings) as process:
            output, errors = process.communicate(timeout=120)
        return process.returncode, output, errors


@pytest.fixture
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Checkout:
    """A checkout that was never run, whose set-up goes by uv, or by pip if the test says so."""
    installer = getattr(request, "param", "uv" if UV.exists() else "pip")
    made = Checkout(tmp_path)
    for folder in ("repo/agentwhere_app", "wheels", "user", "state"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(REPO / "run.py", tmp_path / "repo")
    (tmp_path / "repo/agentwhere_app/__init__.py").touch()
    (tmp_path / "repo/agentwhere_app/cli.py").write_text(CLI)
    made.write_lock("1.0")
    if installer == "uv":
        if not UV.exists():
            pytest.skip(f"no uv in {UV.parent}: this environment was installed by pip")
        (made.home / "uv/bin").mkdir(parents=True)
        (made.home / "uv/bin/uv").symlink_to(UV)
    return made


@by_both
def test_the_first_run_installs_and_hands_over(checkout: Checkout) -> None:
    code, output, errors = checkout.run("cycle", "--json")
    assert code == 0, errors
    assert json.loads(output) == {
        "arguments": ["cycle", "--json"],
        "version": "1.0",
        "home": str(checkout.home),
        "without_bytecode": False,
        "pyc": True,
    }
    assert "installing the packages" in errors


def test_a_later_run_does_nothing_but_hand_over(checkout: Checkout) -> None:
    checkout.run()
    shutil.rmtree(checkout.root / "wheels")
    code, output, errors = checkout.run("status")
    assert (code, errors) == (0, "")
    assert json.loads(output)["arguments"] == ["status"]


@by_both
def test_nothing_is_written_outside_the_home(checkout: Checkout) -> None:
    checkout.run()
    assert list(checkout.user_home.iterdir()) == []
    made = {path.name for path in (checkout.root / "repo").iterdir()}
    assert made == {"run.py", "requirements.lock", "agentwhere_app"}


def test_a_changed_lock_is_installed(checkout: Checkout) -> None:
    checkout.run()
    checkout.write_lock("2.0")
    code, output, errors = checkout.run()
    assert code == 0, errors
    assert json.loads(output)["version"] == "2.0"


@by_both
def test_a_package_that_is_not_the_locked_one_is_refused(checkout: Checkout) -> None:
    locked = checkout.lock.read_text()
    checkout.write_lock("1.0")
    wheel = checkout.root / "wheels/aw_tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("evil.py", "")
    checkout.lock.write_text(locked)
    code, output, errors = checkout.run()
    assert (code, output) == (2, "")
    assert "the step above failed" in errors
    checkout.write_lock("1.0")
    assert checkout.run()[0] == 0


def test_a_set_up_that_was_killed_is_begun_anew(checkout: Checkout) -> None:
    with checkout.start() as killed:
        while not (checkout.home / "venv/bin/python").exists():
            assert killed.poll() is None
            time.sleep(0.002)
        killed.send_signal(signal.SIGKILL)
    (checkout.home / "venv/pyvenv.cfg").unlink(missing_ok=True)
    code, output, errors = checkout.run()
    assert code == 0, errors
    assert json.loads(output)["version"] == "1.0"


def test_two_runs_at_once_set_up_once(checkout: Checkout) -> None:
    runs = [checkout.start("a"), checkout.start("b")]
    said = []
    for process in runs:
        with process:
            output, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
            assert json.loads(output)["version"] == "1.0"
            said.append(errors)
    assert "".join(said).count("agentwhere: ready after") == 1


def test_a_home_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = {**os.environ, "AGENTWHERE_HOME": str(tmp_path / "file/home")}
    outcome = run_script([PYTHON, str(REPO / "run.py"), "status"], environment)
    assert outcome.returncode == 2
    assert "Set AGENTWHERE_HOME to a folder that you can write to" in outcome.stderr


def test_a_python_that_is_too_old_is_told_so(tmp_path: Path) -> None:
    pretend = "import sys, runpy; sys.version_info = (3, 9, 2, 'final', 0); "
    pretend += f"runpy.run_path({str(REPO / 'run.py')!r}, run_name='__main__')"
    outcome = run_script([PYTHON, "-c", pretend], {**os.environ, "AGENTWHERE_HOME": str(tmp_path)})
    assert outcome.returncode == 2
    assert "needs Python 3.11 or newer, and this is Python 3.9.2" in outcome.stderr


def run_script(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
