"""Narrowing: EM goes ahead with more components than are wanted, which are then merged.

The groups that k-means finds are seldom those that the best end of EM begins from: two lie in one
component of the rows, one in two others, and EM does not lead out of that. With twice as many, hardly a
component of the rows is without a group of its own; after some steps those of the same component look
alike, and merging by Runnalls' bound (`gmm_core.reduction.criteria`) leaves one of them. Ueda, Nakano,
Ghahramani and Hinton (2000) split and merge for the same reason, pair after pair.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gmm_core.errors import BlockmixError
from gmm_core.fitting.estep import Parameters
from gmm_core.fitting.loop import FitStatus, State, Task, go_on, run
from gmm_core.mixed.levels import tables_of
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.mixture import Mixture
from gmm_core.reduction.criteria import runnalls
from gmm_core.reduction.greedy import groups_of, merges_by
from gmm_core.reduction.pool import Pool
from gmm_core.reduction.searches import reduce

__all__ = ["narrow_start", "narrowed", "worth"]

# Nats for each parameter that merging saves: a step that gains less hardly does more than fit noise, which
# gains half a nat a parameter in all (Wilks 1938).
_LITTLE = 0.05
_STEPS = 20


def narrow_start(task: Task, wide: Parameters) -> Parameters:
    """Parameters of the task's k components, from those of more."""
    more = replace(task, k=len(wide.weights))
    saved = _parameters_of(task, more.k) - _parameters_of(task, task.k)
    return _merged(task, _sorted_out(more, wide, saved).parameters, task.k)


def narrowed(task: Task, parameters: Parameters, fewest: int) -> State:
    """How EM ends with the task's components or, unless the rows justify so many, with the `fewest`.

    They do where the components that are more gain a nat for each of their parameters (Akaike 1974), when
    EM has sorted the rows out with both numbers. The steps of the number that is left count.
    """
    few = replace(task, k=fewest)
    saved = _parameters_of(task, task.k) - _parameters_of(task, fewest)
    wide = _sorted_out(task, parameters, saved)
    try:
        lean = _sorted_out(few, _merged(task, wide.parameters, fewest), saved)
        if worth(few, lean) >= worth(task, wide):
            return go_on(few, lean)
    except BlockmixError:  # components too flat to merge, or to go on with
        pass
    return go_on(task, wide)


def worth(task: Task, state: State) -> float:
    """The log-likelihood per row, less a nat for each parameter; larger is better."""
    return (
        state.log_likelihood - _parameters_of(task, len(state.parameters.weights)) / task.rows.total
    )


def _sorted_out(task: Task, parameters: Parameters, saved: int) -> State:
    """EM from parameters until a step gains little beside what it costs not to save so many parameters.

    Without a status, unless it is the end of EM as well.
    """
    little = _LITTLE * saved / task.rows.total
    most = min(task.max_iter, _STEPS)
    state = run(replace(task, tol=max(task.tol, little), max_iter=most, rule=None), parameters)
    ended = state.status is FitStatus.CONVERGED and task.tol >= little and task.rule is None
    return state if ended else replace(state, status=None)


def _merged(task: Task, parameters: Parameters, k: int) -> Parameters:
    """The parameters, without background, with components merged until k are left."""
    weights = parameters.weights / parameters.weights.sum()
    every = Mixture(weights, parameters.means, parameters.covariances, task.kind.name)
    if parameters.levels is None:
        # In numpy, however many: a fit is not the place to load the compiled search.
        pool = Pool.of(every)
        groups = groups_of(merges_by(pool, k, runnalls), len(pool))
        left = pool.grouped(groups).mixture().as_type(task.kind.name)
        return Parameters(left.weights, left.means, left.covariances)
    few = reduce(MixedMixture(every, tables_of(parameters.levels, task.categories.sizes)), k)
    levels, left = np.concatenate(few.level_probabilities, axis=1), few.numeric
    return Parameters(left.weights, left.means, left.covariances, levels=levels)


def _parameters_of(task: Task, k: int) -> int:
    """Free parameters of k components."""
    return task.kind.free_parameters(k, task.rows.n_features, task.categories.sizes)
