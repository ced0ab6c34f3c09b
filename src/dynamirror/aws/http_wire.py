"""HTTP/1.1 as bytes: the request that we send, the answer that we read. No sockets here.

Our own because a general client costs more a request than everything else on the hot path together (a POST of
25 KB to a stand-in, unsigned: 200 us of CPU with aiohttp, 90 us with this, most of it the kernel's).
It knows only what a POST to a JSON service needs; RFC 9112 is the rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

_HEAD_BYTES_MAX = 64 * 1024
# The largest answer is a BatchWriteItem that returns all of its 16 MB (GetRecords: 1 MB), escaped as JSON.
_BODY_BYTES_MAX = 128 * 1024 * 1024
_END_OF_HEAD = b"\r\n\r\n"


class NotHttp(Exception):
    """What came is not an answer in HTTP/1.x, or exceeds the limits."""


# Neither is frozen, which would take four times as long to make; nobody changes them.
@dataclass(slots=True)
class Request:
    """A POST, complete but for Content-Length: `headers` are sent as they are. They hold the session token."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(slots=True)
class Response:
    """An answer, whatever its status. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def lines_of(headers: Mapping[str, str]) -> str:
    """Headers as they go out. Line breaks in them are refused (ValueError)."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or "\0" in lines:
        raise ValueError("a header holds a line break")
    return lines


def request_bytes(method: str, target: str, lines: str, body: bytes = b"") -> bytes:
    """A request as it goes out; `lines` of `lines_of`. A target with line breaks is refused (ValueError)."""
    if "\n" in target or "\0" in target:
        raise ValueError("the address holds a line break")
    return f"{method} {target} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


class ResponseReader:
    """Puts one answer together from the pieces that arrive; used again for the next one once it is complete."""

    __slots__ = ("_body", "_chunks", "_head", "_pending", "_wanted", "bodiless", "stays_open")

    def __init__(self) -> None:
        # The next answer has no body whatever its headers say (a successful CONNECT).
        self.bodiless = False
        self.reset()

    def reset(self) -> None:
        """Be ready for the next answer."""
        self._pending = bytearray()
        self._head: tuple[int, dict[str, str]] | None = None
        self._body: list[bytes] = []
        # Bytes of body still to come; None: until the connection closes.
        self._wanted: int | None = 0
        self._chunks: _Chunks | None = None
        # Whether the connection may be used again.
        self.stays_open = False

    def feed(self, data: bytes) -> Response | None:
        """The answer once it is complete. Raises NotHttp."""
        while self._head is None:
            if not self._pending and (end := data.find(_END_OF_HEAD)) >= 0:
                head, data = data[:end], data[end + 4 :]
            else:
                self._pending += data
                end = self._pending.find(_END_OF_HEAD)
                if end < 0:
                    self._check_beginning()
                    return None
                head, data = bytes(self._pending[:end]), bytes(self._pending[end + 4 :])
                self._pending = bytearray()
            if not self._take_head(head) and not data:
                return None
        return self._take_body(data)

    def end(self) -> Response | None:
        """The connection was closed by the other side: the answer, when that was its end."""
        if self._head is not None and self._wanted is None:
            return self._complete()
        return None

    def _check_beginning(self) -> None:
        beginning = bytes(self._pending[:7])
        if not b"HTTP/1.".startswith(beginning) and beginning != b"HTTP/1.":
            raise NotHttp(repr(bytes(self._pending[:32])))
        if len(self._pending) > _HEAD_BYTES_MAX:
            raise NotHttp("the head of the answer does not end")

    def _take_head(self, head: bytes) -> bool:
        """False for an interim answer (1xx), which another one follows."""
        first, _, lines = head.decode("latin-1").partition("\r\n")
        version, _, rest = first.partition(" ")
        code = rest.partition(" ")[0]
        if version not in ("HTTP/1.1", "HTTP/1.0") or len(code) != 3 or not (code.isascii() and code.isdigit()):
            raise NotHttp(repr(first[:64]))
        status = int(code)
        if status == 101:
            raise NotHttp("it goes on in another protocol")
        if status < 200:
            return False
        headers: dict[str, str] = {}
        for line in lines.split("\r\n") if lines else ():
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            # Two lengths, two checksums: whichever was meant, it is not for us to choose.
            if headers.setdefault(name, value) != value:
                headers[name] += f", {value}"
        self._head = status, headers
        connection = headers.get("connection", "").lower()
        self.stays_open = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)
        self._plan_body(status, headers)
        return True

    def _plan_body(self, status: int, headers: Mapping[str, str]) -> None:
        length = headers.get("content-length")
        if (self.bodiless and status < 300) or status in (204, 304):
            self._wanted = 0
        elif "transfer-encoding" in headers:
            if headers["transfer-encoding"].lower() != "chunked":
                raise NotHttp("unknown transfer encoding")
            self._chunks = _Chunks()
        elif length is None:
            self._wanted = None
            self.stays_open = False
        elif not (length.isascii() and length.isdigit() and len(length) < 20) or int(length) > _BODY_BYTES_MAX:
            raise NotHttp(f"content length {length[:32]}")
        else:
            self._wanted = int(length)

    def _take_body(self, data: bytes) -> Response | None:
        if self._chunks is not None:
            if not self._chunks.feed(data):
                return None
            self._body = [bytes(self._chunks.body)]
            self.stays_open = self.stays_open and not self._chunks.buffer
            return self._complete()
        if data:
            self._body.append(data)
        if self._wanted is None:
            if sum(map(len, self._body)) > _BODY_BYTES_MAX:
                raise NotHttp("the answer does not end")
            return None
        self._wanted -= len(data)
        if self._wanted > 0:
            return None
        if self._wanted < 0:
            # More than was announced: nobody knows whose it is.
            self.stays_open = False
            self._body = [b"".join(self._body)[: self._wanted]]
        return self._complete()

    def _complete(self) -> Response:
        assert self._head is not None
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return Response(*self._head, body)


class _Chunks:
    """The chunked transfer coding (RFC 9112, section 7.1); extensions and trailers are skipped."""

    __slots__ = ("_left", "_trailing", "body", "buffer")

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.body = bytearray()
        # Bytes left of the present chunk, its line end included; 0: a size line is next.
        self._left = 0
        self._trailing = False

    def feed(self, data: bytes) -> bool:
        """Whether the body is complete. Raises NotHttp."""
        self.buffer += data
        while True:
            if self._left:
                if not self._take_chunk():
                    return False
                continue
            line = self._take_line()
            if line is None:
                return False
            if self._trailing:
                if not line:
                    return True
                continue
            self._begin_chunk(line)

    def _take_chunk(self) -> bool:
        """Move what has come of the chunk; False when there is more to come of it."""
        # The last two bytes of a chunk are its line end.
        size = min(len(self.buffer), self._left - 2)
        self.body += self.buffer[:size]
        del self.buffer[:size]
        self._left -= size
        if len(self.body) > _BODY_BYTES_MAX:
            raise NotHttp("the answer does not end")
        if self._left > 2 or len(self.buffer) < 2:
            return False
        if self.buffer[:2] != b"\r\n":
            raise NotHttp("a chunk does not end where it should")
        del self.buffer[:2]
        self._left = 0
        return True

    def _take_line(self) -> bytes | None:
        end = self.buffer.find(b"\r\n")
        if end < 0:
            if len(self.buffer) > _HEAD_BYTES_MAX:
                raise NotHttp("a chunk's size does not end")
            return None
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        return line

    def _begin_chunk(self, line: bytes) -> None:
        digits = line.partition(b";")[0].strip()
        if not digits or digits.strip(b"0123456789abcdefABCDEF") or len(digits) > 8:
            raise NotHttp(f"chunk size {line[:32]!r}")
        size = int(digits, 16)
        self._trailing = size == 0
        self._left = size + 2 if size else 0
