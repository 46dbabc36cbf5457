"""A component table keeps the laws of mixtures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from expectations.custom.base import LawExpectation
from expectations.evidence import Evidence
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
        k, names = self.model.mixture.n_components, [f.name for f in self.model.numeric_features]
        wanted = Counter((number, name) for number in range(k) for name in names)
        present = Counter((number, name) for name, number, *_ in found["all rows"])
        astray = ((present - wanted) + (wanted - present)).total()
        says = f"Each of {k} components has each of {len(names)} features once."
        laws = [Law("every pair once", says, float(astray), upper=0)]
        if astray:
            return laws
        numbers = {(number, name): values for name, number, *values in found["all rows"]}
        table = np.array([numbers[pair] for pair in wanted]).T
        weights, means, deviations = table.reshape(3, k, len(names))
        spread = float(np.ptp(weights, axis=1).max())
        laws.append(Law("one weight", "A component's rows agree on its weight.", spread, upper=0))
        try:
            mixture = Mixture(weights[:, 0], means, np.square(deviations), "diag")
        except InvalidInput as error:
            return [
                *laws,
                Law(f"a mixture ({error.problem})", "The numbers are a mixture's.", np.nan, 0, 0),
            ]
        return [*laws, *mixture_laws(mixture, self.condition_number, self.maximum_weight)]
