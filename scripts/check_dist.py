"""Tries a built wheel as a user gets it, and writes SHA256SUMS beside it.

The wheel goes into an empty environment with the locked runtime requirements, and `dynamirror --help` has to run
there: what only works in the development environment shows here.
"""

import hashlib
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def try_wheel(wheel: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="dynamirror-dist-") as folder:
        venv.create(folder, with_pip=True)
        install = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*install, "--require-hashes", "-r", str(ROOT / "requirements" / "runtime.txt")], check=True)
        subprocess.run([*install, "--no-deps", str(wheel)], check=True)
        # Outside the checkout, so that nothing of it can be imported.
        subprocess.run([f"{folder}/bin/dynamirror", "--help"], check=True, cwd=folder, stdout=subprocess.DEVNULL)


def main() -> int:
    folder = Path(sys.argv[1])
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    try_wheel(wheel.resolve())
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in (sdist, wheel)]
    (folder / "SHA256SUMS").write_text("".join(sums))
    print(f"{wheel.name} installs and runs; sums in {folder / 'SHA256SUMS'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
