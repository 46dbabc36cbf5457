"""What scikit-learn's own checks say of an estimator."""

from __future__ import annotations

from typing import Any

from sklearn.utils.estimator_checks import check_estimator


def outcomes(estimator: Any) -> dict[str, str]:
    """Status (passed, failed, ...) of each check by its name."""
    results = check_estimator(estimator, on_skip=None, on_fail=None)
    return {result["check_name"]: result["status"] for result in results}
