"""The checks before the start: each failure's line and exit code, nothing half-done, what is made when all is well."""

import logging
from dataclasses import replace

import pytest

from dynamirror.aws.control_plane import Encryption
from dynamirror.engines import table_checks
from dynamirror.engines.preflight import check
from dynamirror.errors import AccessDenied, ExitCode, Stop, Throttled
from dynamirror.model.key import KeyAttribute, KeySchema
from dynamirror.ports import TableFacts
from tests.support.accounts import BOTH, KEY, LEASE_KEY, LEASES, STATE, STATE_KEY, World, settings

ARN_A = "arn:aws:dynamodb:us-east-1:1:table/Orders"
ARN_B = "arn:aws:dynamodb:eu-west-1:1:table/Copy"


@pytest.fixture
def world() -> World:
    return World()


async def test_all_well_makes_both_tables_and_remembers_the_pair(world: World) -> None:
    facts = await world.check()
    assert world.made == [f"create_table {LEASES}", f"create_table {STATE}"]
    assert world.state.tables[LEASES].schema == LEASE_KEY
    assert world.state.tables[STATE].schema == STATE_KEY
    assert facts.stream_arn == "stream of Orders"
    assert facts.lease_table == world.state.tables[LEASES]
    assert facts.state is not None
    row = world.state.rows[STATE]["task", "pair"]
    assert row["leaseTableId"] == {"S": facts.lease_table.table_id}
    assert row["streamArn"] == {"S": "stream of Orders"}


async def test_a_second_start_makes_nothing(world: World) -> None:
    first = await world.check()
    world.state.asked.clear()
    again = await world.check()
    assert not world.made
    assert again.lease_table == first.lease_table


async def test_a_table_that_another_worker_is_creating_is_waited_for(world: World) -> None:
    world.state.add(LEASES, LEASE_KEY, status="CREATING")
    world.state.add(STATE, STATE_KEY, status="CREATING")
    facts = await world.check()
    assert facts.lease_table.status == "ACTIVE"
    assert world.made == [f"create_table {LEASES}", f"create_table {STATE}"]


async def test_missing_tables(world: World) -> None:
    del world.destination.tables["Copy"]
    said = await world.refused(ExitCode.DESTINATION)
    assert said.startswith(
        "the destination table Copy does not exist in eu-west-1 (http://west); create it with the key pk"
    )
    del world.source.tables["Orders"]
    said = await world.refused(ExitCode.SOURCE)
    assert "the source table Orders does not exist in us-east-1 (http://east); check --source-table" in said


async def test_a_share_of_a_capacity_that_is_not_known_is_refused_before_anything_is_made(world: World) -> None:
    said = await world.refused(ExitCode.USAGE, max_write_rate="50%")
    assert said.startswith("--max-write-rate 50%: the service says no capacity of Copy")
    assert not world.made
    await world.check(max_read_rate="5", max_write_rate="5")


@pytest.mark.parametrize("status", ["CREATING", "DELETING", "ARCHIVED", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"])
async def test_tables_out_of_service(world: World, status: str) -> None:
    world.destination.add("Copy", KEY, status=status)
    assert f"destination table Copy is {status}, not ACTIVE" in await world.refused(ExitCode.DESTINATION)
    world.source.add("Orders", KEY, status=status, stream_arn="x", stream_view_type=BOTH)
    assert f"source table Orders is {status}, not ACTIVE" in await world.refused(ExitCode.SOURCE)


@pytest.mark.parametrize("name,key", [(LEASES, LEASE_KEY), (STATE, STATE_KEY)])
async def test_a_table_of_the_task_that_goes_away_stops_before_anything_is_changed(
    world: World, name: str, key: KeySchema
) -> None:
    world.source.add("Orders", KEY)
    world.state.add(name, key, status="DELETING")
    said = await world.refused(ExitCode.STATE, enable_stream=True)
    assert f"{name} is DELETING; start again when it is gone" in said
    world.state.add(name, key, status="ARCHIVED")
    assert "is ARCHIVED, not ACTIVE" in await world.refused(ExitCode.STATE, enable_stream=True)


async def test_a_stream_that_cannot_be_read_stops_before_anything_is_made(world: World) -> None:
    world.stream.streams.clear()
    said = await world.refused(ExitCode.SOURCE)
    assert said == (
        "the streams endpoint http://east-streams does not know the stream of the source table (stream of Orders); "
        "check --source-streams-endpoint"
    )
    world.stream.throttles = 50
    said = await world.refused(ExitCode.SOURCE)
    assert said == (
        "the stream of the source table cannot be read at http://east-streams (--source-streams-endpoint): not now"
    )
    world.stream.throttles = 0
    world.stream.denied = {"DescribeStream"}
    assert "allow dynamodb:DescribeStream" in await world.refused(ExitCode.SOURCE)


async def test_a_stream_to_be_switched_on_must_be_within_reach_first(world: World) -> None:
    world.source.add("Orders", KEY)
    world.stream.throttles = 50
    assert "cannot be read at http://east-streams" in await world.refused(ExitCode.SOURCE, enable_stream=True)
    world.stream.throttles = 0
    world.stream.denied = {"DescribeStream"}
    assert "allow dynamodb:DescribeStream" in await world.refused(ExitCode.SOURCE, enable_stream=True)
    # That there is no such stream, the right service says.
    world.stream.denied = set()
    await world.check(enable_stream=True)
    assert world.stream.asked[-1] == f"DescribeStream {ARN_A}/stream/1970-01-01T00:00:00.000"


async def test_a_worker_that_joins_a_task_does_not_wait_for_the_stream(world: World) -> None:
    await world.check()
    world.stream.asked.clear()
    world.stream.streams.clear()
    await world.check()
    assert not world.stream.asked


async def test_a_table_that_is_being_changed_is_good_enough(world: World) -> None:
    world.source.add("Orders", KEY, status="UPDATING", stream_arn="x", stream_view_type=BOTH)
    assert (await world.check()).stream_arn == "x"


async def test_a_stream_that_is_off_prints_the_command(world: World) -> None:
    world.source.add("Orders", KEY)
    said = await world.refused(ExitCode.SOURCE, source_profile="my live", source_endpoint="http://x")
    assert said.endswith(
        "aws dynamodb update-table --region us-east-1 --profile 'my live' --endpoint-url http://x --table-name Orders "
        "--stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
    )
    assert "--enable-stream" in said


async def test_enable_stream_switches_it_on_once_all_else_is_well(world: World) -> None:
    world.source.add("Orders", KEY)
    facts = await world.check(enable_stream=True)
    assert facts.stream_arn == "stream of Orders"
    assert world.made[0] == "enable_stream Orders"
    world.source.add("Orders", KEY)
    world.source.asked.clear()
    world.state.asked.clear()
    world.state.add(LEASES, KEY)
    assert "belongs to something else" in await world.refused(ExitCode.STATE, enable_stream=True)


@pytest.mark.parametrize("view", ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE"])
async def test_another_view_type_is_never_changed_by_itself(world: World, view: str) -> None:
    world.source.add("Orders", KEY, stream_arn="x", stream_view_type=view)
    said = await world.refused(ExitCode.SOURCE, enable_stream=True)
    assert f"has {view}, not NEW_AND_OLD_IMAGES" in said
    assert "--stream-specification StreamEnabled=false" in said


async def test_key_schemas_that_differ_are_both_shown(world: World) -> None:
    world.destination.add("Copy", KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", "S")))
    said = await world.refused(ExitCode.DESTINATION)
    assert "pk (S, hash), sk (N, range)" in said
    assert "pk (S, hash), sk (S, range)" in said


async def test_a_table_is_not_copied_onto_itself(world: World) -> None:
    world.destination.tables["Copy"] = world.source.tables["Orders"]
    assert (
        "source and destination are the same table, arn:aws:dynamodb:us-east-1:1:table/Orders"
        in await world.refused(ExitCode.USAGE)
    )


@pytest.mark.parametrize("ids,same", [(("1", "1"), True), (("1", "2"), False)])
def test_when_two_facts_are_one_table(ids: tuple[str, str], same: bool) -> None:
    one, other = (TableFacts("arn", table_id, KEY, "ACTIVE") for table_id in ids)
    assert table_checks.same_table(one, other) is same
    assert not table_checks.same_table(one, replace(other, arn="arn of another"))


@pytest.mark.parametrize(
    "name,schema", [(LEASES, KEY), (LEASES, KeySchema(KeyAttribute("leaseKey", "N"))), (STATE, KEY)]
)
async def test_a_foreign_table_under_our_name(world: World, name: str, schema: KeySchema) -> None:
    world.state.add(name, schema)
    said = await world.refused(ExitCode.STATE)
    assert f"table {name} has the key {schema}" in said
    assert "give another --task-name" in said


async def test_a_task_name_stands_for_one_pair(world: World) -> None:
    await world.check(task_name="mine")
    world.destination.add("Other", KEY)
    world.state.asked.clear()
    said = await world.refused(ExitCode.USAGE, task_name="mine", destination_table="Other")
    assert f"belongs to another pair: it copies {ARN_A} to {ARN_B}, not {ARN_A} to {ARN_B[:-4]}Other" in said
    assert "give another --task-name" in said


async def test_a_name_of_an_earlier_life_is_refused_before_a_new_lease_table_is_made(world: World) -> None:
    await world.check(task_name="mine")
    del world.state.tables["DynamoDBCrossRegionReplicationmine"]
    world.destination.add("Other", KEY)
    world.state.asked.clear()
    said = await world.refused(ExitCode.USAGE, task_name="mine", destination_table="Other")
    assert "it copied, before its lease table was deleted, arn:" in said
    assert "delete the table DynamoDBCrossRegionReplicationmine-state too" in said


async def test_a_name_of_another_source_is_a_name_that_is_taken(world: World) -> None:
    """The other pair's stream is another one too, which does not mean that its task has ended."""
    await world.check(task_name="mine")
    world.source.add("Other", KEY, stream_arn="stream of Other", stream_view_type=BOTH)
    world.state.asked.clear()
    said = await world.refused(ExitCode.USAGE, task_name="mine", source_table="Other")
    assert said.endswith(
        f"belongs to another pair: it copies {ARN_A} to {ARN_B}, not {ARN_A[:-6]}Other to {ARN_B}; "
        "give another --task-name"
    )


async def test_a_deleted_lease_table_starts_the_same_pair_anew(world: World) -> None:
    await world.check()
    del world.state.tables[LEASES]
    facts = await world.check()
    assert world.state.rows[STATE]["task", "pair"]["leaseTableId"] == {"S": facts.lease_table.table_id}


async def test_a_start_that_is_refused_leaves_the_pair_in_its_life(world: World) -> None:
    """1 a start finds no lease table; 2 another worker makes it, and follows; 3 the first one is refused: the other's
    life is not over."""
    await world.check()
    before = dict(world.state.rows[STATE]["task", "pair"])
    del world.state.tables[LEASES]
    world.stream.denied.add("DescribeStream")
    with pytest.raises(AccessDenied):
        await world.check()
    assert world.state.rows[STATE]["task", "pair"] == before


async def test_passing_failures_of_the_state_table_are_repeated(world: World) -> None:
    await world.check()
    world.state.throttles = 3
    await world.check()
    world.state.throttles = 50
    with pytest.raises(Throttled):
        await world.check()


DENIALS = [
    {f"create_table {STATE}"},
    {f"describe_table {STATE}"},
    {f"PutItem {STATE}"},
    {f"GetItem {STATE}", f"describe_table {STATE}"},
]


@pytest.mark.parametrize("denied", DENIALS, ids=lambda denied: min(denied).split()[0])
async def test_the_java_form_goes_on_without_a_state_table_and_says_so_once(
    world: World, denied: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    world.state.denied = denied
    with caplog.at_level(logging.WARNING, "dynamirror"):
        facts = await world.check(java_form=True)
    assert facts.state is None
    [line] = caplog.records
    assert line.__dict__["event"] == "state_table_denied"
    assert LEASES in world.state.tables


@pytest.mark.parametrize("denied", DENIALS, ids=lambda denied: min(denied).split()[0])
async def test_our_form_stops_with_the_missing_action(world: World, denied: set[str]) -> None:
    world.state.denied = denied
    with pytest.raises(AccessDenied, match=r"allow dynamodb:\w+ \(the state table .*-state, beside the lease table\)"):
        await world.check()


async def test_a_lease_table_that_may_not_be_made_stops_either_form(world: World) -> None:
    world.state.denied = {f"create_table {LEASES}"}
    for java_form in (True, False):
        with pytest.raises(AccessDenied) as error:
            await world.check(java_form)
        assert error.value.exit_code == ExitCode.STATE


async def test_the_state_table_is_encrypted_as_the_destination_is(world: World) -> None:
    world.destination.encrypted["Copy"] = Encryption("arn:aws:kms:eu-west-1:1:key/k")
    await world.check(kcl_region="eu-west-1")
    assert world.state.encrypted == {STATE: Encryption("arn:aws:kms:eu-west-1:1:key/k")}
    other = World()
    other.destination.encrypted["Copy"] = Encryption("arn:aws:kms:eu-west-1:1:key/k")
    await other.check()
    assert other.state.encrypted == {STATE: Encryption(None)}


async def test_a_start_before_the_stream_is_said_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.time.now_s = 25 * 3600
    await world.check(start_at="1970-01-01T00:01:00Z")
    await world.check(start_at="1970-01-01T00:01:00Z")
    assert [record.event for record in caplog.records].count("start_before_stream") == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("at", ["GetItem", "PutItem"])
async def test_a_start_that_has_looked_before_the_task_was_begun_anew_does_not_go_on(world: World, at: str) -> None:
    """It would move the row of the pair back, and so end the workers of the new life. Where it was just about to write
    that row it has ended them, and says so."""
    await world.check()
    old = world.state.tables[LEASES]
    if at == "PutItem":
        world.state.rows[STATE].pop(("task", "pair"))
    asked, begun = world.state.call, False

    async def call(operation: str, body: bytes) -> bytes:
        nonlocal begun
        if not begun and operation == at and b'"pair"' in body:
            begun = True
            world.state.tables[LEASES] = replace(old, table_id="new leases")
            await world.check()
        return await asked(operation, body)

    world.state.call = call  # type: ignore[method-assign]
    with pytest.raises(Stop, match=r"begun anew meanwhile .* start again") as stopped:
        await world.check()
    assert begun
    assert stopped.value.exit_code == ExitCode.STATE
    if at == "GetItem":
        assert world.state.rows[STATE]["task", "pair"]["leaseTableId"] == {"S": "new leases"}


async def test_nor_one_before_its_stream_was_switched_off_and_on(world: World) -> None:
    await world.check()

    async def ready(_: TableFacts | None) -> None:
        world.source.tables["Orders"] = replace(world.source.tables["Orders"], stream_arn="x")
        await world.check()

    with pytest.raises(Stop, match="begun anew meanwhile"):
        await check(world, settings(), world.time, ready)
    assert world.state.rows[STATE]["task", "pair"]["streamArn"] == {"S": "x"}
