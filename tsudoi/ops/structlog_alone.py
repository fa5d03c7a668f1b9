"""Import structlog without rich, which it would import, with pygments, for tracebacks in colour: a tenth of a start.

Our tracebacks are plain; structlog does without rich where that is not installed.
"""

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules  # None stands there for what can not be imported
_rich = _modules.get("rich")
_modules["rich"] = None
try:
    import structlog
finally:
    del _modules["rich"]
    if _rich is not None:
        _modules["rich"] = _rich

__all__ = ["structlog"]
