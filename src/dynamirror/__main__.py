"""`python -m dynamirror`, and the command `dynamirror`."""

import sys

from dynamirror.cli import early


def main() -> int:
    """Run the process's own command line; returns the exit code."""
    early.listen(sys.argv[1:])
    sys.stdout = early.buffered(sys.stdout)
    from dynamirror.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
