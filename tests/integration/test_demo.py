"""`dynamirror demo` as a newcomer starts it: embedded database, live copy, comparison, and nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from dynamirror.engines import assemble_demo
from dynamirror.engines.assemble_demo import Interrupts, own_environment
from dynamirror.engines.demo import DemoOptions, run_demo
from dynamirror.engines.demo.facts import ACCESS_KEY, SECRET_KEY, Result
from dynamirror.engines.demo.play import Show, Stage, play
from tests.support.command import Command, wait_until

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# What a user may have; the demo must neither use it nor trip over it.
USERS_OWN = {
    "AWS_PROFILE": "a-profile-that-does-not-exist",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "example",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_CA_BUNDLE": "no-such-bundle.pem",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "DYNAMIRROR_SOURCE_TABLE": "Precious",
}


def environ(tmp_path: Path) -> dict[str, str]:
    """The user's, with a folder of its own for temporary files, so that leftovers show."""
    return dict(os.environ) | USERS_OWN | {"TMPDIR": str(tmp_path)}


def writes(output: str) -> bool:
    """For a second at least."""
    return re.search(r"[1-9]\d* s  writing", output) is not None


def test_the_facts_as_json_and_nothing_left_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dynamirror", "demo", "--seconds", "8", "--rate", "100", "--json"]
    done = subprocess.run(command, check=False, env=environ(tmp_path), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert facts["equal"] is True
    assert facts["items"]["source"] == facts["items"]["destination"] > 20
    assert facts["read"] == facts["written"]["total"] > 150
    assert min(facts["written"][kind] for kind in ("inserts", "updates", "deletes")) > 0
    assert 0 < facts["applied"] <= facts["read"]
    assert 0 < facts["lag_ms"]["p50"] <= facts["lag_ms"]["p99"]
    assert not list(tmp_path.iterdir())


def test_ctrl_c_ends_the_traffic_and_compares(tmp_path: Path) -> None:
    with Command(["demo", "--seconds", "600"], tmp_path / "out", environ(tmp_path)) as demo:
        wait_until(lambda: writes(demo.output), 30, demo)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(timeout=30) == 0
        assert "✓ Equal" in demo.output
        assert "dynamirror replicate --help" in demo.output
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_keep_goes_on_replicating_and_says_how_to_look(tmp_path: Path) -> None:
    with Command(["demo", "--seconds", "1", "--keep"], tmp_path / "out", environ(tmp_path)) as demo:
        wait_until(lambda: "a second worker" in demo.output, 30, demo)
        endpoint = demo.output.partition("AWS_ENDPOINT_URL=")[2].split()[0]

        def client(region: str) -> "DynamoDBClient":
            return boto3.client(
                "dynamodb",
                region_name=region,
                endpoint_url=endpoint,
                aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=SECRET_KEY,
            )

        key = {"pk": {"S": "hello"}, "sk": {"S": "world"}}
        client("us-east-1").put_item(TableName="Orders", Item={**key, "price": {"N": "3.50"}})
        copy = client("eu-west-1")
        wait_until(lambda: "Item" in copy.get_item(TableName="Orders", Key=key), 15, demo)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(timeout=30) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_difference_is_shown_and_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def play_with_a_thief(stage: Stage, seconds: float, rate: float, show: Show, stop: object) -> Result:
        """Puts items where replication does not see them."""
        item = {"pk": {"S": "stranger"}, "sk": {"S": "here"}}
        await stage.destination("PutItem", {"TableName": "Orders", "Item": item})
        return await play(stage, seconds, rate, show, stop)  # type: ignore[arg-type]

    monkeypatch.setattr(assemble_demo, "play", play_with_a_thief)
    assert run_demo(DemoOptions(seconds=1, rate=50)) == 1
    output = capsys.readouterr().out
    assert "✗ Different: 0 missing at the destination, 1 only there, 0 not the same" in output
    assert "stranger / here: only at the destination" in output


def test_the_users_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in USERS_OWN.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with own_environment() as inside:
        assert inside == dict(os.environ)
        assert inside["AWS_ACCESS_KEY_ID"] == ACCESS_KEY
        assert inside["AWS_CONFIG_FILE"] == inside["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
        assert not {"AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "HTTP_PROXY", "http_proxy"} & inside.keys()
    assert dict(os.environ) == before


def test_a_demo_that_has_compared_ends_with_its_verdict(tmp_path: Path) -> None:
    with Command(["demo", "--seconds", "1", "--keep"], tmp_path / "out", environ(tmp_path)) as demo:
        wait_until(lambda: "a second worker" in demo.output, 30, demo)
        code, _ = demo.terminate()
        assert code == 0
        assert "without a comparison" not in demo.output
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_demo_that_is_ended_early_says_so(tmp_path: Path) -> None:
    with Command(["demo", "--seconds", "600"], tmp_path / "out", environ(tmp_path)) as demo:
        wait_until(lambda: writes(demo.output), 30, demo)
        code, _ = demo.terminate()
        assert code == 130
        assert "Stopped without a comparison." in demo.output
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


async def test_the_second_ctrl_c_quits() -> None:
    class Task:
        cancelled = False

        def cancel(self) -> None:
            self.cancelled = True

    task = Task()
    interrupts = Interrupts(task)  # type: ignore[arg-type]
    interrupts.interrupt()
    assert (interrupts.traffic_over.is_set(), task.cancelled) == (True, False)
    interrupts.interrupt()
    assert task.cancelled
