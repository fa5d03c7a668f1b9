"""How all tests look for counter-examples: the few of `make test` are the same ones at every run.

So a property test that fails shows what the change has done. `make properties` tries many, which chance chooses.
"""

from hypothesis import HealthCheck, settings

from tests.support.properties import QUICK_EXAMPLES

# They judge results, not speed: a busy machine fails none of them.
_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.register_profile("quick", _patient, max_examples=QUICK_EXAMPLES, derandomize=True, database=None)
settings.register_profile("thorough", _patient, max_examples=20 * QUICK_EXAMPLES, derandomize=False)
settings.load_profile("quick")
