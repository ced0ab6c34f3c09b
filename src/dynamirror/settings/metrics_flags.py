"""The part of the table of flags that is about figures: where they are published, and served."""

from dynamirror.settings.flag import REPORTS, Flag

METRICS_FLAGS: tuple[Flag, ...] = (
    Flag(
        "http",
        REPORTS,
        "Serve /metrics (Prometheus) and /healthz (200, or 503 with what is stuck) at this address of this machine, "
        "127.0.0.1:9600 for example.",
        metavar="HOST:PORT",
        derived="nothing is served",
    ),
    Flag(
        "publish_cloudwatch",
        REPORTS,
        "Send metrics to CloudWatch, in the Region of the leases, under the lease table's name; each metric costs. In "
        "the Java tool's form of the command line that is the default, but not where the source is on this machine.",
        kind="switch",
    ),
    Flag(
        "dont_publish_cloudwatch",
        REPORTS,
        "Send no request to CloudWatch at all.",
        kind="switch",
        java=("--dontPublishCloudwatch",),
    ),
    Flag(
        "cloudwatch_endpoint",
        REPORTS,
        "Endpoint of CloudWatch.",
        metavar="URL",
        derived="from the Region of the leases",
    ),
    Flag(
        "cloudwatch_per_shard",
        REPORTS,
        "Send what is known of each shard also under its name, three metrics a shard: that costs, and shards live for "
        "hours.",
        kind="switch",
    ),
)
