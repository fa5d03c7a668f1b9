"""The page's modules that decide, by `node --test`: the codec, the rooms' state, lines and commands."""

import shutil
import subprocess
from pathlib import Path

from gateway.listeners.web import PAGE_FOLDER
from tests.support.browser import need
from tsudoi.ops import web_files

TESTS = Path(__file__).with_name("page")
VECTORS = Path(__file__).parents[2] / "vectors" / "web.json"


def test_the_modules_that_decide(tmp_path: Path) -> None:
    node = shutil.which("node")
    need(node, "node is not there: apt-get install nodejs")
    assert node is not None
    shutil.copytree(PAGE_FOLDER, tmp_path, dirs_exist_ok=True)
    shutil.copytree(TESTS, tmp_path / "tests")
    shutil.copy(VECTORS, tmp_path / "tests")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    # Newer versions of node take a folder for a module, and have another reporter.
    tests = (tmp_path / "tests").glob("*.test.js")
    ran = subprocess.run(
        [node, "--test", "--test-reporter=tap", *tests], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stdout
    assert "# fail 0" in ran.stdout
    assert "# pass 0" not in ran.stdout


def test_a_first_load_is_small() -> None:
    files = web_files.load(PAGE_FOLDER).values()
    assert sum(len(file.zipped) for file in files) <= 60 * 1024


def test_every_module_is_asked_for_at_once() -> None:
    """A module that only another one names would come a round trip later."""
    index = (PAGE_FOLDER / "index.html").read_text(encoding="utf-8")
    for path in (*PAGE_FOLDER.iterdir(), *web_files.SHARED_FOLDER.iterdir()):
        name = path.name
        assert name.endswith((".html", "-unread.svg")) or f'href="{name}"' in index or f'src="{name}"' in index
