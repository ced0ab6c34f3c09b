"""What the end of a replication is called."""

import pytest

from dynamirror.engines.library import explained, root_cause
from dynamirror.errors import ExitCode, Gap, NotFound, Side, Stop, Throttled

GONE = NotFound(Side.STATE, "PutItem: ResourceNotFoundException")


def test_tables_that_were_deleted_under_a_worker_are_called_so() -> None:
    told = explained(GONE, "Leases")
    assert isinstance(told, NotFound)
    assert told.exit_code == ExitCode.STATE
    assert "the lease table Leases, or the state table beside it, was deleted under this worker" in str(told)
    assert str(told).endswith("(PutItem: ResourceNotFoundException)")


@pytest.mark.parametrize("error", [NotFound(Side.SOURCE, "no stream"), Stop(Side.STATE, "denied"), Gap("trimmed")])
def test_every_other_end_speaks_for_itself(error: Stop) -> None:
    assert explained(error, "Leases") is error


def test_the_root_of_a_group_is_what_an_operator_must_act_on() -> None:
    inner = ExceptionGroup("inner", [Throttled(Side.SOURCE, "not now"), GONE])
    assert root_cause(ExceptionGroup("outer", [ValueError("x"), inner])) is GONE
