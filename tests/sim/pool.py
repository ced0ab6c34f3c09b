"""Processes for all cores. What they do is reckoning in virtual time, so tests beside them that live in real time go
before them."""

import gc
import logging
import multiprocessing
import multiprocessing.pool
import os

NICE = 5
# Python looks for garbage every 700 objects, which is a sixth of all time here; a seed leaves little behind.
GARBAGE_EVERY = 20_000


def pool() -> multiprocessing.pool.Pool:
    """As many as there are cores, without logs. To be entered."""
    return multiprocessing.get_context("spawn").Pool(os.cpu_count() or 1, _begin)


def _begin() -> None:
    os.nice(NICE)
    gc.set_threshold(GARBAGE_EVERY)
    logging.disable(logging.CRITICAL)
