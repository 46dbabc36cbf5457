"""What a window mixture is made of, what makes two of them the same, and what is said of them."""

from __future__ import annotations

import hashlib
from typing import Any

from gmm_core import __version__
from gmm_core.errors import ComputationFailed, InvalidInput, ModelRefused, NotFound
from gmm_core.pipeline.ports import ModelVersion, Services
from gmm_core.pipeline.streams import Stream
from gmm_core.summary import BlockSummary
from gmm_core.window import block_set_hash, select_blocks

__all__ = [
    "fit_facts",
    "identity_of",
    "lineage_of",
    "version_facts",
    "version_pages",
    "window_blocks",
]


def window_blocks(stream: Stream, key: str, at: Services) -> list[BlockSummary]:
    """Summaries of the b newest present blocks up to `key`, oldest first.

    Raises `NotFound` when the block of the key has no summary, `ModelRefused` below the stream's
    minimum of blocks, `InvalidInput` when one was fitted on other features than the stream has now.
    """
    present = at.store.summary_keys(stream.name)
    if key not in present:
        raise NotFound(
            f"block {key} of {stream.name} has no mixture",
            remedy=f"run: blockmix fit {stream.name} {key}",
        )
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


def identity_of(stream: Stream, blocks: list[BlockSummary]) -> dict[str, str]:
    """What makes two window mixtures the same: content of the blocks, settings of the reduction."""
    return {"block_set_hash": block_set_hash(blocks), "settings": stream.window_fingerprint}


def lineage_of(blocks: list[BlockSummary]) -> dict[str, str]:
    """Tags that say what a version was made of."""
    digests = "\n".join(f"{block.key} {block.input_digest}" for block in blocks)
    return {
        "first_block": blocks[0].key,
        "last_block": blocks[-1].key,
        "blocks": str(len(blocks)),
        "rows": str(sum(block.rows for block in blocks)),
        "code_version": __version__,
        "input_digest": hashlib.sha256(digests.encode()).hexdigest(),
    }


def fit_facts(summary: BlockSummary) -> dict[str, Any]:
    """What is worth saying of a block fit."""
    return {
        "rows": summary.rows,
        "k": summary.mixture.n_components,
        "covariance_type": summary.mixture.covariance_type,
        "log_likelihood": summary.fit.log_likelihood,
        "iterations": summary.fit.iterations,
        "status": summary.fit.status,
        "digest": summary.digest,
    }


def version_facts(version: ModelVersion) -> dict[str, Any]:
    """What is worth saying of a version."""
    names = ("block_set_hash", "first_block", "last_block", "blocks", "rows", "gate")
    return {"version": version.version, **{name: version.tags.get(name, "") for name in names}}


def version_pages(version: ModelVersion) -> dict[str, str]:
    """The pages that show a version."""
    return {"mlflow": version.page, "data_docs": version.tags.get("report", "")}
