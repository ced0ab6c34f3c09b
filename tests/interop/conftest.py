"""Fixtures of this suite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.signature import Credential
from tests.bench.thread import ProxyThread
from tests.interop.side_by_side import Keys, SideBySide
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal, new_access_key
from tests.support.kcl import Kcl


@pytest.fixture
def side(
    request: pytest.FixtureRequest, dynamodb_local: DynamoDBLocal, kcl: Kcl, access_key: str, tmp_path: Path
) -> Iterator[SideBySide]:
    """One task of this test alone, its stream shown as four shards, or as many as the marker `roots` says."""
    keys = Keys(access_key, new_access_key(), new_access_key())
    credentials = {key: Credential(SECRET_KEY, database=access_key) for key in (keys.java, keys.python)}
    roots = getattr(request, "param", 4)
    with ProxyThread(dynamodb_local.url, credentials) as thread:
        yield SideBySide(dynamodb_local, kcl, keys, thread, tmp_path, roots)
