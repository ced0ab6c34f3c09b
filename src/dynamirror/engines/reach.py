"""What the checks need of the open connections, as protocols: `aws/connect.Connections` has it all."""

from typing import Protocol

from dynamirror.aws.control_plane import Encryption
from dynamirror.model.key import KeySchema
from dynamirror.ports import TableFacts


class Control(Protocol):
    """The tables of one side (aws/control_plane.ControlPlane, which says what each raises)."""

    async def describe_table(self, name: str) -> TableFacts:
        """What the table is now."""

    async def encryption(self, name: str) -> Encryption | None:
        """How the table is encrypted; None: as DynamoDB does by itself."""

    async def enable_stream(self, name: str) -> TableFacts:
        """Switch the stream on, with both images; wait until it can be read."""

    async def create_table(self, name: str, schema: KeySchema, encryption: Encryption | None = None) -> TableFacts:
        """Create unless there is one; wait until it is active."""


class Endpoint(Protocol):
    """One side's service (aws/service.Service)."""

    @property
    def url(self) -> str:
        """Where it is."""

    async def call(self, operation: str, body: bytes) -> bytes:
        """One signed request."""


class Reach(Protocol):
    """Three sides: the source, the destination, and where lease and state table are."""

    @property
    def source(self) -> Endpoint:
        """The source table."""

    @property
    def streams(self) -> Endpoint:
        """The source table's stream."""

    @property
    def destination(self) -> Endpoint:
        """The destination table."""

    @property
    def state(self) -> Endpoint:
        """Lease and state table."""

    @property
    def source_control(self) -> Control:
        """The source's tables."""

    @property
    def destination_control(self) -> Control:
        """The destination's tables."""

    @property
    def state_control(self) -> Control:
        """The tables of the side where leases are."""
