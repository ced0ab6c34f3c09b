"""What the copy is compared with: a plain boto3 loop, the paginator of Scan and batch_writer, without any guarantee.

`python -m bench.boto3_copy ENDPOINT`
"""

import sys

import boto3

from bench.pages import DESTINATION, SOURCE


def main(endpoint: str) -> None:
    """Copy the table. Credentials come from the environment."""
    dynamodb = boto3.resource("dynamodb", region_name="us-east-1", endpoint_url=endpoint)
    pages = dynamodb.meta.client.get_paginator("scan").paginate(TableName=SOURCE, ConsistentRead=True)
    with dynamodb.Table(DESTINATION).batch_writer() as batch:
        for page in pages:
            for item in page["Items"]:
                batch.put_item(Item=item)


if __name__ == "__main__":
    main(sys.argv[1])
