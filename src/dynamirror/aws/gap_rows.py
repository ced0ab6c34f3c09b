"""Open gaps in the state table, as `state_ports.GapStore`: a row each."""

from collections.abc import Mapping

from dynamirror.aws.state_rows import Incarnation, StateRows
from dynamirror.aws.wire import Caller, Row, Value, n, s
from dynamirror.errors import ConditionFailed
from dynamirror.model.gap import OpenGap

_GAP = "gap"


class GapRows:
    """One task's."""

    def __init__(self, caller: Caller, name: str, incarnation: Incarnation) -> None:
        self._rows = StateRows(caller, name, incarnation)

    async def open_gap(self, gap: OpenGap) -> None:
        """See state_ports.GapStore."""
        await self._rows.put(_GAP, gap.id, _row_of(gap))

    async def gaps(self) -> list[OpenGap]:
        """See state_ports.GapStore. A row that cannot be read is an open gap all the same."""
        return [_gap_of(row) for row in await self._rows.rows(_GAP)]

    async def close_gap(self, gap: OpenGap) -> bool:
        """See state_ports.GapStore."""
        try:
            await self._rows.remove(_GAP, gap.id, self._rows.unmoved("foundMs", gap.found_at_ms))
        except ConditionFailed:
            return False
        return True


def _row_of(gap: OpenGap) -> Mapping[str, Value]:
    return {
        "shard": s(gap.shard_id),
        "behind": s(gap.behind),
        "what": s(gap.what),
        "foundMs": n(gap.found_at_ms),
        "worker": s(gap.worker),
    }


def _gap_of(row: Row) -> OpenGap:
    def text(name: str) -> str:
        return str(row.get(name, {}).get("S", ""))

    found_ms = str(row.get("foundMs", {}).get("N", "0"))
    return OpenGap(
        text("shard"), text("behind"), text("what"), int(found_ms) if found_ms.isdecimal() else 0, text("worker")
    )
