"""Property tests here judge what is kept, not speed: a busy machine fails none of them."""

from hypothesis import HealthCheck, settings

settings.register_profile("contract", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("contract")
