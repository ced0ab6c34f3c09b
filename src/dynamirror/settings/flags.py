"""The one table of flags: help, documentation, variables, the Java tool's spellings and the limits all come from it.

`cli/options` makes the command line of it, `settings/parse` the settings, `scripts/help_pages` the reference.
"""

from dynamirror.settings.copy_flags import COPY_FLAGS
from dynamirror.settings.flag import CHECKS, DESTINATION, ORDER, READING, REPORTS, SOURCE, TASK, Flag
from dynamirror.settings.metrics_flags import METRICS_FLAGS

FLAGS: tuple[Flag, ...] = (
    Flag(
        "source_region",
        SOURCE,
        "Region of the source table; its requests are signed for it, also when an endpoint is given.",
        metavar="REGION",
        java=("--sourceRegion", "--sourceSigningRegion"),
        required=True,
    ),
    Flag("source_table", SOURCE, "Table to copy from.", metavar="TABLE", java=("--sourceTable",), required=True),
    Flag(
        "source_endpoint",
        SOURCE,
        "DynamoDB endpoint of the source table, and of its stream when no streams endpoint is given.",
        metavar="URL",
        java=("--sourceEndpoint",),
        derived="from the Region",
    ),
    Flag(
        "source_streams_endpoint",
        SOURCE,
        "DynamoDB Streams endpoint of the source table.",
        metavar="URL",
        java=("--sourceStreamsEndpoint",),
        derived="the source endpoint if given, else from the Region",
    ),
    Flag(
        "source_profile",
        SOURCE,
        "Profile of the AWS configuration files that reads the source table and its stream.",
        metavar="PROFILE",
        derived="the standard AWS credential chain",
    ),
    Flag(
        "source_role_arn",
        SOURCE,
        "Role assumed for the source table and its stream only; leases, destination and CloudWatch use the "
        "process's own credentials.",
        metavar="ARN",
        java=("--sourceRoleArn",),
        derived="none",
    ),
    Flag(
        "destination_region",
        DESTINATION,
        "Region of the destination table; its requests are signed for it, also when an endpoint is given.",
        metavar="REGION",
        java=("--destinationRegion", "--destinationSigningRegion"),
        required=True,
    ),
    Flag(
        "destination_table",
        DESTINATION,
        "Table to copy to; it must exist and have the same key schema.",
        metavar="TABLE",
        java=("--destinationTable",),
        required=True,
    ),
    Flag(
        "destination_endpoint",
        DESTINATION,
        "DynamoDB endpoint of the destination table.",
        metavar="URL",
        java=("--destinationEndpoint",),
        derived="from the Region",
    ),
    Flag(
        "destination_profile",
        DESTINATION,
        "Profile of the AWS configuration files that writes the destination table.",
        metavar="PROFILE",
        derived="the standard AWS credential chain",
    ),
    Flag(
        "drop_aws_rep",
        DESTINATION,
        "Leave out the attributes aws:rep:* that a global table of version 2017.11.29 has in its items; the same for "
        "all workers of a task.",
        kind="switch",
    ),
    Flag(
        "task_name",
        TASK,
        "Name of the task: the lease table is DynamoDBCrossRegionReplication + name, at most 255 characters. "
        "Workers with the same name share the work.",
        metavar="NAME",
        java=("--taskName",),
        derived="MD5 of source Region + table + destination Region + table",
    ),
    Flag(
        "kcl_region",
        TASK,
        "Region of the lease table and of the state table beside it.",
        metavar="REGION",
        java=("--kclRegion",),
        derived="the source Region",
    ),
    Flag(
        "kcl_endpoint",
        TASK,
        "DynamoDB endpoint of the lease table.",
        metavar="URL",
        java=("--kclEndpoint",),
        derived="the source endpoint if given and no --kcl-region, else from the Region",
    ),
    Flag(
        "processes",
        TASK,
        "Worker processes on this machine, which share the task as machines do; auto: one a core. One that dies is "
        "started again.",
        metavar="COUNT",
        default="1",
    ),
    Flag(
        "start_at",
        READING,
        "Where a task without leases begins in the stream: trim-horizon (everything it still has), latest (only "
        "what is written from now on), or a time, 2026-01-31T12:00:00Z or seconds since 1970. A task that has "
        "leases goes on where it was.",
        metavar="WHERE",
        default="trim-horizon",
    ),
    Flag(
        "batch_size",
        READING,
        "Most records asked for in one GetRecords request.",
        kind="int",
        metavar="COUNT",
        java=("--batchSize",),
        default="1000",
        least=1,
        most=1000,
    ),
    Flag(
        "max_idle_poll",
        READING,
        "Longest pause between two reads of a shard that has nothing new; a busy shard is read without pause.",
        kind="duration",
        metavar="DURATION",
        default="1s",
        least=0.1,
        most=60,
    ),
    Flag(
        "parent_shard_poll_interval_ms",
        READING,
        "At most this many milliseconds between checks whether the parent of a waiting shard has ended.",
        kind="int",
        metavar="MS",
        java=("--parentShardPollIntervalMillis",),
        default="10000",
        least=1,
        most=3_600_000,
    ),
    Flag(
        "on_gap",
        READING,
        "Where changes were trimmed before they were read, or the stream was switched off and on again: stop (exit "
        "code 6), continue (note the gap and go on at the oldest record; exit code 6 at the end while it is open), or "
        "reconcile (continue, and compare and mend both tables whole beside it).",
        kind="choice",
        metavar="POLICY",
        default="stop",
        choices=("stop", "continue", "reconcile"),
    ),
    Flag(
        "stray_life",
        ORDER,
        "How long a write without an answer may still land after its time-out. Its item, and after a crash the "
        "checkpoint, waits so long; longer is safer and slower. 300s outlives every signature. The same for all "
        "workers of a task.",
        kind="duration",
        metavar="DURATION",
        default="30s",
        least=5,
        most=600,
    ),
    Flag(
        "java_failover_time",
        ORDER,
        "Fail-over time of the Java workers that share the lease table (KCL's failoverTimeMillis; the Java tool has "
        "60s): one that is silent for so long and a third more is taken for dead, and this worker gives signs of life "
        "often enough for it. The same for all workers of a task; below 15s attempts time out after a third of it.",
        kind="duration",
        metavar="DURATION",
        default="60s",
        least=3,
        most=3600,
    ),
    Flag(
        "cautious_takeover",
        ORDER,
        "After taking a lease that was not left in order, write nothing before the predecessor's last writes have "
        "landed or cannot any more; else write at once, and those changes once more afterwards.",
        kind="switch",
    ),
    Flag(
        "max_parked",
        ORDER,
        "So many items that the destination refuses (too large, an index key of the wrong type) are parked in the "
        "state table while the others go on (dynamirror parked); one more stops the worker, exit code 7. 0 parks "
        "nothing: the first refused item stops it.",
        kind="int",
        metavar="COUNT",
        default="100",
        least=0,
        most=100_000,
    ),
    *COPY_FLAGS,
    Flag("enable_stream", CHECKS, "Switch the source table's stream on (both images) when it is off.", kind="switch"),
    Flag(
        "allow_loop",
        CHECKS,
        "Start although the reverse task (looked for under its default name) is running: then each change goes round "
        "for ever.",
        kind="switch",
    ),
    Flag(
        "log_dir",
        REPORTS,
        "Directory for two rotating log files, the application's and that of leases and shards; their names carry "
        "task and worker.",
        kind="path",
        metavar="DIRECTORY",
        derived="the terminal only",
    ),
    Flag(
        "log_level",
        REPORTS,
        "Least severe event that is logged.",
        kind="choice",
        metavar="LEVEL",
        default="INFO",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
    ),
    Flag(
        "log_format",
        REPORTS,
        "One line an event, as text or as JSON.",
        kind="choice",
        metavar="FORMAT",
        default="text",
        choices=("text", "json"),
    ),
    Flag(
        "log_config",
        REPORTS,
        "Python logging configuration (dictConfig) as TOML or JSON, instead of the other log flags.",
        kind="path",
        metavar="FILE",
        derived="none",
    ),
    *METRICS_FLAGS,
)

FLAG_OF_FIELD = {flag.field: flag for flag in FLAGS}
