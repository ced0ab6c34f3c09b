"""What a verify is for, in full size: minutes long."""

import time
from pathlib import Path

import pytest

from tests.bench.chaos_faults import add_faults
from tests.bench.signature import Credential
from tests.bench.thread import ProxyThread
from tests.integration.test_verify import judge
from tests.support.command import Command, bare_environ
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal
from tests.support.endless_table import OTHERWISE, EndlessTables
from tests.support.verify_pair import VerifyPair

pytestmark = pytest.mark.long


@pytest.mark.timeout(1800)
def test_500_of_each_kind_among_100_000_under_live_traffic(
    dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path
) -> None:
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=100_000)
    pair.plant(500)
    with pair.replicating(), pair.traffic():
        judge(pair, 500, ("--patience", "60s"))


@pytest.mark.timeout(3000)
def test_the_same_through_the_fault_proxy(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> None:
    """Throttles, partial answers, resets before and after, writes that land up to 20 s late, on every side.

    An item whose write got no answer waits 25 s, twice in a row at times: hence the patience.
    """
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=100_000)
    pair.plant(500)
    with (
        ProxyThread(dynamodb_local.url, {access_key: Credential(SECRET_KEY)}, seed=5) as bench,
        pair.replicating("--stray-life", "20s", url=bench.url),
        pair.traffic(),
    ):
        add_faults(bench.proxy.faults, late_writes=True)
        judge(pair, 500, ("--patience", "300s", "--stray-life", "20s"), url=bench.url)
        counts = bench.proxy.faults.counts
        bench.proxy.faults.clear()
    print({kind.value: count for kind, count in counts.items()})
    assert sum(counts.values()) > 50


@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_the_table(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> None:
    peaks_kb = [_peak_kb(dynamodb_local, access_key, tmp_path, items) for items in (100_000, 1_000_000)]
    print(f"peak resident memory: {peaks_kb[0]:,} kB at 100,000 items, {peaks_kb[1]:,} kB at 1,000,000")
    assert peaks_kb[1] <= 1.1 * peaks_kb[0]


def _peak_kb(local: DynamoDBLocal, access_key: str, folder: Path, items: int) -> int:
    with EndlessTables(items) as tables:
        flags = ["verify", "--source-region", "us-east-1", "--source-table", f"Orders{items}"]
        flags += [
            "--destination-region",
            "eu-west-1",
            "--destination-table",
            f"Copy{items}",
            "--kcl-endpoint",
            local.url,
        ]
        flags += ["--source-endpoint", tables.url, "--destination-endpoint", tables.url]
        peak_kb = 0
        with Command(flags, folder / str(items), bare_environ(access_key)) as command:
            status = Path(f"/proc/{command.process.pid}/status")
            while command.process.poll() is None:
                lines = status.read_text().splitlines()
                peak_kb = max([peak_kb, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
                time.sleep(0.05)
            output = command.output
    assert command.process.returncode == 0, output
    assert f"{items:,} items of the source, {items:,} of the destination" in output
    assert f"{items // OTHERWISE:,} keys looked at one by one" in output
    return peak_kb
