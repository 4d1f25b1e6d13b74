"""Hypothesis for tests that also run on loaded machines: no time limits, the same cases each run.

A push must not turn red because a draw was unlucky or a neighbour busy. To explore further:
`settings.register_profile("lab", ...)` below without `derandomize` and with more examples.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "lab", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lab")
