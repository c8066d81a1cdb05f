# SPDX-License-Identifier: Apache-2.0
"""wait - no test sleeps for a fixed time: it waits for a condition, up to a deadline."""
import os
import time

# Sanitizers and busy machines need more patience; nothing that passes gets slower by it.
PATIENCE = float(os.environ.get("RINGPOST_TEST_PATIENCE", "1"))


def until(condition, seconds=15.0, what="the condition", every=0.01):
    """Returns the first true value of condition(). what: text, or a function for the failure."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            told = what() if callable(what) else what
            raise AssertionError(f"waited {seconds * PATIENCE:g} s in vain for {told}")
        time.sleep(every)


def stays(condition, seconds, what="the condition"):
    """The condition holds now and at every look for so long (for things that must not happen)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not condition():
            told = what() if callable(what) else what
            raise AssertionError(f"no longer true: {told}")
        time.sleep(0.02)
