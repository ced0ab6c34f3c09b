"""What a worker leaves behind that an error ends: why, in the state table, since its own log is on a machine that may
be gone, or that nobody is on in the night."""

from dynamirror.aws.failure_rows import FailureRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.wire import Caller
from dynamirror.engines.assemble import worker_facts
from dynamirror.engines.preflight import Facts
from dynamirror.errors import DynamirrorError, ExitCode
from dynamirror.fleet.stop import within
from dynamirror.model.failure import Failure
from dynamirror.model.task_name import state_table_name
from dynamirror.observe.log_lines import without_secrets

WRITE_S = 0.5


def failure_of(worker: str, error: BaseException, at_ms: int) -> Failure:
    """What is told of this worker's end, at that time by the service's clock."""
    who = worker_facts("")
    if isinstance(error, DynamirrorError):
        return Failure(worker, who["host"], who["pid"], at_ms, int(error.exit_code), _line(str(error)))
    # What an internal error says may come from anywhere, and may be a secret.
    why = f"an internal error ({type(error).__name__}): the traceback is in its log"
    return Failure(worker, who["host"], who["pid"], at_ms, int(ExitCode.INTERNAL), why)


def _line(text: str) -> str:
    """As the logs and the terminal have it: one line, nothing that looks like a secret, and what UTF-8 can say."""
    line = without_secrets(" ".join(text.split())).encode("utf-8", "replace").decode()
    return "".join(sign if sign.isprintable() else "?" for sign in line)


async def leave_word(state: Caller, facts: Facts, lease_table: str, failure: Failure) -> None:
    """Write it down, in `WRITE_S`; where that cannot be done it is said and given up. Nothing without a state table."""
    if facts.state is None:
        return
    life = Incarnation(facts.lease_table.table_id, facts.stream_arn)
    rows = FailureRows(state, state_table_name(lease_table), life)
    await within(WRITE_S, "noting why", [lambda: rows.put(failure)])
