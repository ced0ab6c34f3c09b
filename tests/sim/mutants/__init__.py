"""Production code broken on purpose, one promise at a time: the checks must find each of them.

A mutant patches what it names while it is entered. Its profile makes what it breaks likely.
"""

from tests.sim.mutants import (
    applying,
    bounds,
    copy_bounds,
    copy_times,
    copying,
    gaps,
    java,
    moving,
    parking,
    reading,
    tenure,
    times,
)
from tests.sim.mutants.base import MUTANTS, Mutant

__all__ = [
    "MUTANTS",
    "Mutant",
    "applying",
    "bounds",
    "copy_bounds",
    "copy_times",
    "copying",
    "gaps",
    "java",
    "moving",
    "parking",
    "reading",
    "tenure",
    "times",
]
