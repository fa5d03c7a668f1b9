"""deploy/patroni: what the promise that nothing accepted is lost depends on. `make container-test` runs it."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "patroni"
SCRIPTS = sorted(FOLDER.glob("*.sh"))


def cluster() -> dict[str, object]:
    settings = yaml.safe_load((FOLDER / "patroni.yml").read_text())["bootstrap"]["dcs"]
    assert isinstance(settings, dict)
    return settings


def test_no_commit_is_on_one_machine_only() -> None:
    settings = cluster()
    assert settings["synchronous_mode"] == "quorum"
    assert settings["synchronous_mode_strict"] is True
    assert settings["postgresql"]["parameters"]["synchronous_commit"] == "on"  # type: ignore[index]


def test_a_primary_gives_up_before_another_is_promoted() -> None:
    """Patroni's rule: ttl ≥ loop_wait + 2 × retry_timeout, and not below 20."""
    settings = cluster()
    ttl, loop_wait, retry_timeout = (settings[key] for key in ("ttl", "loop_wait", "retry_timeout"))
    assert isinstance(ttl, int)
    assert isinstance(loop_wait, int)
    assert isinstance(retry_timeout, int)
    assert 20 <= ttl <= 30
    assert ttl >= loop_wait + 2 * retry_timeout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_can_be_run(script: Path) -> None:
    assert os.access(script, os.X_OK)
    subprocess.run(["sh", "-n", str(script)], check=True)


def test_the_image_has_the_scripts_that_are_called_in_it() -> None:
    image = (FOLDER / "Dockerfile").read_text()
    called = "".join(path.read_text() for path in (FOLDER / "patroni.yml", FOLDER.parents[1] / "docker-compose.yml"))
    names = re.findall(r"/etc/patroni/(\w+\.sh)", called + image)
    assert names
    for name in names:
        assert (FOLDER / name).is_file()
        assert name in image
