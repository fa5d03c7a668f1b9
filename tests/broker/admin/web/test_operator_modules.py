"""The operator's page: its modules that decide, by `node --test`, and its files."""

import shutil
import subprocess
from pathlib import Path

from broker.admin.web.server import FOLDER
from tests.support.browser import need
from tsudoi.ops import web_files

TESTS = Path(__file__).with_name("page")


def test_the_modules_that_decide(tmp_path: Path) -> None:
    node = shutil.which("node")
    need(node, "node is not there: apt-get install nodejs")
    assert node is not None
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    shutil.copytree(TESTS, tmp_path / "tests")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    # Newer versions of node take a folder for a module, and have another reporter.
    tests = (tmp_path / "tests").glob("*.test.js")
    ran = subprocess.run(
        [node, "--test", "--test-reporter=tap", *tests], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stdout
    assert "# pass 0" not in ran.stdout


def test_all_files_are_asked_for_at_once() -> None:
    index = (FOLDER / "index.html").read_text(encoding="utf-8")
    for path in (*FOLDER.iterdir(), *web_files.SHARED_FOLDER.iterdir()):
        name = path.name
        assert name.endswith(".html") or f'href="{name}"' in index or f'src="{name}"' in index


def test_no_text_becomes_markup() -> None:
    for path in (*FOLDER.iterdir(), *web_files.SHARED_FOLDER.glob("*.js")):
        text = path.read_text(encoding="utf-8")
        assert not any(each in text for each in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("))
        assert "style=" not in text
