"""What a window mixture is made of, what makes two of them the same, and what is said of them."""

from __future__ import annotations

import hashlib
from typing import Any

from gmm_core import __version__
from gmm_core.pipeline.ports import ModelVersion
from gmm_core.pipeline.streams import Stream
from gmm_core.summary import BlockSummary
from gmm_core.window import block_set_hash

__all__ = [
    "fit_facts",
    "identity_of",
    "lineage_of",
    "version_facts",
    "version_pages",
]


def identity_of(stream: Stream, blocks: list[BlockSummary]) -> dict[str, str]:
    """What makes two window mixtures the same: content of the blocks, settings of the reduction."""
    return {"block_set_hash": block_set_hash(blocks), "settings": stream.window_fingerprint}


def lineage_of(blocks: list[BlockSummary], counted: list[BlockSummary]) -> dict[str, str]:
    """Tags that say what a version was made of: the blocks, and what counted of their rows."""
    digests = "\n".join(f"{block.key} {block.input_digest}" for block in blocks)
    return {
        "first_block": blocks[0].key,
        "last_block": blocks[-1].key,
        "blocks": str(len(blocks)),
        "rows": str(sum(block.rows for block in blocks)),
        "effective_rows": f"{sum(block.moments.weight for block in counted):.12g}",
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
    names = (
        "block_set_hash", "first_block", "last_block", "blocks", "rows", "gate", "born", "died",
    )  # fmt: skip
    return {"version": version.version, **{name: version.tags.get(name, "") for name in names}}


def version_pages(version: ModelVersion) -> dict[str, str]:
    """The pages that show a version."""
    return {"mlflow": version.page, "data_docs": version.tags.get("report", "")}
