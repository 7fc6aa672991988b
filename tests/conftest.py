"""What every test shares: hypothesis profiles, and Ray's environment before anything imports ray."""

import os

from hypothesis import settings

# Under `uv run` Ray would rebuild the workers' environment without the test packages.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
