"""`python -m tests.sim SEED` tells one run step by step; `python -m tests.sim --many N [--from SEED]` runs many."""

import argparse
import logging
import sys

from tests.sim.many import many, shortfalls, table
from tests.sim.play import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int)
    parser.add_argument("--many", type=int, metavar="N")
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="SEED")
    given = parser.parse_args()
    if given.many is None:
        logging.basicConfig(level=logging.INFO, format="            %(name)s: %(message)s", stream=sys.stdout)
        outcome = run(given.seed or 0, say=print)
        print(outcome.failure or "every promise was kept")
        return 1 if outcome.failure else 0
    failed, counts = many(range(given.first, given.first + given.many), progress=print)
    for outcome in failed:
        print(f"seed {outcome.seed}: {outcome.failure}")
    print(table(counts))
    short = shortfalls(counts) if given.many >= 1000 else []
    for line in short:
        print(line)
    print(f"{given.many} seeds, {len(failed)} failed")
    return 1 if failed or short else 0


if __name__ == "__main__":
    sys.exit(main())
