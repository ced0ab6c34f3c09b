"""`python -m dynamirror`."""

import sys

from dynamirror.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
