"""Which hosts are this machine."""

import pytest

from dynamirror.model.loopback import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LocalHost.", "db.localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "dynamodb.us-east-1.amazonaws.com", "localhost.example", ""]
)
def test_others(host: str) -> None:
    assert not is_loopback(host)
