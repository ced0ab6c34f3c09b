"""Answers are put together the same however they are cut into pieces, and what is none is told apart."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from dynamirror.aws.http_wire import NotHttp, Request, Response, ResponseReader, lines_of, request_bytes

PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-Amz-Crc32:  12 \r\n\r\n{"a":1}'
CHUNKED = (
    b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"4;name=value\r\n{\"a\"\r\n003\r\n:1}\r\n0\r\nTrailer: x\r\n\r\n"
)  # fmt: skip
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\n" + PLAIN


def read(pieces: list[bytes], reader: ResponseReader | None = None) -> Response | None:
    """The answer that the pieces make; none may come before the last."""
    reader = reader or ResponseReader()
    for piece in pieces[:-1]:
        assert reader.feed(piece) is None
    return reader.feed(pieces[-1])


@given(raw=st.sampled_from([PLAIN, CHUNKED, INTERIM]), cuts=st.sets(st.integers(1, 150), max_size=12))
def test_an_answer_is_the_same_however_it_is_cut(raw: bytes, cuts: set[int]) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    reader = ResponseReader()
    response = read([raw[a:b] for a, b in pairwise(places)], reader)
    assert response is not None
    assert response.body == b'{"a":1}'
    assert response.status == (400 if raw is CHUNKED else 200)
    assert raw is CHUNKED or response.headers == {"content-length": "7", "x-amz-crc32": "12"}
    assert reader.stays_open
    reader.reset()
    assert read([raw], reader) == response


@pytest.mark.parametrize(
    "raw,stays_open",
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        # More than was announced: whose is it?
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP", False),
    ],
)
def test_whether_a_connection_may_be_used_again(raw: bytes, stays_open: bool) -> None:
    reader = ResponseReader()
    response = reader.feed(raw)
    assert response is not None
    assert response.body == b""
    assert reader.stays_open is stays_open


def test_without_a_length_the_close_is_the_end() -> None:
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.1 503 Busy\r\n\r\n<ht") is None
    assert reader.feed(b"ml>") is None
    assert reader.end() == Response(503, {}, b"<html>")
    assert not reader.stays_open


@pytest.mark.parametrize("raw", [PLAIN[:-1], CHUNKED[:-1], PLAIN[:20], b""])
def test_a_close_in_the_middle_is_no_end(raw: bytes) -> None:
    reader = ResponseReader()
    if raw:
        assert reader.feed(raw) is None
    assert reader.end() is None


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0",
        b"\x15\x03\x01",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        # What follows is in another protocol, and nobody asked for it.
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + PLAIN,
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000,
    ],
)
def test_what_is_no_answer_is_told(raw: bytes) -> None:
    with pytest.raises(NotHttp):
        ResponseReader().feed(raw)


@given(st.binary(min_size=1, max_size=200))
def test_no_bytes_make_the_reader_fail_otherwise(raw: bytes) -> None:
    for junk in (raw, PLAIN[:40] + raw, CHUNKED[:70] + raw):
        with suppress(NotHttp):
            ResponseReader().feed(junk)


@pytest.mark.parametrize(
    "raw",
    [
        "HTTP/1.1 ²00 OK\r\nContent-Length: 0\r\n\r\n".encode("latin-1"),
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
    ],
    ids=["superscript", "four digits", "long length", "two lengths", "two encodings", "chunk that does not end"],
)
def test_a_head_that_may_be_read_in_two_ways_is_no_answer(raw: bytes) -> None:
    for pieces in ([raw], [raw[at : at + 1] for at in range(len(raw))]):
        reader = ResponseReader()
        with pytest.raises(NotHttp):
            list(map(reader.feed, pieces))


def test_any_number_of_interim_answers_is_skipped() -> None:
    response = ResponseReader().feed(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + PLAIN)
    assert response is not None
    assert response.body == b'{"a":1}'


def test_the_same_length_twice_is_a_length() -> None:
    response = ResponseReader().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}")
    assert response is not None
    assert response.body == b"{}"


def test_a_request_is_shown_without_its_token() -> None:
    request = Request("http://h/", {"X-Amz-Security-Token": "secret"}, b"body")
    assert repr(request) == pretty_repr(request) == "Request(url='http://h/')"


def test_a_request_is_these_bytes() -> None:
    assert request_bytes("POST", "/", lines_of({"Host": "h", "A": "b"}), b"\x00\r\n") == (
        b"POST / HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 3\r\n\r\n\x00\r\n"
    )
    for value in ("a\nb", "a\r\nb: c", "a\0", "\u20ac"):
        with pytest.raises(ValueError, match=r"line break|encode"):
            request_bytes("POST", "/", lines_of({"A": value}))
        with pytest.raises(ValueError, match=r"line break|encode"):
            request_bytes("POST", f"/{value}", "")
