"""Which blocks a window holds, and which windows hold a block."""

from __future__ import annotations

from collections.abc import Iterable

from gmm_core.errors import ComputationFailed, InvalidInput, ModelRefused, NotFound
from gmm_core.pipeline.ports import Services
from gmm_core.pipeline.streams import Stream
from gmm_core.summary import BlockSummary
from gmm_core.window import select_blocks

__all__ = ["reference_blocks", "window_blocks", "windows_with"]


def windows_with(key: str, present: Iterable[str], blocks: int) -> list[str]:
    """As-of keys of the windows that hold a block: its own, and of the blocks - 1 that follow it.

    A block that comes late, or is replaced, belongs to windows that were merged without it: these
    change, oldest first, and no others do. The windows count blocks that are present, so a gap makes
    them reach further. Raises `InvalidInput` for windows of no blocks.

    >>> windows_with("2017-01-02", ["2017-01-01", "2017-01-03", "2017-01-07", "2017-01-08"], 3)
    ['2017-01-02', '2017-01-03', '2017-01-07']
    """
    if blocks < 1:
        raise InvalidInput("blocks of a window", got=blocks, bound="1 or more")
    return sorted({key, *(other for other in present if other > key)})[:blocks]


def fitted_keys(stream: Stream, key: str, at: Services) -> list[str]:
    """The keys of all present blocks, this one among them; raises `NotFound` where it is not."""
    present = at.store.summary_keys(stream.name)
    if key not in present:
        raise NotFound(
            f"block {key} of {stream.name} has no mixture",
            remedy=f"run: blockmix fit {stream.name} {key}",
        )
    return present


def window_blocks(stream: Stream, key: str, at: Services) -> list[BlockSummary]:
    """Summaries of the b newest present blocks up to `key`, oldest first.

    Raises `NotFound` when the block of the key has no summary, `ModelRefused` below the stream's
    minimum of blocks, `InvalidInput` when one was fitted on other features than the stream has now.
    """
    present = fitted_keys(stream, key, at)
    keys = select_blocks(present, key, stream.window.blocks)
    if len(keys) < stream.window.minimum_blocks:
        raise ModelRefused(
            f"the window of {stream.name} as of {key} has too few blocks",
            got=len(keys),
            bound=f"at least {stream.window.minimum_blocks}",
            remedy="fit more blocks first",
        )
    blocks = []
    for one in keys:
        block = at.store.summary(stream.name, one)
        if block is None:
            raise ComputationFailed(
                f"the summary of block {one} of {stream.name} went away while it was looked for",
                remedy="run this again",
            )
        if block.features != stream.feature_list:
            raise InvalidInput(
                f"block {block.key} of {stream.name} was fitted on other features",
                got=[f.name for f in block.features],
                bound=str([f.name for f in stream.feature_list]),
                remedy=f"run: blockmix fit {stream.name} {block.key}",
            )
        blocks.append(block)
    return blocks


def reference_blocks(stream: Stream, key: str, at: Services) -> list[BlockSummary]:
    """The newest accepted blocks before `key` that a block is judged by, oldest first.

    As many as the stream asks for, of the features it has now; none when there are fewer.
    """
    asked = stream.gates.against_window
    before = [one for one in at.store.summary_keys(stream.name) if one < key]
    if not asked.on or len(before) < asked.blocks:
        return []
    found = (at.store.summary(stream.name, one) for one in before[-asked.blocks :])
    usable = [one for one in found if one is not None and one.features == stream.feature_list]
    return usable if len(usable) == asked.blocks else []
