"""A component table keeps the laws of mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from expectations.custom.base import LawExpectation
from expectations.evidence import TABLE, Evidence
from gmm_core.errors import InvalidInput
from gmm_core.invariants import Law, mixture_laws
from gmm_core.mixture import Mixture

__all__ = ["ExpectComponentTableInvariants"]


class ExpectComponentTableInvariants(LawExpectation):
    """The laws of a mixture (`gmm_core.invariants`), of its table: one row per component and numeric feature.

    Weights sum to one, numbers are finite, no component is nearly flat or holds nearly all rows; and every
    component and feature of `mixture` is there once. Features of a component are looked at apart: the
    table does not have what lies between them. One Spark job; the table is small and comes here whole.
    """

    kind: ClassVar[str] = "component table"
    says: ClassVar[str] = (
        "The component table is a mixture: its weights, means and deviations keep the laws."
    )
    condition_number: float = 1e8
    maximum_weight: float = 0.9

    def laws(self, found: Evidence) -> Sequence[Law]:
        """Of the mixture that the table describes, if it describes one."""
        table = pd.DataFrame(found["all rows"], columns=TABLE)
        d, k = len(self.model.numeric_features), self.model.mixture.n_components
        sizes = table.groupby("component").size()
        whole = len(table) == d * k and len(sizes) == k and bool((sizes == d).all())
        laws = [
            Law(
                "rows",
                f"The table has {k} components of {d} features.",
                float(len(table)),
                d * k,
                d * k,
            )
        ]
        if not whole:
            return [
                *laws,
                Law("every pair once", "Each component has each feature.", 0.0, 1.0, 1.0),
            ]
        # Rows of a component stay together and in order: only that its features differ counts here.
        parts = table.sort_values("component", kind="stable")
        weights = parts["weight"].to_numpy().reshape(k, d)
        spread = float(np.ptp(weights, axis=1).max())
        laws.append(Law("one weight", "A component's rows agree on its weight.", spread, upper=0))
        try:
            mixture = Mixture(
                weights[:, 0],
                parts["mean"].to_numpy().reshape(k, d),
                np.square(parts["sd"].to_numpy().reshape(k, d)),
                "diag",
            )
        except InvalidInput as error:
            return [
                *laws,
                Law(f"a mixture ({error.problem})", "The numbers are a mixture's.", np.nan, 0, 0),
            ]
        return [*laws, *mixture_laws(mixture, self.condition_number, self.maximum_weight)]
