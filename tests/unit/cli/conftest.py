"""A request-manager that answers by script."""

import pytest

from tests.support.cli import FakeRequestManager


@pytest.fixture
def api() -> FakeRequestManager:
    return FakeRequestManager()
