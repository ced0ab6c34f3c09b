"""The part of the table of flags that is about the copy: what, into what, how fast."""

from dynamirror.settings.flag import COPY, RATE, Flag

COPY_FLAGS: tuple[Flag, ...] = (
    Flag(
        "copy",
        COPY,
        "Copy the table first, and follow its stream at the same time; a task that has begun its copy goes on with it. "
        "Changes wait a minute while the copy runs.",
        kind="switch",
    ),
    Flag(
        "segments",
        COPY,
        "Segments of the copy, which the workers share; more than all of them copy at the same time.",
        kind="int",
        metavar="COUNT",
        default="64",
        least=1,
        most=100_000,
    ),
    Flag(
        "allow_non_empty",
        COPY,
        "Copy although the destination has items: those that the source has too are written over, the others stay.",
        kind="switch",
    ),
    Flag(
        "create_destination",
        COPY,
        "Make the destination like the source (keys, indexes, billing, encryption, tags, recovery; time to live once "
        "the copy is over) when there is none. One that is there is left as it is.",
        kind="switch",
    ),
    Flag(
        "destination_settings",
        COPY,
        "With --create-destination: how the table is to differ from the source (billing, capacity, encryption, tags, "
        "indexes and more), as TOML or JSON; docs/reference/destination-settings.md has all of it.",
        kind="path",
        metavar="FILE",
        derived="as the source is",
    ),
    Flag(
        "indexes_after_copy",
        COPY,
        "With --create-destination and --copy: make global indexes when the copy is over, so that it is faster.",
        kind="switch",
    ),
    Flag(
        "max_read_rate",
        RATE,
        "Most that the copy reads of the source, by all workers of the task: units a second (500), or a share of the "
        "table's capacity at the start (50%).",
        metavar="RATE",
        derived="what the table bears: the copy goes slower when it is throttled",
    ),
    Flag(
        "max_write_rate",
        RATE,
        "Most that the task writes to the destination, by all its workers, changes first and the copy with what is "
        "left: units a second (500), or a share of the table's capacity at the start (50%). Changes fall behind when "
        "it is less than they need.",
        metavar="RATE",
        derived="what the table bears: the copy goes slower when it is throttled",
    ),
)
