"""The listing of shards in the state table, as `state_ports.GraphStore`: a head, and the listing itself in chunks."""

import base64
import binascii

from dynamirror.aws.state_rows import Incarnation, StateRows
from dynamirror.aws.wire import Caller, n, s
from dynamirror.errors import Retry, Side
from dynamirror.model.graph_row import GraphHead, packed, unpacked
from dynamirror.model.shard_graph import Listing

_HEAD, _CHUNK = "graph", "graph-chunk"
# An item is up to 400 KB, and a byte of a binary value four thirds in JSON.
CHUNK_BYTES = 250_000


class GraphRows:
    """Written by one worker at a time; two at once leave a head and chunks that do not fit, which readers notice."""

    def __init__(self, caller: Caller, name: str, incarnation: Incarnation) -> None:
        self._rows = StateRows(caller, name, incarnation)
        self._written = ""

    async def put_listing(self, listing: Listing) -> None:
        """See state_ports.GraphStore. Chunks only where they have changed."""
        head = await self.head()
        digest, chunks = packed(listing, CHUNK_BYTES)
        if head is None or head.digest != digest:
            for number, chunk in enumerate(chunks):
                data = {"B": base64.b64encode(chunk).decode()}
                await self._rows.put(_CHUNK, f"{number:04}", {"digest": s(digest), "data": data})
        number = 1 if head is None else head.number + 1
        await self._rows.put(_HEAD, "head", {"number": n(number), "digest": s(digest), "chunks": n(len(chunks))})

    async def head(self) -> GraphHead | None:
        """See state_ports.GraphStore."""
        row = await self._rows.row(_HEAD, "head")
        if row is None or not self._rows.incarnation.owns(row):
            return None
        match row:
            case {"number": {"N": str(number)}, "digest": {"S": str(digest)}, "chunks": {"N": str(chunks)}} if (
                number.isdecimal() and chunks.isdecimal()
            ):
                return GraphHead(int(number), digest, int(chunks))
            case _:
                self._rows.say_once("state_row_refused", f"a row of kind {_HEAD} that is none of ours is ignored")
                return None

    async def listing(self, head: GraphHead) -> Listing:
        """See state_ports.GraphStore."""
        found: dict[str, bytes] = {}
        for row in await self._rows.rows(_CHUNK):
            match row:
                case {"id": {"S": str(place)}, "digest": {"S": head.digest}, "data": {"B": str(data)}}:
                    try:
                        found[place] = base64.b64decode(data, validate=True)
                    except binascii.Error:
                        continue
                case _:
                    continue
        chunks = [found[place] for place in sorted(found)][: head.chunks]
        if len(chunks) == head.chunks:
            try:
                return unpacked(chunks)
            except ValueError:
                pass
        raise Retry(Side.STATE, f"the listing of shards in {self._rows.name} is being written anew")
