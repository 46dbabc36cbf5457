"""The five verbs: land, fit, merge, promote, transform.

Plain functions over the ports; the command line, the DAGs and the tests call these and nothing
else. Each is idempotent by (stream, block key, content): called again with the same content it
changes nothing, with other content it replaces. Results are written aside and put in place when
whole; a verb that died half-way is finished by calling it again. `remerge` is `merge` for all windows
that hold a block.
"""

from gmm_core.pipeline.block_verbs import fit, land, transform
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.window_verbs import CHALLENGER, CHAMPION, PREVIOUS, merge, promote, remerge

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "Outcome",
    "fit",
    "land",
    "merge",
    "promote",
    "remerge",
    "transform",
]
