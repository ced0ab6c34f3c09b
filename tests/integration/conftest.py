"""Fixtures of this suite."""

from collections.abc import Iterator

import pytest

from tests.bench.harness import Bench
from tests.bench.signature import Credential
from tests.bench.thread import ProxyThread
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal


@pytest.fixture
def bench(dynamodb_local: DynamoDBLocal, access_key: str) -> Iterator[Bench]:
    """The fault proxy before a table of this test alone."""
    with ProxyThread(dynamodb_local.url, {access_key: Credential(SECRET_KEY)}) as thread:
        yield Bench(dynamodb_local, access_key, thread)
