"""The catalogue: every measure once, with its unit and its threshold.

MLflow's metrics, the table `metrics` of the lake and the mart `model_health` are made from it, and
docs/metrics.md is checked against it and against checklists.py, which says what each is there for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CATALOGUE", "Measure", "Stage"]

Stage = Literal["fit", "merge", "drift", "promote", "transform"]


@dataclass(frozen=True)
class Measure:
    """What a number is, and what is allowed of it.

    Parameters
    ----------
    unit : "share" is 0 to 1, or of a scale that `says` names.
    says : what it tells, in one sentence.
    stages : the verbs that take it.
    at_least, at_most : what is allowed, both included; a stream's `health` section may say otherwise.
    judged : the stages whose values must be so; all of them when empty.
    """

    unit: str
    says: str
    stages: tuple[Stage, ...]
    at_least: float | None = None
    at_most: float | None = None
    judged: tuple[Stage, ...] = ()


_BOTH: tuple[Stage, ...] = ("fit", "merge")
# A block has more components than its rows can tell apart, for the window to choose from.
_WINDOW: tuple[Stage, ...] = ("merge",)

CATALOGUE: dict[str, Measure] = {
    # of a mixture alone
    "largest_weight": Measure(
        "share", "the heaviest component's part of all rows", _BOTH, None, 0.9
    ),
    "smallest_weight": Measure("share", "the lightest component's part of all rows", _BOTH),
    "empty_components": Measure("components", "those that hold less than one row", _BOTH, None, 0),
    "worst_condition_number": Measure(
        "ratio", "widest over narrowest direction of the flattest component", _BOTH, None, 1e8
    ),
    "smallest_effective_rows": Measure(
        "rows",
        "equal rows that say as much of the least known component (Kish)",
        _BOTH,
        5,
        judged=_WINDOW,
    ),
    "responsibility_entropy": Measure(
        "share", "how undecided the components are about a row; 1 is even odds", _BOTH
    ),
    "silhouette": Measure(
        "-1 to 1",
        "how much nearer rows lie to their own component than to the next",
        _BOTH,
        0.25,
        judged=_WINDOW,
    ),
    "within_component_share": Measure(
        "share", "variance inside components, of all variance, averaged over the features", _BOTH
    ),
    # of a fit
    "log_likelihood": Measure("nats per row", "mean log-density of the rows fitted to", ("fit",)),
    "iterations": Measure("steps", "of EM, of the start that won", ("fit",)),
    "fit_seconds": Measure("s", "of all starts together", ("fit",)),
    "converged": Measure("0 or 1", "whether EM ended by its tolerance", ("fit",), 1),
    "reseeded_components": Measure(
        "components", "that ran empty during the fit and were placed anew", ("fit",), None, 0
    ),
    # of a version beside those before it
    "failed_blocks_share": Measure(
        "share", "blocks in quarantine, of those the window's days had", ("merge",), None, 0.01
    ),
    "unconverged_blocks_share": Measure(
        "share", "blocks of the window whose fit ran out of steps", ("merge",), None, 0.01
    ),
    "loads_back": Measure(
        "0 or 1", "whether the version reads back as it was written", ("merge",), 1
    ),
    "largest_day_effect": Measure(
        "share",
        "of a feature's variance, what lies between the window's days beyond chance",
        _WINDOW,
    ),
    "independent_rows": Measure(
        "rows", "that say as much of a mean as a day's rows do, of the worst feature", _WINDOW
    ),
    "days_since_version": Measure("days", "from the window of the version before", ("merge",)),
    "components_born": Measure("components", "that the version before did not have", ("merge",)),
    "components_died": Measure("components", "that only the version before had", ("merge",)),
    "component_stability": Measure(
        "share", "components kept, of the version before's", ("merge",), 0.95
    ),
    "centroid_drift": Measure(
        "deviations", "mean move of the kept components, by weight, in their own spread", ("merge",)
    ),
    "largest_centroid_move": Measure(
        "deviations", "move of the kept component that moved most", ("merge",), None, 1.0
    ),
    # of a block beside the window before it, and beside the baseline
    "window_divergence": Measure(
        "nats", "Jensen and Shannon's, of the block to the window before it", ("drift",)
    ),
    "window_divergence_error": Measure("nats", "its standard error", ("drift",)),
    "window_drift_score": Measure(
        "spreads", "how unusual that is among the window's own blocks", ("drift",), None, 4.0
    ),
    "baseline_divergence": Measure(
        "nats", "Jensen and Shannon's, of the block to the baseline", ("drift",)
    ),
    "baseline_divergence_error": Measure("nats", "its standard error", ("drift",)),
    "baseline_drift_score": Measure(
        "spreads", "how unusual that is among the baseline's own blocks", ("drift",), None, 4.0
    ),
    "largest_feature_shift": Measure(
        "share",
        "largest difference of a feature's distribution functions to the window's",
        ("drift",),
    ),
    "feature_shift": Measure(
        "share",
        "of each feature, difference of its distribution to the window's",
        ("drift",),
    ),
    "feature_shift_error": Measure("share", "its standard error", ("drift",)),
    "feature_drift_score": Measure(
        "spreads", "how unusual that is among the window's own blocks", ("drift",), None, 4
    ),
    "drifting": Measure("0 or 1", "whether the drift alarm is up", ("drift",), None, 0),
    "retrains_30_days": Measure("runs", "that drift asked for within 30 days", ("drift",)),
    # of a candidate beside the champion
    "challenger_gain": Measure(
        "nats per row", "challenger's way less the champion, on rows that neither saw", ("promote",)
    ),
    "challenger_gain_error": Measure("nats per row", "its standard error", ("promote",)),
    # of the rows of a block, scored
    "seen_log_likelihood": Measure(
        "nats per row", "of the block, by the version that counts it in", ("transform",)
    ),
    "next_day_log_likelihood": Measure(
        "nats per row", "of the block, by the version before, which did not see it", ("transform",)
    ),
    "log_likelihood_drift": Measure(
        "share",
        "next-day likelihood missing, of what the model expects; see docs/metrics.md",
        ("transform",),
        None,
        0.1,
    ),
    "likelihood_alarm": Measure(
        "0 or 1",
        "whether that stayed above its threshold, block after block",
        ("transform",),
        None,
        0,
    ),
    "train_next_day_gap": Measure(
        "share",
        "likelihood that seeing the block gave, on the same scale",
        ("transform",),
        None,
        0.1,
    ),
    "last_promotion_gain": Measure(
        "nats per row", "the version before less the one before that, both unseeing", ("transform",)
    ),
    "last_promotion_gain_error": Measure("nats per row", "its standard error", ("transform",)),
    "shadow_gain": Measure(
        "nats per row",
        "the newest version that does not serve less the one that does, both unseeing",
        ("transform",),
    ),
    "shadow_gain_error": Measure("nats per row", "its standard error", ("transform",)),
    "shadow_anomaly_share": Measure(
        "share", "rows that the version in the shadow calls anomalies", ("transform",)
    ),
    "mismatched_versions": Measure(
        "versions",
        "of those that are to score a block, such as cannot: they know other features",
        ("transform",),
        None,
        0,
    ),
    "not_finite_rows": Measure("rows", "without a finite log-density", ("transform",), None, 0),
    "calibration_error": Measure(
        "share",
        "largest difference of the next-day scores from uniform ones",
        ("transform",),
        None,
        0.15,
    ),
    "anomaly_share": Measure("share", "rows above the threshold", ("transform",)),
    "anomaly_excess": Measure(
        "ratio", "that share, of what the threshold promises", ("transform",), None, 20.0
    ),
    "assignment_distance_median": Measure(
        "deviations", "from a row to its component", ("transform",)
    ),
    "assignment_distance_p95": Measure("deviations", "the same, 95th percentile", ("transform",)),
    "assignment_distance_change": Measure(
        "share", "of that percentile, from what the model expects", ("transform",), -0.15, 0.15
    ),
    "anomaly_precision": Measure(
        "share", "anomalies that carry the label, of all anomalies", ("transform",), 0.7
    ),
    "anomaly_recall": Measure("share", "rows with the label that were found", ("transform",), 0.9),
    "false_positive_rate": Measure(
        "share", "rows without the label that were called anomalies", ("transform",), None, 0.05
    ),
    "score_seconds": Measure(
        "s", "that scoring the block took, all versions together", ("transform",)
    ),
}
