"""The command line of a broker that belongs to a gateway, whether it is a process of its own or not."""

from pathlib import Path


def broker_arguments(endpoint: str, data: Path, config: Path | None, log_format: str) -> list[str]:
    """Return the arguments of `python -m broker`.

    Args:
        endpoint: where the gateway will connect.
        data: the directory of its store.
        config: a file with settings, of which the broker reads its own table.
        log_format: of its log.
    """
    arguments = ["--log-level", "warning", "--log-format", log_format, "--bind", endpoint]
    arguments += ["--store", f"sqlite:{(data / 'tsudoi.sqlite').resolve()}"]
    return arguments + (["--config", str(config.resolve())] if config else [])
