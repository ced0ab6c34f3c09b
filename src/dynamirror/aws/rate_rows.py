"""What the workers of a task say of their rates, in the state table, as `state_ports.RateStore`.

A row is written whole, by its own worker only, so each write may be repeated.
"""

from dynamirror.aws.state_rows import Incarnation, StateRows
from dynamirror.aws.wire import Caller, Row, Value, n, s
from dynamirror.model.shares import Demand, RateRow

_RATE = "rate"


class RateRows:
    """One task's."""

    def __init__(self, caller: Caller, name: str, incarnation: Incarnation) -> None:
        self._rows = StateRows(caller, name, incarnation)

    async def put(self, row: RateRow) -> None:
        """See state_ports.RateStore."""
        attributes: dict[str, Value] = {"counter": n(row.counter)}
        for name, demand in (("read", row.read), ("write", row.write)):
            attributes[name] = s(f"{demand.used_s:.3f}")
            attributes[f"{name}Limited"] = {"BOOL": demand.limited}
        await self._rows.put(_RATE, row.worker, attributes)

    async def rows(self) -> list[RateRow]:
        """See state_ports.RateStore. A row that cannot be read is said once, and left out. Raises Stop as StateRows."""
        found = []
        for row in await self._rows.rows(_RATE):
            try:
                found.append(_row_of(row))
            except (KeyError, TypeError, ValueError):
                self._rows.say_once("state_row_refused", f"a row of kind {_RATE} that cannot be read is ignored")
        return found

    async def remove(self, worker: str) -> None:
        """See state_ports.RateStore."""
        await self._rows.remove(_RATE, worker)


def _row_of(row: Row) -> RateRow:
    read, write = (Demand(float(row[name]["S"]), row[f"{name}Limited"]["BOOL"] is True) for name in ("read", "write"))
    return RateRow(row["id"]["S"], int(row["counter"]["N"]), read, write)
