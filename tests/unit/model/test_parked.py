import msgspec
import pytest

from dynamirror.errors import Refused
from dynamirror.model.change import Record, StreamRecord, Write, image_of, put_of, write_of
from dynamirror.model.parked import CHUNK_BYTES, chunks_of, named, version_of


def test_versions_compare_as_their_numbers_do() -> None:
    numbers = ["1", "9", "10", "000000000000000000021", "4" * 21, "3" * 40]
    assert sorted(numbers, key=version_of) == numbers
    assert max(len(version_of(number)) for number in numbers) == 40


def test_an_item_of_a_page_has_the_lowest_version() -> None:
    assert version_of("") < version_of("1")


@pytest.mark.parametrize("length", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7])
@pytest.mark.parametrize("character", ["x", "é", "ключ", "🗝"])
def test_an_image_is_the_sum_of_its_chunks(length: int, character: str) -> None:
    image = ("a" + character * length).encode()[:length].decode(errors="ignore").encode()
    chunks = chunks_of(image)
    assert "".join(chunks).encode() == image
    assert all(0 < len(chunk.encode()) <= CHUNK_BYTES for chunk in chunks)


def test_the_image_of_a_write_is_its_item() -> None:
    assert image_of(put_of(b'{"id":{"S":"x"}}', "x")) == b'{"id":{"S":"x"}}'


def test_a_deletion_has_no_image() -> None:
    change = StreamRecord(msgspec.Raw(b'{"id":{"S":"x"}}'), "5")
    assert image_of(write_of(Record("REMOVE", change), "x")) == b""
    assert image_of(Write("x", b"")) == b""


def test_an_item_is_named_by_its_id_or_the_beginning_of_it() -> None:
    ids = {"abcd1234", "abcd9999", "ffff0000"}
    assert named("abcd1234", ids) == named("abcd1", ids) == "abcd1234"
    assert named("ffff", ids) == "ffff0000"


@pytest.mark.parametrize("word", ["fff", "", "0000", "abcd12345", "x"])
def test_what_names_none_is_refused(word: str) -> None:
    with pytest.raises(Refused, match="no parked item has an id that begins with"):
        named(word, {"abcd1234", "abcd9999", "ffff0000"})


def test_what_names_several_is_refused() -> None:
    with pytest.raises(Refused, match="2 parked items begin with abcd"):
        named("abcd", {"abcd1234", "abcd9999"})
