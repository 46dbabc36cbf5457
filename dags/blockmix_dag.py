"""What the Blockmix DAG files share at parse time: streams, their two assets, parameters, retries.

Not a DAG file itself (see `.airflowignore`). What happens inside a task is in `blockmix_run`.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, get_args

from airflow.sdk import Asset, ExceptionRetryPolicy, Param, RetryAction, RetryRule

from gmm_core.config import load_settings
from gmm_core.errors import ComputationFailed, InvalidInput, InvalidStream, Refused
from gmm_core.gaussian import CovarianceType
from gmm_core.pipeline.settings.mixtures import MAX_K, MAX_WINDOW
from gmm_core.pipeline.stream_files import load_streams
from gmm_core.pipeline.streams import Stream

__all__ = [
    "BLOCK_KEY",
    "KEY_FORMAT",
    "OVERRIDES",
    "RETRIES",
    "THROUGH",
    "bad_streams",
    "block_asset",
    "challenger_asset",
    "dag_settings",
    "day_field",
    "good_streams",
    "midnight",
    "stream_field",
    "version_field",
    "window_asset",
]

KEY_FORMAT = "%Y-%m-%d"

# What repeating cannot help fails at once and shows as failed; the rest is tried again.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(Refused, RetryAction.FAIL, reason="a gate refused: repeating cannot help"),
        RetryRule(InvalidInput, RetryAction.FAIL, reason="wrong input: repeating cannot help"),
        RetryRule(
            ComputationFailed, RetryAction.RETRY, reason="the work failed: it may help to repeat"
        ),
    ]
)

RETRIES = {
    "retries": 2,
    "retry_delay": dt.timedelta(seconds=20),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": dt.timedelta(minutes=10),
    "retry_policy": RETRY_POLICY,
}

OVERRIDES = {
    "k": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        maximum=MAX_K,
        title="Components k",
        description="Components of the block mixture and of the window mixture. Empty: the stream's own.",
    ),
    "window": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        maximum=MAX_WINDOW,
        title="Window length",
        description="Blocks in the window, the newest ones up to the key. Empty: the stream's own.",
    ),
    "covariance_type": Param(
        None,
        type=["string", "null"],
        enum=[*get_args(CovarianceType), None],
        title="Covariance type",
        description=(
            "full: any ellipsoid; tied: one ellipsoid for all; diag: axes along the features; "
            "spherical: balls. Empty: the stream's own."
        ),
    ),
}


THROUGH = {
    "through": Param(
        None,
        type=["string", "null"],
        format="date",
        title="Settings through",
        description="Last block whose window takes the settings below too. Empty: this block.",
    )
}

# Names the block of a run started by hand without a partition key.
BLOCK_KEY = {
    "block_key": Param(
        None,
        type=["string", "null"],
        format="date",
        title="Block key",
        description="UTC day of the block, for a run without a partition key.",
    )
}


def stream_field(names: list[str], says: str) -> Param:
    """The choice of a stream in a form: nothing is chosen beforehand where there are several."""
    only = {"default": names[0]} if len(names) == 1 else {}
    return Param(**only, type="string", enum=names, title="Stream", description=says)


def version_field(says: str) -> dict[str, Param]:
    """The parameter `version` of a run by hand."""
    kind = {"type": ["integer", "null"], "minimum": 1, "title": "Model version"}
    return {"version": Param(None, description=says, **kind)}


def day_field(title: str) -> Param:
    """A required day of a form."""
    says = f"UTC day. At most {MAX_WINDOW} days."
    return Param(type="string", format="date", title=title, description=says)


def good_streams() -> list[Stream]:
    """The streams whose files are right, in name order."""
    return [one for one in load_streams(load_settings().streams) if isinstance(one, Stream)]


def bad_streams() -> list[InvalidStream]:
    """What is wrong with the other files."""
    return [one for one in load_streams(load_settings().streams) if isinstance(one, InvalidStream)]


def block_asset(stream: Stream) -> Asset:
    """Block mixtures of a stream; partition = block key."""
    return _asset(stream, "block_mixture")


def window_asset(stream: Stream) -> Asset:
    """Promoted window mixtures of a stream; partition = newest block key of the window."""
    return _asset(stream, "window_mixture")


def challenger_asset(stream: Stream) -> Asset:
    """Merged versions that a person may be asked about; partition = newest block key of the window."""
    return _asset(stream, "challenger")


def _asset(stream: Stream, kind: str) -> Asset:
    return Asset(f"{stream.name}_{kind}", f"blockmix://{stream.name}/{kind}", group="blockmix")


def midnight(day: dt.date) -> dt.datetime:
    """The first moment of a UTC day."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def dag_settings(stream: Stream, doc: str | None, *, urgency: int) -> dict[str, Any]:
    """Arguments every DAG of a stream has.

    Unpaused from the start, since asset events that come while a DAG is paused are lost to it.
    """
    return {
        "doc_md": doc,
        "description": f"{stream.name}: {(doc or '').strip().splitlines()[0]}",
        "tags": ["blockmix", f"stream:{stream.name}"],
        "catchup": False,
        "is_paused_upon_creation": False,
        "default_args": {
            "owner": stream.owner,
            "priority_weight": urgency,
            "weight_rule": "absolute",
            **RETRIES,
        },
    }
