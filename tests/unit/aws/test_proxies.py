"""Which proxy a URL is called through, and that a variable which cannot be used tells nothing of its value."""

import traceback

import pytest

from dynamirror.aws.proxies import Proxies
from dynamirror.errors import Refused

HTTPS, HTTP = "https://dynamodb.us-east-1.amazonaws.com/", "http://127.0.0.1:8000/"

UNUSABLE = [
    "http://zoe:s3cr/et@127.0.0.1:9",
    "http://zoe:s3cr?et@127.0.0.1:9",
    "http://zoe:s3cr#et@127.0.0.1:9",
    # These would be called at the host "zoe".
    "http://zoe:1234/s3cret@127.0.0.1:9",
    "zoe:1234#s3cret@127.0.0.1:9",
    "zoe:s3cr/et@127.0.0.1:9",
    "http://zoe:s3cret@[::1",
    "http://zoe:s3cret@127.0.0.1:99999",
    "http://zoe:s3cret@127.0.0.1:0",
    "http://zoe:s3cret@127.0.0.1:x",
    "http://zoe:s3cret@:9",
    "http://zoe:s3cret@a..b:9",
    f"http://zoe:s3cret@{'a' * 64}:9",
    "http://zoe:s3cret@ho st:9",
    "http://zoe:s3cret\u2100@host:9",
    "socks5://zoe:s3cret@127.0.0.1:9",
    "s3cret://127.0.0.1",
    "http://",
]


@pytest.mark.parametrize("value", UNUSABLE)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(Refused) as caught:
        Proxies({name: value, "NO_PROXY": "elsewhere.test"}).of(HTTPS)
    line = str(caught.value)
    assert line.startswith(f"{name} ")
    assert "http://host:port" in line
    assert "\n" not in line
    told = "".join(traceback.format_exception(caught.value))
    for piece in ("zoe", "s3cr", "1234"):
        assert piece not in told, piece
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    "value,host,port",
    [
        ("http://127.0.0.1:3128", "127.0.0.1", 3128),
        ("https://proxy.test", "proxy.test", None),
        ("proxy.test:3128/", "proxy.test", 3128),
        (" http://ann:s%2Fcret@proxy.test:3128 ", "proxy.test", 3128),
        ("http://ann:with@at@proxy.test:3128", "proxy.test", 3128),
        ("ann:s3cret@proxy.test.:3128", "proxy.test.", 3128),
        ("HTTP://[::1]:3128", "::1", 3128),
    ],
)
def test_a_proxy_is_taken_as_it_is_written(value: str, host: str, port: int | None) -> None:
    proxy = Proxies({"HTTPS_PROXY": value}).of(HTTPS)
    assert proxy is not None
    assert (proxy.hostname, proxy.port) == (host, port)


def test_lower_case_wins_and_the_scheme_before_all() -> None:
    environ = {"HTTPS_PROXY": "one.test", "https_proxy": "two.test", "ALL_PROXY": "three.test"}
    proxies = Proxies(environ)
    https, http = proxies.of(HTTPS), proxies.of(HTTP)
    assert https is not None
    assert http is not None
    assert (https.hostname, http.hostname) == ("two.test", "three.test")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTPS_PROXY": "socks5://x"},
        {"ALL_PROXY": "socks5://x", "all_proxy": ""},
        {"HTTP_PROXY": "socks5://x", "NO_PROXY": "127.0.0.1"},
        {"HTTP_PROXY": "socks5://x", "no_proxy": "*"},
        {"HTTP_PROXY": "socks5://x", "REQUEST_METHOD": "GET"},
        {"FTP_PROXY": "socks5://x", "_PROXY": "socks5://x"},
    ],
)
def test_what_is_not_used_is_not_looked_at(environ: dict[str, str]) -> None:
    assert Proxies(environ).of(HTTP) is None
