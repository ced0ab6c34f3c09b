"""What following a stream is compared with: a plain boto3 loop, GetRecords and batch_write_item, without any guarantee.

`python -m bench.boto3_loop ENDPOINT`: reads every shard to its present end, one after the other.
"""

import sys
from itertools import islice

import boto3

from bench.pages import DESTINATION, SOURCE

BATCH = 25


def main(endpoint: str) -> None:
    """Copy what the stream has. Credentials come from the environment."""
    table = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=endpoint)
    streams = boto3.client("dynamodbstreams", region_name="us-east-1", endpoint_url=endpoint)
    stream_arn = table.describe_table(TableName=SOURCE)["Table"]["LatestStreamArn"]
    for shard in streams.describe_stream(StreamArn=stream_arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=stream_arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while records := (page := streams.get_records(ShardIterator=iterator))["Records"]:
            iterator = page["NextShardIterator"]
            waiting = iter(records)
            while batch := list(islice(waiting, BATCH)):
                requests = [{"PutRequest": {"Item": record["dynamodb"]["NewImage"]}} for record in batch]
                left = {DESTINATION: requests}
                while left:
                    left = table.batch_write_item(RequestItems=left)["UnprocessedItems"]  # type: ignore[arg-type, assignment]


if __name__ == "__main__":
    main(sys.argv[1])
