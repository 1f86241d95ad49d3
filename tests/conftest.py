"""Options and fixtures that every test file shares, and how files are shared out to parallel workers."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.helpers")  # so that an assertion in a helper shows its values as well

from tests.helpers.build import SHARED  # noqa: E402  # after the line above
from tests.helpers.golden import Golden  # noqa: E402

os.environ["BICORPUS_LANG"] = "en"  # tests compare messages in English wherever they run

# kernels compile on their first example, which no deadline can know; the same examples everywhere
settings.register_profile(
    "repository", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repository")


RAY = ("test_engines", "test_end_to_end", "test_secrets", "test_whole_recipe")
"""Files that start Ray: all in one worker, since Ray joins a cluster that it finds on the machine."""

LONG = (
    *RAY,
    "test_contract",
    "test_crash",
    "test_hostile_pages",
    "test_extract",
    "test_import_tables",
    "test_passages",
)
"""Files that take longest: first, so that no worker is left alone with one of them at the end."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that all workers share, before they start."""
    if SHARED not in os.environ:
        folder = tempfile.mkdtemp(prefix="bicorpus-test-")
        os.environ[SHARED] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker of pytest-xdist whole files, because their tests share builds; Any: its types may be missing."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            name = Path(nodeid.partition("::")[0]).stem
            return "ray" if name in RAY else name

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first where workers share them."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.path.stem not in LONG)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --update-golden."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write golden files that are missing or whose stage has a new version or config",
    )


@pytest.fixture(autouse=True)
def own_path() -> Iterator[None]:
    """Remove the folders that run files add to sys.path for modules beside them."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Checks a stage against its golden file."""
    return Golden(update=bool(request.config.getoption("--update-golden")))
