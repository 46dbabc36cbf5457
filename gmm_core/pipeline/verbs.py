"""The five verbs: land, fit, merge, promote, transform.

Plain functions over the ports; the command line, the DAGs and the tests call these and nothing
else. Each is idempotent by (stream, block key, content): called again with the same content it
changes nothing, with other content it replaces. Results are written aside and put in place when
whole; a verb that died half-way is finished by calling it again. `fit_many` is `fit` of several
blocks in one job, `remerge` is `merge` for all windows that hold a block. Beside them: `judge` says
what `promote` would do, `rollback` and `resume` are a person's, `release` takes a block out of
quarantine, `drift_report` and `react` are about drift.
"""

from gmm_core.pipeline.aliases import CHALLENGER, CHAMPION, PREVIOUS
from gmm_core.pipeline.block_verbs import land, transform
from gmm_core.pipeline.drifting import drift_report
from gmm_core.pipeline.fit_verbs import fit, fit_many
from gmm_core.pipeline.judging import judge
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.promotion import promote
from gmm_core.pipeline.releasing import release
from gmm_core.pipeline.rollback import resume, rollback
from gmm_core.pipeline.triggers import react
from gmm_core.pipeline.window_verbs import merge, remerge

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "PREVIOUS",
    "Outcome",
    "drift_report",
    "fit",
    "fit_many",
    "judge",
    "land",
    "merge",
    "promote",
    "react",
    "release",
    "remerge",
    "resume",
    "rollback",
    "transform",
]
