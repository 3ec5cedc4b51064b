"""The tests of the golden path run in order; after a failure the later ones are skipped with its name as reason."""

from collections.abc import Generator

import pytest

FAILED = pytest.StashKey[str]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and item.parent is not None:
        item.parent.stash.setdefault(FAILED, item.name)
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    failed = item.parent.stash.get(FAILED, None) if item.parent is not None else None
    if failed is not None:
        pytest.skip(f"{failed} failed before it")
