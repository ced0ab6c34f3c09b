"""Commands that show what the demo leaves running, to be copied into another terminal."""

from dynamirror.engines.demo.facts import ACCESS_KEY, DESTINATION_REGION, SECRET_KEY, SOURCE_REGION, TABLE, TASK
from dynamirror.model.task_name import LEASE_TABLE_PREFIX

_ITEM = '{"pk": {"S": "hello"}, "sk": {"S": "world"}, "price": {"N": "3.50"}}'
_KEY = '{"pk": {"S": "hello"}, "sk": {"S": "world"}}'


def commands(endpoint: str) -> list[str]:
    """One a line, comments and empty lines between them."""
    second_worker = (
        f"dynamirror replicate --source-region {SOURCE_REGION} --source-endpoint {endpoint} --source-table {TABLE} "
        f"--destination-region {DESTINATION_REGION} --destination-endpoint {endpoint} --destination-table {TABLE} "
        f"--task-name {TASK}"
    )
    return [
        "# made-up credentials, good for this database only",
        f"export AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={SECRET_KEY} AWS_ENDPOINT_URL={endpoint}",
        "",
        "# write at the source, read at the destination",
        f"aws dynamodb put-item --region {SOURCE_REGION} --table-name {TABLE} --item '{_ITEM}'",
        f"aws dynamodb get-item --region {DESTINATION_REGION} --table-name {TABLE} --key '{_KEY}'",
        "",
        "# the leases: one row a shard, its owner and how far it has come",
        f"aws dynamodb scan --region {SOURCE_REGION} --table-name {LEASE_TABLE_PREFIX}{TASK}",
        "",
        "# a second worker of the same task; it takes over when this one ends",
        second_worker,
    ]
