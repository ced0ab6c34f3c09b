"""Which Lambda functions read a stream: event source mappings of the account, by botocore, in a thread.

Lambda shows the mappings of the asking account only; another account's functions on the same stream are not seen.
"""

import asyncio
from typing import Any

from dynamirror.aws.credential_chain import assumed_role, chain, new_session
from dynamirror.aws.credentials import Credentials
from dynamirror.errors import AccessDenied, Side, Stop
from dynamirror.settings.groups import SourceSettings

# What does not read, and will not by itself.
_AT_REST = frozenset({"Disabled", "Disabling", "Deleting"})


class LambdaMappings:
    """Asked with the credentials of the source: lambda:ListEventSourceMappings."""

    def __init__(self, source: SourceSettings) -> None:
        self._source = source

    async def __call__(self, stream_arn: str) -> tuple[str, ...]:
        """The functions whose mappings of the stream are not switched off. One attempt; raises Stop, Retry."""
        source = self._source
        if source.role_arn is None:
            fetch = chain(source.profile, source.region, Side.SOURCE)
        else:
            fetch = assumed_role(source.role_arn, source.profile, source.region, Side.SOURCE)
        credentials = await fetch()
        return await asyncio.to_thread(self._list, stream_arn, credentials)

    def _list(self, stream_arn: str, credentials: Credentials) -> tuple[str, ...]:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        session = new_session(self._source.profile, self._source.region)
        try:
            client: Any = session.create_client(
                "lambda",
                region_name=self._source.region,
                aws_access_key_id=credentials.access_key,
                aws_secret_access_key=credentials.secret_key,
                aws_session_token=credentials.token,
                config=Config(connect_timeout=3, read_timeout=8, retries={"total_max_attempts": 2}),
            )
            try:
                pages = client.get_paginator("list_event_source_mappings").paginate(EventSourceArn=stream_arn)
                found = [one for page in pages for one in page["EventSourceMappings"]]
            finally:
                client.close()
        except ClientError as failure:
            code = failure.response.get("Error", {}).get("Code", "")
            kind = AccessDenied if code.startswith("AccessDenied") else Stop
            raise kind(
                Side.SOURCE, f"ListEventSourceMappings of {stream_arn}: {code}; allow lambda:ListEventSourceMappings"
            ) from failure
        except (BotoCoreError, KeyError) as failure:
            # Only its kind: such an error may quote a proxy's URL, password included.
            raise Stop(Side.SOURCE, f"ListEventSourceMappings of {stream_arn}: {type(failure).__name__}") from None
        reading = (one for one in found if one.get("State") not in _AT_REST)
        return tuple(sorted({_name(one.get("FunctionArn", "")) for one in reading}))


def mappings_of(source: SourceSettings) -> LambdaMappings | None:
    """None for a source at an endpoint of its own: what answers there has nothing to do with an account's functions."""
    return LambdaMappings(source) if source.endpoint is None else None


def _name(function_arn: str) -> str:
    """Name, and version or alias, of arn:aws:lambda:Region:account:function:name[:alias]."""
    return ":".join(function_arn.split(":")[6:]) or function_arn
