"""Errors from Spark's workers: a `BlockmixError` travels as text.

So the driver raises the same class with the same message instead of a worker's traceback.
"""

from __future__ import annotations

import json
import re

from gmm_core.errors import BlockmixError

__all__ = ["carried_error", "carrying", "pack", "unpack"]

_CARRIED = re.compile(r"<<blockmix (\{.*?\}) blockmix>>", re.DOTALL)


def pack(error: BlockmixError) -> str:
    """An error as text: its class and message."""
    return json.dumps(error.to_dict())


def unpack(text: str) -> BlockmixError:
    """The error that `pack` was given: same class, same message."""
    return BlockmixError.from_dict(json.loads(text))


def carrying(error: BlockmixError) -> RuntimeError:
    """What to raise where no column can carry an error: its text survives Spark's traceback."""
    return RuntimeError(f"<<blockmix {pack(error)} blockmix>>")


def carried_error(text: str) -> BlockmixError | None:
    """The error that `carrying` was given, from what Spark says about the end of the worker."""
    found = _CARRIED.search(text)
    return None if found is None else unpack(found[1])
