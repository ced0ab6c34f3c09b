"""Processes for all cores. What they do is reckoning in virtual time, so tests beside them that live in real time go
before them."""

import logging
import multiprocessing
import multiprocessing.pool
import os

NICE = 5


def pool() -> multiprocessing.pool.Pool:
    """As many as there are cores, without logs. To be entered."""
    return multiprocessing.get_context("spawn").Pool(os.cpu_count() or 1, _begin)


def _begin() -> None:
    os.nice(NICE)
    logging.disable(logging.CRITICAL)
