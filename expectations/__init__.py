"""Quality gates on Great Expectations: what is expected, who may pass, and the pages people read.

`ExpectationsGate` implements the `Gate` port. Importing this package does not import Great
Expectations, the first check does; but it switches the library's analytics off, which is decided
while that is imported, and its log lines about every decorated class.
"""

import logging
import os

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
logging.getLogger("great_expectations").setLevel(logging.WARNING)

from expectations.gate import ExpectationsGate  # noqa: E402 (after what the library reads)

__all__ = ["ExpectationsGate"]
