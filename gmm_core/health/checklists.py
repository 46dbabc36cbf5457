"""Checklists: what can go wrong with a mixture in production, and the measures that show it.

Three lists that operators of such models go by: of Gaussian mixtures (GMM), of k-means (KM), and of
maximum likelihood (ML). M is something to measure, F a way to fail. docs/metrics.md says, row by row, what
the measures are and what is done where there is none; the tests check it against this table.
"""

from __future__ import annotations

__all__ = ["CHECKLISTS"]

_DRIFT = ("window_drift_score", "baseline_drift_score", "drifting")
_FITS = ("failed_blocks_share", "unconverged_blocks_share")

CHECKLISTS: dict[str, tuple[str, ...]] = {
    "GMM M1": ("score_seconds",),
    "GMM M2": ("loads_back",),
    "GMM M3": (
        "window_divergence",
        "window_divergence_error",
        "baseline_divergence",
        "baseline_divergence_error",
        *_DRIFT,
    ),
    "GMM M4": ("false_positive_rate",),
    "GMM M5": ("anomaly_recall",),
    "GMM M6": ("largest_weight", "smallest_weight"),
    "GMM M7": ("worst_condition_number",),
    "GMM M8": _FITS,
    "GMM M9": ("days_since_version", "retrains_30_days"),
    "GMM M10": ("anomaly_precision",),
    "GMM F1": ("worst_condition_number", "smallest_effective_rows", "not_finite_rows"),
    "GMM F2": ("largest_weight",),
    "GMM F3": (
        "train_next_day_gap",
        "challenger_gain",
        "challenger_gain_error",
        "shadow_gain",
        "shadow_gain_error",
    ),
    "GMM F4": ("not_finite_rows",),
    "GMM F5": (
        "log_likelihood_drift",
        "largest_feature_shift",
        "feature_shift",
        "feature_shift_error",
        "feature_drift_score",
        *_DRIFT,
    ),
    "GMM F6": ("score_seconds",),
    "GMM F7": (
        "anomaly_excess",
        "calibration_error",
        "anomaly_precision",
        "false_positive_rate",
        "mismatched_versions",
    ),
    "GMM F8": ("loads_back",),
    "GMM F9": ("train_next_day_gap", "last_promotion_gain", "last_promotion_gain_error"),
    "KM M1": ("within_component_share",),
    "KM M2": ("silhouette",),
    "KM M3": (
        "assignment_distance_median",
        "assignment_distance_p95",
        "assignment_distance_change",
    ),
    "KM M4": ("component_stability", "components_born", "components_died"),
    "KM M5": ("centroid_drift", "largest_centroid_move"),
    "KM M6": ("empty_components", "reseeded_components"),
    "KM M7": ("score_seconds",),
    "KM M8": _FITS,
    "KM M9": ("anomaly_precision", "anomaly_recall"),
    "KM M10": ("mismatched_versions",),
    "KM F1": ("empty_components", "reseeded_components"),
    "KM F2": ("within_component_share", "converged"),
    "KM F3": ("assignment_distance_change", *_DRIFT),
    "KM F4": ("silhouette", "responsibility_entropy"),
    "KM F5": ("largest_centroid_move", "window_drift_score"),
    "KM F6": ("anomaly_share", "anomaly_excess", "largest_centroid_move", "largest_feature_shift"),
    "KM F7": ("fit_seconds",),
    "KM F8": ("component_stability",),
    "ML M1": ("log_likelihood", "seen_log_likelihood", "next_day_log_likelihood"),
    "ML M2": ("log_likelihood_drift", "likelihood_alarm"),
    "ML M3": ("calibration_error",),
    "ML M4": ("train_next_day_gap",),
    "ML M5": ("iterations", "fit_seconds"),
    "ML M6": ("converged", *_FITS),
    "ML M7": ("score_seconds",),
    "ML M8": ("anomaly_precision",),
    "ML M9": ("days_since_version",),
    "ML F1": ("smallest_effective_rows", "worst_condition_number"),
    "ML F2": ("not_finite_rows",),
    "ML F3": ("converged", "unconverged_blocks_share"),
    "ML F4": ("train_next_day_gap", "challenger_gain"),
    "ML F5": ("log_likelihood_drift", *_DRIFT),
    "ML F6": ("largest_day_effect", "independent_rows"),
    "ML F7": ("not_finite_rows", "converged"),
}
