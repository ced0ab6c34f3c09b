"""What the operator has ordered of a task, in the state table, as `state_ports.OrderStore`.

The row is of the task's name, as that of the pair: a task that is begun anew while it is paused stays paused.
"""

from collections.abc import Mapping
from typing import Any

from dynamirror.aws.state_rows import TASK, Incarnation, StateRows
from dynamirror.aws.wire import Caller, Row, Value, n, s
from dynamirror.errors import Refused, Side, Stop
from dynamirror.model.orders import Ordered, Orders, RateOrder, order_text
from dynamirror.settings.rate import parsed_order

ORDERS = "orders"


class OrderRows:
    """One task's. `incarnation` is only what the row names; rows of every life count."""

    def __init__(self, caller: Caller, name: str, incarnation: Incarnation) -> None:
        self._rows = StateRows(caller, name, incarnation)
        # As it was last read: attributes that a newer version has put there are kept.
        self._row: Row = {}

    async def orders(self) -> Orders:
        """See state_ports.OrderStore. Raises Stop when a newer dynamirror has written the row, or nobody of us."""
        self._row = await self._rows.row(TASK, ORDERS) or {}
        try:
            return orders_of(self._row)
        except (KeyError, TypeError, ValueError, Refused) as error:
            raise Stop(
                Side.STATE,
                f"the row {TASK}/{ORDERS} of the state table {self._rows.name} cannot be read ({error!r}): delete it, "
                "then pause, resume or set-rate again",
            ) from error

    async def order(self, orders: Orders, before: Orders) -> None:
        """See state_ports.OrderStore. What was read last, by `orders`, is written over."""
        ours = _row_of(orders)
        kept = {name: value for name, value in self._row.items() if name not in _NAMES}
        await self._rows.put(TASK, ORDERS, {**kept, **self._rows.incarnation.attributes(), **ours}, _unmoved(before))


_NAMES = frozenset(
    {"kind", "id", "counter", "paused", "pausedMs", "pausedBy", "readRate", "writeRate", "orderedMs", "orderedBy"}
)


def orders_of(row: Row) -> Orders:
    """The orders in a row; an empty one has none. Raises KeyError, TypeError, ValueError, Refused."""
    if not row:
        return Orders()
    return Orders(
        int(row["counter"]["N"]),
        row["paused"]["BOOL"] is True,
        int(row["pausedMs"]["N"]) if "pausedMs" in row else 0,
        row["pausedBy"]["S"] if "pausedBy" in row else "",
        _rate_of(row, "readRate"),
        _rate_of(row, "writeRate"),
        int(row["orderedMs"]["N"]),
        row["orderedBy"]["S"],
    )


def _rate_of(row: Row, name: str) -> Ordered:
    return parsed_order(row[name]["S"], name) if name in row else RateOrder.DEFAULT


def _row_of(orders: Orders) -> Mapping[str, Value]:
    row: dict[str, Value] = {
        "counter": n(orders.counter),
        "paused": {"BOOL": orders.paused},
        "orderedMs": n(orders.ordered_at_ms),
        "orderedBy": s(orders.ordered_by),
    }
    if orders.paused:
        row |= {"pausedMs": n(orders.paused_at_ms), "pausedBy": s(orders.paused_by)}
    for name, ordered in (("readRate", orders.read), ("writeRate", orders.write)):
        if ordered is not RateOrder.DEFAULT:
            row[name] = s(order_text(ordered))
    return row


def _unmoved(before: Orders) -> Mapping[str, Any]:
    if not before.counter:
        return {"ConditionExpression": "attribute_not_exists(#kind)", "ExpressionAttributeNames": {"#kind": "kind"}}
    return {
        "ConditionExpression": "#counter = :counter",
        "ExpressionAttributeNames": {"#counter": "counter"},
        "ExpressionAttributeValues": {":counter": n(before.counter)},
    }
