"""The programs as commands: `python -m gateway` in the tree, `tsudoi serve`, and what they need to be installed."""

import ast
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from tests.support import forked
from tests.test_documents import ROOT
from tsudoi.cli import PROGRAMS
from tsudoi.ops.program import import_program, module_name, program_command
from tsudoi.version import __version__

PACKAGES = sorted({program.package for program in PROGRAMS.values()})


def run_bare(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python without what is installed, but for what is in a folder."""
    env = {"PYTHONPATH": str(path)} if path else {}
    return subprocess.run(
        [sys.executable, "-S", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=False
    )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the tree."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def sdk_alone(tmp_path: Path) -> Path:
    """A folder with what the SDK needs, and no more."""
    (tmp_path / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    return tmp_path


@pytest.mark.parametrize("program", PACKAGES)
def test_a_program_names_in_one_line_what_is_not_installed(program: str) -> None:
    ended = run_bare("-m", program)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{program}: ")
    assert line.endswith(f" is not installed here; `make run` installs all: then .venv/bin/python -m {program}")


def test_the_sdk_needs_no_programs_packages(sdk_alone: Path) -> None:
    assert run_bare("-m", "client", path=sdk_alone).stderr.startswith("client: click is not installed here; ")
    assert run_bare("-c", "import tsudoi; print(tsudoi.Message)", path=sdk_alone).returncode == 0
    assert "ModuleNotFoundError: No module named 'msgspec'" in run_bare("-c", "from tsudoi import join").stderr


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_command_names_the_extra_that_is_missing(name: str, sdk_alone: Path) -> None:
    ended = run_bare("-m", "tsudoi", name, path=sdk_alone)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(
        rf"tsudoi {name}: \w+ is not installed: pip install 'tsudoi\[{PROGRAMS[name].extra}\]'\n", ended.stderr
    )


def test_the_command_tells_its_version_and_programs(sdk_alone: Path) -> None:
    assert run_bare("-m", "tsudoi", "--version", path=sdk_alone).stdout == f"tsudoi {__version__}\n"
    for arguments, status in ((["--help"], 0), ([], 2)):
        ended = run_bare("-m", "tsudoi", *arguments, path=sdk_alone)
        assert ended.returncode == status
        assert all(f"  {name} " in ended.stdout for name in PROGRAMS)
    ended = run_bare("-m", "tsudoi", "nonsense", path=sdk_alone)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith("tsudoi: there is no program 'nonsense'; there are serve, ")


@pytest.mark.parametrize("arguments", [[program] for program in PACKAGES] + [["tsudoi", name] for name in PROGRAMS])
def test_ctrl_c_during_the_imports_ends_a_program_without_a_traceback(arguments: list[str], tmp_path: Path) -> None:
    # It comes in the midst of an import that each program has.
    (tmp_path / "click.py").write_text("import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "importing\n"
        program.send_signal(signal.SIGINT)
        _, error = program.communicate(timeout=20)
    assert (program.returncode, error) == (-signal.SIGINT, "")


def test_programs_do_not_import_the_sdk_with_its_package() -> None:
    # Before `__main__` runs, Ctrl-C raises wherever Python is, in a library in C too.
    ended = run("-c", "import sys, tsudoi; print(*{'msgspec', 'asyncio', 'tsudoi.errors'}.intersection(sys.modules))")
    assert ended.stdout == "\n"


def test_services_start_without_what_only_some_commands_and_settings_need() -> None:
    """With rich and Prometheus' library a gateway takes a fifth longer to start, a broker a third."""
    some = {"rich", "pygments", "prometheus_client", "http.client", "http.server", "jwt", "websockets", "asyncpg"}
    ended = run("-c", f"import gateway.cli, broker.net.service, sys; print(*{some}.intersection(sys.modules))")
    assert (ended.stdout, ended.stderr) == ("\n", "")


def test_the_installed_command_is_that_of_the_tree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["tsudoi"].partition(":")
    assert run("-c", f"import {module}; print({module}.{function}.__module__)").stdout == "tsudoi.cli\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_command_starts_each_program(name: str) -> None:
    command = [sys.executable, "-m", "tsudoi", name, "--help"]
    ended = forked.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"Usage: tsudoi {name} ")


def test_a_program_starts_others_from_its_own_tree() -> None:
    assert module_name("broker") == "broker"
    assert import_program("broker.cli") is sys.modules["broker.cli"]
    assert program_command("broker") == (sys.executable, "-m", "broker")


@pytest.mark.parametrize("name", ["Dockerfile", "docker-compose.yml"])
def test_containers_start_modules_that_exist(name: str) -> None:
    modules = re.findall(r'"-m", "([\w.]+)"', (ROOT / name).read_text(encoding="utf-8"))
    assert modules
    assert [module for module in modules if find_spec(module) is None] == []


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk over a module's statements without what only type checkers read."""
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            nodes += [inner for inner in ast.iter_child_nodes(node) if not isinstance(inner, ast.expr)]


@pytest.mark.parametrize("package", [*PACKAGES, "tsudoi"])
def test_no_program_is_imported_by_its_name_in_the_tree(package: str) -> None:
    """Installed, it has another name: imports inside a program are relative, others go by `import_program`."""
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            if any(name.split(".")[0] in PACKAGES for name in names):
                found.append(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")
    assert found == []


def test_the_installed_packages_are_those_of_the_tree() -> None:
    installed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {"tsudoi": "tsudoi"} | installed["package-dir"]
    assert sorted(installed["packages"]) == sorted(
        ".".join((package, *file.parent.relative_to(ROOT / folder).parts))
        for package, folder in folders.items()
        for file in (ROOT / folder).rglob("*.py")
        if file.name == "__init__.py"
    )
