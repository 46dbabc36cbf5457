"""Several blocks fitted in one go: what one fit after the other would have made of them."""

from __future__ import annotations

import numpy as np
import pytest
from orders import KEYS, declaration, make_rows

from gmm_core.errors import BlockQuarantined, InvalidInput, NotFound
from gmm_core.pipeline.blocks import landed_keys
from gmm_core.pipeline.memory import memory_services
from gmm_core.pipeline.outcome import Outcome
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import fit, fit_many, land

STREAM = Stream.model_validate(declaration(mixture={"k": 2, "restarts": 1}))
DAYS = KEYS[:4]


def landed(rows):
    at = memory_services(rows)
    for key in DAYS:
        land(STREAM, key, at)
    return at


def test_it_is_one_fit_after_the_other():
    rows = {key: make_rows(key) for key in DAYS}
    together, alone = landed(rows), landed(rows)
    outcomes = list(fit_many(STREAM, reversed(DAYS), together))
    assert [one.key for one in outcomes] == DAYS
    for key in DAYS:
        fit(STREAM, key, alone)
        assert (
            together.store.summary("orders", key).digest
            == alone.store.summary("orders", key).digest
        )


def test_what_is_fitted_stays():
    at = landed({key: make_rows(key) for key in DAYS})
    fit(STREAM, DAYS[1], at)
    changed = [one.changed for one in fit_many(STREAM, DAYS, at)]
    assert changed == [True, False, True, True]
    assert not any(one.changed for one in fit_many(STREAM, DAYS, at))


def test_a_refused_block_does_not_keep_the_others():
    rows = {key: make_rows(key) for key in DAYS}
    rows[DAYS[2]] = rows[DAYS[2]].assign(delay=np.repeat([1.0, 2.0], 200))  # too few values to fit
    rows[DAYS[2]]["price"] = 5.0 + rows[DAYS[2]]["delay"] * 1e-12
    at = landed(rows)
    answers = list(fit_many(STREAM, DAYS, at))
    assert [type(one) for one in answers] == [Outcome, Outcome, BlockQuarantined, Outcome]
    assert at.store.summary("orders", DAYS[2]) is None
    assert DAYS[2] in at.store.quarantined("orders")


def test_a_block_that_has_not_landed_is_said_before_anything_is_fitted():
    at = landed({key: make_rows(key) for key in DAYS})
    with pytest.raises(NotFound, match=f"{KEYS[5]} of orders has not landed"):
        list(fit_many(STREAM, [*DAYS, KEYS[5]], at))
    assert at.store.summary_keys("orders") == []


def test_the_blocks_between_two_days():
    at = landed({key: make_rows(key) for key in DAYS})
    assert landed_keys(STREAM, DAYS[1], KEYS[9], at) == DAYS[1:]
    for first, last in ((KEYS[6], KEYS[9]), (DAYS[2], DAYS[1])):
        with pytest.raises(InvalidInput, match="no landed blocks of orders"):
            landed_keys(STREAM, first, last, at)
