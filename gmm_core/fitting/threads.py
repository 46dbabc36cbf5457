"""Threads: parts of one computation on as many as numba has (`NUMBA_NUM_THREADS`, by default the processors
this process may use). For work that holds no lock most of its time: compiled code, numpy on arrays.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

__all__ = ["on_threads"]


def on_threads(work: Callable[[int], None], count: int) -> None:
    """Call `work` for 0 to count - 1 on this thread and, where there are, on others."""
    left = itertools.count()

    def until_done() -> None:
        while (index := next(left)) < count:
            work(index)

    threads = min(_threads(), count)
    if threads == 1:
        until_done()
        return
    others = [_others(threads - 1).submit(until_done) for _ in range(threads - 1)]
    try:
        until_done()
    finally:
        for other in others:
            if not other.cancel():  # it has begun, perhaps for another fit's rows first
                other.result()


@functools.cache
def _others(count: int) -> ThreadPoolExecutor:
    """Threads that stay: to start some for each E-step would cost as much as a thousand rows."""
    return ThreadPoolExecutor(count, thread_name_prefix="gmm_core")


if hasattr(os, "register_at_fork"):  # a forked process has none of them
    os.register_at_fork(after_in_child=_others.cache_clear)


def _threads() -> int:
    """numba's number where it is loaded, or what it will be."""
    if "numba" in sys.modules:
        return int(sys.modules["numba"].config.NUMBA_NUM_THREADS)
    asked = os.environ.get("NUMBA_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
