"""The rows of the state table that are the same in memory: there is no second kind of store, and none on an account."""

from collections.abc import Callable
from typing import Any

import pytest

from dynamirror.aws.state_rows import Incarnation
from dynamirror.errors import Side
from tests.contract.conftest import LOCAL, Tables


@pytest.fixture(params=["dynamodb-in-memory", LOCAL])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store_of(tables: Tables, request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """One empty state table, seen by the module's `ROWS` from the life of the task that is named."""
    tables.create("state", {"kind": "S", "id": "S"})
    return lambda life: request.module.ROWS(tables.caller(Side.STATE), "state", Incarnation(life, "arn:stream"))
