# SPDX-License-Identifier: Apache-2.0
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

# pylint: disable=wrong-import-position,unused-wildcard-import,wildcard-import
from harness import fixtures  # noqa: E402
from harness.fixtures import *  # noqa: E402,F401,F403


def pytest_addoption(parser):
    fixtures.add_options(parser)


def pytest_configure(config):
    fixtures.configure(config)


def pytest_collection_modifyitems(config, items):
    fixtures.choose(config, items)


@pytest.fixture(scope="session")
def ringpost(binary):
    return str(binary)
