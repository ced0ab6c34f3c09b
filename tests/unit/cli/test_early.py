"""What happens before anything slow is imported."""

import io
from typing import Any, cast

from dynamirror.cli.early import buffered


class Pipe(io.RawIOBase):
    """Takes seven bytes at a time, as a pipe that is nearly full."""

    def __init__(self) -> None:
        self.got = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.got += bytes(data[:7])
        return min(len(data), 7)


def test_a_long_text_is_written_whole_where_the_output_is_unbuffered() -> None:
    pipe = Pipe()
    unbuffered = io.TextIOWrapper(cast(Any, pipe), encoding="utf-8", write_through=True)
    stream = buffered(unbuffered)
    stream.write("ü" * 100 + "\n")
    assert pipe.got.decode() == "ü" * 100 + "\n"


def test_an_output_with_a_buffer_stays_as_it_is() -> None:
    stream = io.TextIOWrapper(io.BufferedWriter(cast(Any, Pipe())), encoding="utf-8")
    assert buffered(stream) is stream
