"""Two tables of any size that cost nothing: their items are made as they are asked for.

`with EndlessTables(items) as tables:` serves what a verify asks of tables, of whatever name, at `tables.url`. In the
Region eu-west-1 every 500th item has its number spelled otherwise.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from zlib import crc32

OTHERWISE = 500


class EndlessTables:
    """A server in a thread of this process."""

    def __init__(self, items: int) -> None:
        self.items = items
        tables = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                body = tables.answer(operation, request, there="/eu-west-1/" in self.headers["Authorization"])
                self.send_response(200)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("x-amz-crc32", str(crc32(body)))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, operation: str, request: dict[str, Any], there: bool) -> bytes:
        """The body of the answer; `there`: in eu-west-1."""
        match operation:
            case "DescribeTable":
                return json.dumps({"Table": self._table(request["TableName"])}).encode()
            case "DescribeTimeToLive":
                return b'{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}'
            case "Scan":
                return self._page(request, there)
            case _:
                assert operation == "BatchGetItem", operation
                ((name, wanted),) = request["RequestItems"].items()
                items = b",".join(_item(int(key["pk"]["S"]), there) for key in wanted["Keys"])
                return b'{"Responses":{%s:[%s]},"UnprocessedKeys":{}}' % (json.dumps(name).encode(), items)

    def _table(self, name: str) -> dict[str, Any]:
        return {
            "TableName": name,
            "TableArn": f"arn:aws:dynamodb:ddblocal:000000000000:table/{name}",
            "TableId": name,
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "ItemCount": self.items,
        }

    def _page(self, request: dict[str, Any], there: bool) -> bytes:
        segments, segment = request["TotalSegments"], request["Segment"]
        after = request.get("ExclusiveStartKey")
        first = int(after["pk"]["S"]) + segments if after else segment
        numbers = range(first, self.items, segments)[: request["Limit"]]
        body = b'{"Items":[%s],"Count":%d' % (b",".join(_item(number, there) for number in numbers), len(numbers))
        if len(numbers) == request["Limit"]:
            body += b',"LastEvaluatedKey":{"pk":{"S":"%d"}}' % numbers[-1]
        return body + b"}"


def _item(number: int, there: bool) -> bytes:
    spelled = b"%d.0" if there and number % OTHERWISE == 0 else b"%d"
    return b'{"pk":{"S":"%d"},"n":{"N":"' % number + spelled % number + b'"}}'
