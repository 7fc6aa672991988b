"""What every test shares: hypothesis profiles, and Ray's environment before anything imports ray."""

import os
import signal

from hypothesis import settings

# Under `uv run` Ray would rebuild the workers' environment without the test packages.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"

settings.register_profile("dev", max_examples=25, deadline=None)
# In CI the examples follow from the test alone, so that a change is judged by itself; elsewhere they are new each time.
settings.register_profile("ci", max_examples=200, deadline=None, database=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# Whoever starts the tests in the background may have them ignore these, and a program inherits what is ignored: tests
# that interrupt a command would then wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
