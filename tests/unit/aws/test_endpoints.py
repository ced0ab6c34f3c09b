"""Where each service is called, in every partition, and what is said of a Region or URL that cannot be."""

from pathlib import Path

import pytest
from botocore.session import Session

from dynamirror.aws.endpoints import STREAMS, TABLES, checked_url, endpoint_url, host_of, is_regional
from dynamirror.errors import Refused


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return Session()


@pytest.mark.parametrize(
    "region,tables,streams",
    [
        ("us-west-2", "dynamodb.us-west-2.amazonaws.com", "streams.dynamodb.us-west-2.amazonaws.com"),
        ("cn-north-1", "dynamodb.cn-north-1.amazonaws.com.cn", "streams.dynamodb.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "dynamodb.us-gov-west-1.amazonaws.com", "streams.dynamodb.us-gov-west-1.amazonaws.com"),
    ],
)
def test_each_partition_has_its_own_names(session: Session, region: str, tables: str, streams: str) -> None:
    assert endpoint_url(session, TABLES, region) == f"https://{tables}/"
    assert endpoint_url(session, STREAMS, region) == f"https://{streams}/"


@pytest.mark.parametrize(
    "variable,tables",
    [
        ("AWS_USE_FIPS_ENDPOINT", "https://dynamodb-fips.us-west-2.amazonaws.com/"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "https://dynamodb.us-west-2.api.aws/"),
    ],
)
def test_fips_and_dual_stack_are_honoured(
    session: Session, monkeypatch: pytest.MonkeyPatch, variable: str, tables: str
) -> None:
    monkeypatch.setenv(variable, "true")
    assert endpoint_url(session, TABLES, "us-west-2") == tables


def test_the_configuration_file_counts_too(session: Session, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\nuse_fips_endpoint = true\n")
    assert "dynamodb-fips" in endpoint_url(session, TABLES, "us-west-2")


def test_the_environment_may_name_an_endpoint_for_each_service(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8000")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", "http://127.0.0.1:8001")
    assert endpoint_url(session, TABLES, "us-west-2") == "http://127.0.0.1:8000/"
    assert endpoint_url(session, STREAMS, "us-west-2") == "http://127.0.0.1:8001/"
    # Any Region goes with an endpoint of one's own, and a flag wins over the environment.
    assert endpoint_url(session, TABLES, "mars-1") == "http://127.0.0.1:8000/"
    assert endpoint_url(session, TABLES, "mars-1", "http://127.0.0.1:9") == "http://127.0.0.1:9/"


@pytest.mark.parametrize(
    "region,near",
    [
        ("us-esat-1", "us-east-1 or us-east-2 or us-west-1"),
        ("us-est-1", "us-east-1 or us-west-1 or us-east-2"),
        ("eu-cental-1", "eu-central-1 or "),
        ("eu-west-9", "eu-west-1 or eu-west-2 or eu-west-3"),
    ],
)
def test_an_unknown_region_is_refused_with_those_like_it_the_closest_first(
    session: Session, region: str, near: str
) -> None:
    with pytest.raises(Refused, match=rf"{region} is not a Region.*; did you mean {near}"):
        endpoint_url(session, TABLES, region)


def test_an_unknown_region_unlike_any_is_refused_without_a_guess(session: Session) -> None:
    with pytest.raises(Refused) as caught:
        endpoint_url(session, STREAMS, "zzz")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("region", ["", "us_east_1", "US-EAST-1", "us-east-1/", "us east"])
def test_what_is_no_region_at_all_is_refused_even_with_an_endpoint(session: Session, region: str) -> None:
    with pytest.raises(Refused, match="must look like us-east-1"):
        endpoint_url(session, TABLES, region, "http://127.0.0.1:8000")


@pytest.mark.parametrize(
    "given,url",
    [
        ("http://localhost:8000", "http://localhost:8000/"),
        ("https://Example.COM:443/", "https://example.com/"),
        ("http://[::1]:8000", "http://[::1]:8000/"),
        ("https://host/prefix/x", "https://host/prefix/x"),
        # The Java tool takes a bare host and speaks https to it.
        ("dynamodb.us-west-2.amazonaws.com", "https://dynamodb.us-west-2.amazonaws.com/"),
        ("localhost:8000", "https://localhost:8000/"),
    ],
)
def test_a_good_url_is_brought_into_one_form(given: str, url: str) -> None:
    assert checked_url(given) == url


@pytest.mark.parametrize(
    "given,said",
    [
        ("ftp://host", "must start with https"),
        ("", "names no host"),
        ("http://", "names no host"),
        ("http://a b", "names no host"),
        ("http://host:99999", "names no host"),
        ("http://host:x", "names no host"),
        ("http://[::1", "is not a URL"),
        ("http://host/?a=b", "must end after"),
        ("http://host/#f", "must end after"),
        ("http://host/../x", "must end after"),
        ("http://host//x", "must end after"),
        ("http://ann:secret@host", "must not hold"),
    ],
)
def test_a_bad_url_is_refused_and_no_password_is_shown(given: str, said: str) -> None:
    with pytest.raises(Refused, match=said) as caught:
        checked_url(given)
    assert "secret" not in str(caught.value)


def test_the_host_header_leaves_out_the_schemes_own_port() -> None:
    assert host_of("https://h:443/") == "h"
    assert host_of("http://h:443/") == "h:443"
    assert host_of("http://[::1]:8000/") == "[::1]:8000"


def test_a_regions_own_endpoint_is_recognised(session: Session) -> None:
    assert is_regional(session, "https://dynamodb.us-west-2.amazonaws.com", "us-west-2")
    assert is_regional(session, "dynamodb.us-west-2.amazonaws.com", "us-west-2")
    assert not is_regional(session, "https://dynamodb.us-east-1.amazonaws.com", "us-west-2")
    assert not is_regional(session, "http://localhost:8000", "us-west-2")
    assert not is_regional(session, "http://localhost:8000", "mars-1")
