"""Property tests here judge decisions, not speed: a busy machine fails none of them."""

from hypothesis import HealthCheck, settings

settings.register_profile("gateway", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gateway")
