"""`pip install .`: one package and one command, both called tsudoi, beside a user's own client.py and gateway.py."""

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from tests.test_documents import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

INSTALL_S = 300.0
STOP_S = 20.0

SDK_ALONE = """
import client, sys, tsudoi
assert client.IS_MINE
assert "site-packages" in tsudoi.__file__
assert not {"click", "zmq", "structlog", "prometheus_client"} & set(sys.modules)
print(tsudoi.__name__)
"""

TWO_CHAT = """
import asyncio, sys, tsudoi

async def main(server):
    async with await tsudoi.create("den", name="alice", server=server) as alice:
        async with await tsudoi.join("den", name="bob", server=server) as bob:
            await bob.say("hello")
            async with asyncio.timeout(10):
                async for event in alice:
                    if isinstance(event, tsudoi.Message) and event.sender == "bob":
                        print(event.text)
                        break

asyncio.run(main(tsudoi.Server.parse(sys.argv[1])))
"""


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and a user's folder that is not the tree."""

    path: Path
    folder: Path

    @classmethod
    def make(cls, where: Path) -> Self:
        """Make both."""
        venv.create(where / "environment", with_pip=True)
        (where / "folder").mkdir()
        for name in ("client", "gateway", "broker", "scenarios"):
            (where / "folder" / f"{name}.py").write_text("IS_MINE = True\n")
        return cls(where / "environment", where / "folder")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.path / "bin" / command[0]), *command[1:]],
            cwd=self.folder,
            env=bare_environment(),
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
        )

    def install(self, *arguments: str) -> None:
        done = self.run("python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *arguments)
        assert done.returncode == 0, done.stderr

    def packages(self) -> set[str]:
        (site,) = self.path.glob("lib/python*/site-packages")
        return {path.name for path in site.iterdir()}


def bare_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("wheel")
    # Of a copy, since an earlier build leaves modules in the tree's build/ that may be gone by now.
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().splitlines():
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (where / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            (where / "tree" / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", where, where / "tree"], check=True, timeout=INSTALL_S)
    (wheel,) = where.glob("tsudoi-*.whl")
    return wheel


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        in_wheel = {name for name in opened.namelist() if name.startswith("tsudoi/")}
    in_tree = {
        str(path.relative_to(ROOT)) if top == "tsudoi" else f"tsudoi/{path.relative_to(ROOT)}"
        for top in ("tsudoi", "gateway", "broker", "client", "scenarios")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert in_wheel == in_tree


def test_the_sdk_needs_none_of_the_programs_packages(wheel: Path, tmp_path: Path) -> None:
    here = Environment.make(tmp_path)
    before = here.packages()
    here.install("--no-deps", str(wheel))
    assert {name.partition("-")[0] for name in here.packages() - before} == {"tsudoi"}
    here.install(str(wheel))
    done = here.run("python", "-W", "error", "-c", SDK_ALONE)
    assert (done.stdout, done.stderr) == ("tsudoi\n", "")
    assert here.run("tsudoi", "--version").stdout == f"tsudoi {wheel.name.split('-')[1]}\n"
    for program, extra in {"serve": "serve", "broker": "serve", "chat": "chat", "scenario": "scenario"}.items():
        done = here.run("tsudoi", program)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"tsudoi {program}: ")
        assert done.stderr.endswith(f" is not installed: pip install 'tsudoi[{extra}]'\n")
        assert done.stderr.count("\n") == 1


def test_an_installed_service_serves_installed_clients(wheel: Path, tmp_path: Path) -> None:
    here = Environment.make(tmp_path)
    here.install("--require-hashes", "--requirement", str(ROOT / "requirements.txt"))
    here.install("--no-deps", str(wheel))
    for flags in ((), ("--workers", "2")):
        with served(here, *flags) as server:
            done = here.run("python", "-c", TWO_CHAT, server)
            assert (done.stdout, done.stderr) == ("hello\n", "")
            done = here.run("tsudoi", "rooms", "--server", server)
            assert (done.returncode, done.stderr) == (0, "")
    # It starts a broker and gateways of its own.
    done = here.run("tsudoi", "scenario", str(ROOT / "tests/scenarios/host-leaves.yaml"))
    assert (done.returncode, done.stderr) == (0, "")


@contextmanager
def served(here: Environment, *flags: str) -> Iterator[str]:
    """Run `tsudoi serve`; yield its HOST:TCP:UDP."""
    command = [str(here.path / "bin/tsudoi"), "serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", *flags]
    with subprocess.Popen(
        command, cwd=here.folder, env=bare_environment(), stdout=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stdout is not None
            words = service.stdout.readline().split()
            assert [words[0], words[1], words[3]] == ["ready", "tcp", "udp"]
            yield f"{words[2]}:{words[4].rpartition(':')[2]}"
            service.terminate()
            assert service.wait(STOP_S) == 0
        finally:
            service.kill()
