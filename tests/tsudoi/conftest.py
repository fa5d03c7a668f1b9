"""Property tests here judge results, not speed: a busy machine fails none of them."""

from hypothesis import HealthCheck, settings

settings.register_profile("tsudoi", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tsudoi")
