"""The last change of each key stands for all; what cannot be understood stops the shard, wherever it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamirror.errors import ExitCode, Stop
from dynamirror.model.change import Record, decode_page
from dynamirror.model.coalesce import coalesce
from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S")))


def record(key: str, sequence: int, event: str = "MODIFY", image: bytes | None = b"") -> Record:
    """A record as the stream sends it; `image` b"": a plain one, None: none."""
    keys = json.dumps({"id": {"S": key}})
    new = "" if image is None or event == "REMOVE" else f'"NewImage":{(image or image_of(key, sequence)).decode()},'
    text = (
        f'{{"Records":[{{"eventName":"{event}","eventVersion":"1.1","dynamodb":{{"Keys":{keys},{new}'
        f'"SequenceNumber":"{sequence}","SizeBytes":10,"StreamViewType":"NEW_AND_OLD_IMAGES"}}}}]}}'
    )
    return decode_page(text).records[0]


def image_of(key: str, sequence: int) -> bytes:
    return json.dumps({"id": {"S": key}, "v": {"N": str(sequence)}}).encode()


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["INSERT", "MODIFY", "REMOVE"]))))
def test_the_last_change_of_each_key_is_written(history: list[tuple[str, str]]) -> None:
    records = [record(key, i, event) for i, (key, event) in enumerate(history, 1)]
    writes = coalesce(records, CODEC.of)
    last = {key: (i, event) for i, (key, event) in enumerate(history, 1)}
    assert len({write.key for write in writes}) == len(writes)
    assert {write.key: int(write.sequence_number) for write in writes} == {key: i for key, (i, _) in last.items()}
    for write in writes:
        i, event = last[str(write.key)]
        request = json.loads(write.request)
        if event == "REMOVE":
            assert request == {"DeleteRequest": {"Key": {"id": {"S": write.key}}}}
        else:
            assert request == {"PutRequest": {"Item": {"id": {"S": write.key}, "v": {"N": str(i)}}}}


def test_an_image_is_passed_on_byte_by_byte() -> None:
    image = b'{ "id":{"S":"a"},  "n":{"N":"1.00000000000000000000000000000000000010"},"e":{"S":"\\u00e9"} }'
    [write] = coalesce([record("a", 1, "INSERT", image)], CODEC.of)
    assert write.request == b'{"PutRequest":{"Item":' + image + b"}}"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_unknown_event_stops_even_when_it_is_superseded(place: int) -> None:
    records = [record("a", 1), record("a", 2), record("a", 3)]
    records[place] = record("a", place + 1, "UPSERT")
    with pytest.raises(Stop, match=rf"record {place + 1} has the unknown event name 'UPSERT'") as caught:
        coalesce(records, CODEC.of)
    assert caught.value.exit_code is ExitCode.SOURCE


def test_a_put_without_image_stops() -> None:
    with pytest.raises(Stop, match=r"record 7 .* has no NewImage; the stream's view type"):
        coalesce([record("a", 7, "INSERT", None)], CODEC.of)


def test_keys_that_are_no_text_stop() -> None:
    page = b'{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"\xff"}},"SequenceNumber":"3"}}]}'
    with pytest.raises(Stop, match=r"keys of stream record 3 .*utf-8"):
        coalesce(decode_page(page).records, KeyCodec(KeySchema(KeyAttribute("id", "S"))).of)


def test_keys_of_another_schema_stop_and_show_no_value() -> None:
    codec = KeyCodec(KeySchema(KeyAttribute("email", "S")))
    with pytest.raises(Stop, match=r"record 3 do not fit the source table's key schema: .*email") as caught:
        coalesce([record("secret", 3)], codec.of)
    assert "secret" not in str(caught.value)
