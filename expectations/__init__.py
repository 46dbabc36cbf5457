"""Quality gates on Great Expectations: what is expected, who may pass, and the pages people read.

`ExpectationsGate` implements the `Gate` port; the expectations about mixtures (`custom/`) are for
anyone's suite. Importing this package does not import Great
Expectations, the first check does; but it switches the library's analytics off, which is decided
while that is imported, and its log lines about every decorated class.
"""

import logging
import os
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
logging.getLogger("great_expectations").setLevel(logging.WARNING)

from expectations.gate import ExpectationsGate  # noqa: E402 (after what the library reads)

__all__ = [
    "ExpectComponentTableInvariants",
    "ExpectMomentsToMatchMixture",
    "ExpectScoresToMatchReference",
    "ExpectTransformToRoundTrip",
    "ExpectValuesWithinMixtureBounds",
    "ExpectationsGate",
    "score_cells",
]


def __getattr__(name: str) -> Any:
    """The expectations, whose classes need Great Expectations, on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from expectations import custom

    return getattr(custom, name)
