"""Name the extra that brings a missing library, so that a program without it ends with one line."""

EXTRAS = {
    "argon2": "serve",
    "click": "serve",
    "jwt": "auth",
    "prometheus_client": "serve",
    "prompt_toolkit": "chat",
    "rich": "chat",
    "textual": "chat",
    "scenarios": "scenario",
    "structlog": "serve",
    "uvloop": "serve",
    "yaml": "scenario",
    "zmq": "serve",
}
"""Top-level module → the extra in pyproject.toml."""


def advice(missing: ModuleNotFoundError) -> str:
    """Return what to do about a module that is not installed; empty if no extra has it: then it is a bug of ours."""
    module = (missing.name or "").removeprefix("tsudoi.").partition(".")[0]
    extra = EXTRAS.get(module, "")
    return f"{module} is not installed here: pip install 'tsudoi[{extra}]'" if extra else ""
