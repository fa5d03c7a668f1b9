"""Every frame between gateways and broker, as values: no I/O and no clock; ARCHITECTURE.md, "Backbone".

Write `backbone.Publish`, `backbone.encode`: the package exports all names of the modules below. `admin_frames` is
imported by itself.
"""

# ruff: noqa: F403
from .codec import *
from .endpoint import *
from .from_broker import *
from .from_gateway import *
from .log import *
from .packing import *
from .shards import *
from .topics import *
from .wire import *
