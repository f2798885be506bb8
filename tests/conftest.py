"""Fixtures that every test may use, and when a test of the reference data runs."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.factories import write_small_bundle

# The same examples in every run, however loaded the machine is: `make fuzz` is where chance comes in.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory):
    """The small colour bundle, opened; read-only: who wants to damage one writes one."""
    return write_small_bundle(tmp_path_factory.mktemp("bundles") / "colours")


def pytest_addoption(parser):
    """Let a golden text be written anew after its words were changed on purpose."""
    parser.addoption("--update-goldens", action="store_true", help="write the golden texts anew")


def pytest_collection_modifyitems(items):
    """Skip the tests of the reference data where there is none; where it is required, let them fail."""
    folder = os.environ.get("EDGEZSL_DATA")
    if os.environ.get("EDGEZSL_DATA_REQUIRED") or (folder and Path(folder).is_dir()):
        return
    reason = f"EDGEZSL_DATA is {folder!r}, not a folder" if folder else "EDGEZSL_DATA names no reference data"
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where the reference data is required, count a skipped test of it as failed."""
    report = yield
    if report.skipped and os.environ.get("EDGEZSL_DATA_REQUIRED") and item.get_closest_marker("data"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though EDGEZSL_DATA_REQUIRED is set: {report.longrepr}"
    return report
