"""Options and fixtures that every test file shares."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.helpers")  # so that an assertion in a helper shows its values as well

from tests.helpers.golden import Golden  # noqa: E402  # after the line above

# kernels compile on their first example, which no deadline can know; the same examples everywhere
settings.register_profile(
    "repository", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repository")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --update-golden."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write golden files that are missing or whose stage has a new version or config",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Checks a stage against its golden file."""
    return Golden(update=bool(request.config.getoption("--update-golden")))
