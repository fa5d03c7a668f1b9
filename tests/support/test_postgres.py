"""tests/support/postgres.py: what ends a server whose tests were killed ends nothing else."""

import subprocess
from pathlib import Path

import pytest

from tests.support.postgres import _WATCH


@pytest.mark.parametrize("is_gone", [False, True])
def test_the_server_is_ended_and_no_process_that_has_its_number_now(is_gone: bool, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path if is_gone else folder) as process:
        (folder / "postmaster.pid").write_text(f"{process.pid}\n{folder}\n")
        subprocess.run(["sh", "-c", _WATCH, str(folder)], stdin=subprocess.DEVNULL, check=True, timeout=10)
        assert not folder.exists()
        try:
            if is_gone:
                assert process.poll() is None
            else:
                assert process.wait(10) != 0
        finally:
            process.kill()
