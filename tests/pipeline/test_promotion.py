"""Promotion, rollback and canary: who becomes champion, who is held, and that a lost race is noticed."""

from __future__ import annotations

import datetime as dt

import pytest
from orders import KEYS, copy_of, declaration, make_rows, run_day

from gmm_core.errors import ComputationFailed, InvalidInput, NotFound
from gmm_core.pipeline.aliases import hold_of, move_alias, served
from gmm_core.pipeline.memory import memory_services
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    fit,
    judge,
    land,
    merge,
    promote,
    resume,
    rollback,
    transform,
)

SMALL = {"mixture": {"k": 3, "restarts": 1}, "window": {"blocks": 2}}


@pytest.fixture
def declared(declared):
    return {**declared, **SMALL}


def alias(at, name):
    found = at.registry.alias("orders", name)
    return found and found.version


def bring(stream, key, at):
    """A merged version of the day; what it is called."""
    for verb in (land, fit):
        verb(stream, key, at)
    return merge(stream, key, at).facts["version"]


@pytest.fixture(scope="module")
def built():
    at = memory_services({key: make_rows(key, n=200) for key in KEYS})
    for key in KEYS[:3]:
        run_day(Stream.model_validate(declaration(**SMALL)), key, at)
    return at


@pytest.fixture
def three(built):
    """Three days, the window full since the second; a copy for every test."""
    return copy_of(built)


def counted(at, monkeypatch):
    jobs, score = [], at.engine.score

    def counting(*arguments):
        jobs.append(arguments[1])
        return score(*arguments)

    monkeypatch.setattr(at.engine, "score", counting)
    return jobs


def test_a_day_on_needs_no_job(stream, three, monkeypatch):
    version = bring(stream, KEYS[3], three)
    jobs = counted(three, monkeypatch)
    outcome = promote(stream, KEYS[3], three, version)
    assert outcome.changed
    assert outcome.facts["why"] == "the champion's way, a day on"
    assert outcome.facts["serves"] == version
    assert jobs == []


def test_a_worse_way_is_held_and_scores_nothing(stream, three, monkeypatch):
    worse = stream.with_overrides(k=1)
    bring(stream, KEYS[3], three)
    version = merge(worse, KEYS[3], three).facts["version"]
    jobs = counted(three, monkeypatch)
    outcome = promote(stream, KEYS[3], three, version)
    assert not outcome.changed
    assert outcome.facts["decision"].startswith("held: worse: -")
    assert outcome.facts["serves"] == outcome.facts["champion"] == 3
    assert alias(three, CHAMPION) == 3
    assert jobs == [KEYS[3]]
    gain = three.registry.metrics["orders", version]["challenger_gain"]
    assert next(iter(gain.values())) < -0.05


def test_a_better_way_is_promoted_on_rows_that_neither_saw(declared, at):
    poor = Stream.model_validate({**declared, "mixture": {"k": 1, "block_k": 6, "restarts": 1}})
    for key in KEYS[:3]:
        run_day(poor, key, at)
    better = Stream.model_validate({**declared, "mixture": {"k": 3, "block_k": 6, "restarts": 1}})
    for verb in (land, fit):
        verb(poor, KEYS[3], at)
    version = merge(better, KEYS[3], at).facts["version"]
    outcome = promote(better, KEYS[3], at, version)
    assert outcome.changed
    assert outcome.facts["why"].startswith("better: +")


def test_the_comparison_is_blind_to_the_day_itself(stream, three):
    """The challenger's own mixture does better on its newest block than its way does without it."""
    from gmm_core.pipeline.judging import _compared

    odd = make_rows(KEYS[3])
    odd["rating"] += 9.0
    three.engine.blocks[KEYS[3]] = odd
    bring(stream, KEYS[3], three)
    version = merge(stream.with_overrides(k=2), KEYS[3], three).facts["version"]
    candidate = three.registry.version("orders", version)
    champion = three.registry.alias("orders", CHAMPION)
    gain, _ = _compared(stream, candidate, champion, three)
    rows = three.store.path("orders", "landed", KEYS[3])
    models = [three.registry.load("orders", one) for one in (version, champion.version)]
    seen = three.engine.score(stream, KEYS[3], rows, models).log_prob.mean
    assert seen[0] - seen[1] > gain.mean + 1.0


def test_an_unclear_case_is_the_streams_to_decide(declared, three):
    version = bring(Stream.model_validate(declared), KEYS[3], three)
    version = merge(
        Stream.model_validate(declared).with_overrides(covariance_type="diag"), KEYS[3], three
    ).facts["version"]
    answers = {}
    for choice in ("promote", "hold"):
        asked = {"margin": 0.0, "confidence": 0.999999999, "unclear": choice}
        wanted = Stream.model_validate({**declared, "promotion": asked})
        answers[choice] = judge(wanted, KEYS[3], three, version).facts
    assert "unclear" in answers["hold"]["why"]
    assert [answers[choice]["decision"] for choice in answers] == ["promote", "hold"]


def test_a_person_is_asked_and_heard(declared, three):
    asking = Stream.model_validate({**declared, "promotion": {"approval": "always"}})
    version = bring(asking, KEYS[3], three)
    assert judge(asking, KEYS[3], three, version).facts["decision"] == "ask"
    waiting = promote(asking, KEYS[3], three, version)
    assert not waiting.changed
    assert f"blockmix promote orders {KEYS[3]} --version {version} --yes" in str(waiting.facts)
    assert alias(three, CHAMPION) == 3
    no = promote(asking, KEYS[3], three, version, answer="hold", by="ann")
    assert "ann answered hold" in no.facts["decision"]
    assert promote(asking, KEYS[3], three, version, answer="promote", by="bob").changed
    assert "bob answered promote" in three.registry.version("orders", version).tags["answer"]


def test_an_answer_does_not_move_consumers_back_in_time(stream, three):
    assert not promote(stream, KEYS[2], three, 1, answer="promote").changed


def test_a_rollback_is_one_step_and_no_merge_undoes_it(stream, three):
    outcome = rollback(stream, three, why="too many anomalies", by="ann")
    assert outcome.changed
    assert (alias(three, CHAMPION), alias(three, PREVIOUS)) == (2, 3)
    assert three.registry.version("orders", 3).tags["rolled_back"] == "ann: too many anomalies"
    hold = hold_of("orders", three)
    assert (hold.version, hold.instead_of, hold.by) == (2, 3, "ann")
    assert run_day(stream, KEYS[3], three)[3] is False
    assert alias(three, CHAMPION) == 2
    assert alias(three, CHALLENGER) == 4
    held = promote(stream, KEYS[3], three, 4)
    assert "ann went back from version 3" in held.facts["decision"]
    assert held.facts["serves"] == 2
    assert transform(stream, KEYS[3], three).facts["version"] == 2


def test_said_twice_a_rollback_changes_nothing(stream, three):
    rollback(stream, three, why="first", by="ann")
    again = rollback(stream, three, why="second", by="bob")
    assert not again.changed
    assert (alias(three, CHAMPION), hold_of("orders", three).why) == (2, "first")


@pytest.mark.parametrize("after", range(4))
def test_a_rollback_that_was_cut_short_is_carried_out(stream, three, monkeypatch, after):
    """Killed after so many steps; said again, by a retry or by a person, it does what was left."""
    left = [after]

    def mortal(name):
        step = getattr(three.registry, name)

        def stepped(*said):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return step(*said)

        return stepped

    with monkeypatch.context() as patch:
        for name in ("note", "point", "annotate"):
            patch.setattr(three.registry, name, mortal(name))
        with pytest.raises(KeyboardInterrupt):
            rollback(stream, three, why="bad scores", by="ann")
    rollback(stream, three, why="bad scores", by="ann")
    assert (alias(three, CHAMPION), alias(three, PREVIOUS)) == (2, 3)
    assert three.registry.version("orders", 3).tags["rolled_back"] == "ann: bad scores"
    assert not rollback(stream, three, why="bad scores", by="ann").changed


def test_a_rollback_that_lost_a_race_keeps_its_word_when_it_is_said_again(
    stream, three, monkeypatch
):
    bring(stream, KEYS[3], three)
    point = three.registry.point

    def raced(name, which, version):
        point(name, which, version)
        if which == CHAMPION:
            point(name, PREVIOUS, 3)
            point(name, CHAMPION, 4)

    with monkeypatch.context() as patch:
        patch.setattr(three.registry, "point", raced)
        with pytest.raises(ComputationFailed, match="somebody else moved champion"):
            rollback(stream, three, why="bad scores", by="ann")
    assert rollback(stream, three, why="bad scores", by="ann").changed
    assert alias(three, CHAMPION) == hold_of("orders", three).version == 2


@pytest.mark.parametrize("way", ["resume", "promote"])
def test_a_person_ends_the_hold(stream, three, way):
    rollback(stream, three, why="a mistake", by="ann")
    version = bring(stream, KEYS[3], three)
    if way == "resume":
        assert resume(stream, three).changed
        assert not resume(stream, three).changed
    outcome = promote(stream, KEYS[3], three, version, resume=way == "promote", answer="promote")
    assert outcome.changed
    assert hold_of("orders", three) is None
    assert (alias(three, CHAMPION), alias(three, PREVIOUS)) == (4, 2)


def test_a_rollback_to_a_version_by_number(stream, three):
    assert rollback(stream, three, why="all wrong", by="ann", version=1).changed
    assert (alias(three, CHAMPION), alias(three, PREVIOUS)) == (1, 3)


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"why": " ", "by": "ann"}, InvalidInput, "why must be said"),
        ({"why": "x", "by": ""}, InvalidInput, "by must be said"),
        ({"why": "x", "by": "ann", "version": 3}, InvalidInput, "is the champion already"),
        ({"why": "x", "by": "ann", "version": 9}, NotFound, "no such version"),
    ],
)
def test_a_wrong_rollback_changes_nothing(stream, three, options, kind, says):
    with pytest.raises(kind, match=says):
        rollback(stream, three, **options)
    assert alias(three, CHAMPION) == 3
    assert hold_of("orders", three) is None


def test_there_is_nothing_before_the_first(stream, at):
    with pytest.raises(NotFound, match="no champion"):
        rollback(stream, at, why="x", by="ann")
    run_day(stream, KEYS[0], at)
    with pytest.raises(NotFound, match="before version 1"):
        rollback(stream, at, why="x", by="ann")


@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_a_lost_race_is_an_error(stream, three, monkeypatch, moment):
    champion = three.registry.alias("orders", CHAMPION)
    point = three.registry.point
    if moment == "before":
        point("orders", CHAMPION, 1)
    else:

        def raced(name, which, version):
            point(name, which, version)
            point(name, which, 1)

        monkeypatch.setattr(three.registry, "point", raced)
    with pytest.raises(ComputationFailed, match="somebody else moved champion"):
        move_alias("orders", CHAMPION, 2, three, expected=champion)


def test_of_two_that_move_an_alias_at_once_one_is_told(three, monkeypatch):
    """The other moves it after the first looked, and before the first moves it."""
    champion, point = three.registry.alias("orders", CHAMPION), three.registry.point

    def interleaved(name, which, version):
        monkeypatch.setattr(three.registry, "point", point)
        move_alias(name, which, 1, three, expected=champion)
        point(name, which, version)

    monkeypatch.setattr(three.registry, "point", interleaved)
    with pytest.raises(ComputationFailed, match="somebody else moved champion"):
        move_alias("orders", CHAMPION, 2, three, expected=champion)


def test_the_canary_gets_its_share_of_blocks_the_same_ones_every_time(declared, three):
    version = bring(Stream.model_validate(declared), KEYS[3], three)
    keys = [str(dt.date(2021, 1, 1) + dt.timedelta(days=i)) for i in range(672)]
    shares = {}
    for share in (0.0, 0.1, 0.5, 1.0):
        stream = Stream.model_validate({**declared, "promotion": {"canary": share}})
        shares[share] = {key for key in keys if served(stream, key, three).version == version}
        assert len(shares[share]) == pytest.approx(share * len(keys), abs=4 * (672 / 4) ** 0.5)
    assert shares[0.0] < shares[0.1] < shares[0.5] < shares[1.0] == set(keys)
    rollback(stream, three, why="x", by="ann")
    assert served(stream, keys[0], three).version == 2


@pytest.mark.parametrize(
    ("promotion", "k", "answer", "share"),
    [
        ({"approval": "always"}, 3, None, 1.0),
        ({"approval": "always"}, 3, None, 0.0),
        ({"approval": "always"}, 3, "hold", 1.0),
        ({"compare": True}, 1, None, 1.0),
    ],
    ids=["nobody answered yet", "no canary", "a person refused", "worse"],
)
def test_the_block_is_scored_by_a_challenger_that_nobody_refused(
    declared, three, promotion, k, answer, share
):
    wanted = Stream.model_validate({**declared, "promotion": {"canary": share, **promotion}})
    bring(wanted, KEYS[3], three)
    version = merge(wanted.with_overrides(k=k), KEYS[3], three).facts["version"]
    held = promote(wanted, KEYS[3], three, version, answer=answer, by="ann")
    scored_by_it = share == 1 and k == 3 and answer is None
    assert (held.changed, held.facts["champion"]) == (False, 3)
    assert held.facts["serves"] == (version if scored_by_it else 3)
    assert served(wanted, KEYS[3], three).version == held.facts["serves"]
    assert bool(three.registry.version("orders", version).tags.get("refused")) is (
        k == 1 or answer == "hold"
    )


def test_a_refusal_ends_when_the_next_answer_is_another(declared, three):
    asking = Stream.model_validate({**declared, "promotion": {"approval": "always", "canary": 1.0}})
    version = bring(asking, KEYS[3], three)
    assert promote(asking, KEYS[3], three, version, answer="hold", by="ann").facts["serves"] == 3
    assert promote(asking, KEYS[3], three, version).facts["serves"] == version
    rollback(asking, three, why="scores doubled", by="ann")
    assert served(asking, KEYS[3], three).version == 2
    resume(asking, three, why="repaired", by="bob")
    assert three.registry.version("orders", 3).tags["hold_ended"] == "bob: repaired"


def test_what_waits_for_an_answer_is_scored_in_the_shadow(declared, three):
    """Two days wait: the newer day is scored by the champion, and beside it by what waits since the older."""
    asking = Stream.model_validate({**declared, "promotion": {"approval": "always"}})
    for key in KEYS[3:5]:
        bring(asking, key, three)
        serves = promote(asking, key, three).facts["serves"]
        assert serves == 3
        transform(asking, key, three, version=serves)
    seen = {version: metrics_of(three, version) for version in (3, 4)}
    assert seen[4].get("shadow_gain", {}) == {}, "measures are of the version that serves"
    days = {dt.date.fromisoformat(key).toordinal(): key for key in KEYS}
    assert [days[day] for day in seen[3]["shadow_gain"]] == [KEYS[4]], "none was waiting before"
    columns = {name: three.engine.blocks[KEYS[4]][name].to_numpy() for name in asking.features}
    waiting, champion = (
        three.registry.load("orders", one).output(columns, "log_prob")["log_prob"] for one in (4, 3)
    )
    [gain], [error] = (seen[3][name].values() for name in ("shadow_gain", "shadow_gain_error"))
    assert gain == pytest.approx((waiting - champion).mean(), abs=1e-9)
    assert error == pytest.approx((waiting - champion).std(ddof=1) / len(champion) ** 0.5, rel=1e-6)
    [share] = seen[3]["shadow_anomaly_share"].values()
    assert 0 <= share < 0.05
    assert set(seen[3]["mismatched_versions"].values()) == {0}


def test_an_answer_that_comes_too_late_changes_nothing_and_says_so(declared, three):
    asking = Stream.model_validate({**declared, "promotion": {"approval": "always"}})
    older, newer = (bring(asking, key, three) for key in KEYS[3:5])
    assert promote(asking, KEYS[4], three, newer, answer="promote", by="ann").changed
    late = promote(asking, KEYS[3], three, older, answer="promote", by="bob")
    assert not late.changed
    assert alias(three, CHAMPION) == newer
    told = three.registry.version("orders", older).tags["answer"]
    assert told.startswith(f"bob answered promote; champion {newer} knows")
    assert told.endswith("(without effect)")


def metrics_of(at, version):
    return at.registry.metrics.get(("orders", version), {})


def test_what_was_taken_back_is_no_canary(declared, three):
    wanted = Stream.model_validate({**declared, "promotion": {"canary": 1.0}})
    rollback(wanted, three, why="scores doubled", by="ann")
    resume(wanted, three)
    assert alias(three, CHALLENGER) == 3
    assert served(wanted, KEYS[2], three).version == 2
