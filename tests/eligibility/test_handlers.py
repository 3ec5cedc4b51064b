"""The events that the service emits when a file changes and when a day completes, on a real PostgreSQL."""

from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import blake2b
from random import Random
from typing import Any

import pytest

from contracts.eligibility import ChildAssessed
from contracts.registry import ChildChanged
from contracts.vocabulary import Answer, FindingCode
from runtime import OutboundEvent, UnprocessableEvent
from services.eligibility import store
from services.eligibility.domain.facts import Claim
from services.eligibility.handlers import Assessor
from services.eligibility.mapping import parse_claims
from tests.county import a_county, demo_county
from tests.eligibility.conftest import Eligibility, a_file, assessed, child_id
from tests.eligibility.harness import ON

CHILD, OTHER = child_id(1), child_id(2)


def only_assessment(emitted: Sequence[OutboundEvent]) -> ChildAssessed:
    [event] = assessed(emitted)
    return event


def answer(event: ChildAssessed, subject: str) -> Answer:
    [verdict] = [each for each in (event.migrant, event.statistical, *event.items) if each.subject == subject]
    return verdict.answer


async def test_a_new_file_is_assessed_and_emitted_with_everything_a_consumer_needs(eligibility: Eligibility) -> None:
    event = only_assessment(await eligibility.consume(a_file(CHILD, 3, insured=False)))

    assert (event.child, event.child_version, event.assessment, event.on) == (CHILD, 3, 1, ON)
    assert (event.state, event.residence_division, event.township) == ("on_file", "341722100", "341722100")
    assert event.migrant.answer is Answer.YES
    assert answer(event, "B-8(1)") is Answer.YES
    [gap] = event.derived
    assert (gap.code, gap.route, gap.confirm_first) == (FindingCode.UNINSURED, "R25", False)
    assert event.until == min(verdict.until for verdict in (event.migrant, *event.items) if verdict.until)
    assert (event.ruleset, event.catalogue) == ("2025-02-17/1", demo_county().catalogue_version)


async def test_a_newer_version_without_a_changed_answer_emits_nothing(eligibility: Eligibility) -> None:
    """The half-yearly refresh of a file must not trigger every consumer downstream."""
    await eligibility.consume(a_file(CHILD, 1))

    assert await eligibility.consume(a_file(CHILD, 2, recorded_on=ON - timedelta(days=1))) == []
    [row] = await eligibility.table("child")
    assert (row["child_version"], row["assessment"]) == (2, 1)


async def test_the_same_facts_are_not_assessed_again_before_the_day_on_which_an_answer_may_differ(
    eligibility: Eligibility, monkeypatch: pytest.MonkeyPatch
) -> None:
    assessed_on: list[date] = []
    evaluate = Assessor.evaluate

    def record_call(
        assessor: Assessor, file: store.AssessmentFile, claims: Sequence[Claim], on: date
    ) -> tuple[bytes, date | None]:
        assessed_on.append(on)
        return evaluate(assessor, file, claims, on)

    monkeypatch.setattr(Assessor, "evaluate", record_call)
    full = date(2026, 11, 24)
    await eligibility.consume(a_file(CHILD, 1, residence_since="2026-05-24"))

    assert await eligibility.consume(a_file(CHILD, 2, residence_since="2026-05-24")) == []
    assert assessed_on == [ON]
    eligibility.today = full
    event = only_assessment(await eligibility.consume(a_file(CHILD, 3, residence_since="2026-05-24")))
    assert (event.child_version, event.assessment, event.migrant.answer) == (3, 2, Answer.YES)
    eligibility.county = a_county(version="2026-12")
    await eligibility.consume(a_file(CHILD, 4, residence_since="2026-05-24"))
    assert assessed_on == [ON, full, full]
    [row] = await eligibility.table("child")
    assert (row["child_version"], row["assessed_on"]) == (4, full)
    assert "2026-12" in row["basis"]


async def test_a_changed_answer_is_emitted_with_the_next_number(eligibility: Eligibility) -> None:
    await eligibility.consume(a_file(CHILD, 1))
    event = only_assessment(await eligibility.consume(a_file(CHILD, 2, hukou_division="341722100")))

    assert (event.child_version, event.assessment, event.migrant.answer) == (2, 2, Answer.NO)


async def test_the_newest_version_wins_in_any_order_of_arrival(eligibility: Eligibility) -> None:
    await eligibility.consume(a_file(CHILD, 5, insured=True))
    before = await eligibility.table("child")

    assert await eligibility.consume(a_file(CHILD, 4, insured=False), a_file(CHILD, 5, insured=False)) == []
    assert await eligibility.table("child") == before


async def test_an_older_row_never_overwrites_a_newer_one_in_sql(eligibility: Eligibility) -> None:
    await eligibility.consume(a_file(CHILD, 5))
    async with eligibility.connection.transaction():
        files = await store.load(eligibility.connection, {CHILD})
        [stale] = [_at_version(file, 4) for file in files.values()]
        await store.save(eligibility.connection, [stale])

    [row] = await eligibility.table("child")
    assert row["child_version"] == 5


async def test_an_urgent_risk_is_emitted_with_the_event_that_shows_it(eligibility: Eligibility) -> None:
    """It is emitted even if the next event of the batch reverts it: the result is independent of batch boundaries."""
    alone: dict[str, Any] = {"lives_with_mother": None, "lives_alone": True, "birth_date": "2020-01-01"}
    events = assessed(await eligibility.consume(a_file(CHILD, 1, **alone), a_file(CHILD, 2)))

    assert [[each.code for each in event.derived] for event in events] == [[FindingCode.UNATTENDED], []]
    assert events[0].derived[0].confirm_first


@pytest.mark.parametrize("batch_size", [7, 1000])
async def test_state_and_events_do_not_depend_on_batch_boundaries(eligibility: Eligibility, batch_size: int) -> None:
    files = _a_log()
    one_by_one = await eligibility.consume(*files, batch_size=1)
    tables = [await eligibility.table("child"), await eligibility.table("decision")]
    await eligibility.connection.execute("truncate child, decision")

    together = await eligibility.consume(*files, batch_size=batch_size)

    assert [(emitted.cause, emitted.event.encoded()) for emitted in together] == [
        (emitted.cause, emitted.event.encoded()) for emitted in one_by_one
    ]
    assert [await eligibility.table("child"), await eligibility.table("decision")] == tables


async def test_a_day_touches_only_the_children_that_are_due(eligibility: Eligibility) -> None:
    await eligibility.consume(a_file(CHILD, 1, residence_since="2026-05-24"), a_file(OTHER, 1))
    untouched = [row for row in await eligibility.table("child") if row["child_id"] == OTHER]
    await eligibility.complete_day(ON)

    event = only_assessment(await eligibility.complete_day(date(2026, 11, 24)))

    assert (event.child, event.on, event.child_version, event.assessment) == (CHILD, date(2026, 11, 24), 1, 2)
    assert event.migrant.answer is Answer.YES
    assert [row for row in await eligibility.table("child") if row["child_id"] == OTHER] == untouched


async def test_nothing_is_emitted_on_the_day_before(eligibility: Eligibility) -> None:
    await eligibility.consume(a_file(CHILD, 1, residence_since="2026-05-25"))

    assert await eligibility.complete_day(date(2026, 11, 24)) == []


async def test_a_missed_day_is_caught_up(eligibility: Eligibility) -> None:
    """A due child stays due until its day is processed."""
    await eligibility.consume(a_file(CHILD, 1, residence_since="2026-05-24"))

    event = only_assessment(await eligibility.complete_day(date(2026, 12, 30)))

    assert (event.on, event.migrant.answer) == (date(2026, 12, 30), Answer.YES)


@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_a_day_processed_in_pages_gives_the_same_result(eligibility: Eligibility, limit: int) -> None:
    children = [child_id(number) for number in range(12)]
    starts = ["2026-05-24", "2026-05-25", "2025-01-01"]
    await eligibility.consume(*(a_file(each, 1, residence_since=starts[n % 3]) for n, each in enumerate(children)))

    events = assessed(await eligibility.complete_day(date(2026, 11, 25), limit=limit))

    assert sorted(event.child for event in events) == sorted(each for n, each in enumerate(children) if n % 3 < 2)
    assert {event.migrant.answer for event in events} == {Answer.YES}
    assert await eligibility.complete_day(date(2026, 11, 25), limit=limit) == []
    assert {row["until"] > date(2026, 11, 25) for row in await eligibility.table("child")} == {True}


async def test_no_child_is_due_on_the_day_it_was_assessed(eligibility: Eligibility) -> None:
    await eligibility.consume(*_a_log())

    assert {row["until"] is None or row["until"] > ON for row in await eligibility.table("child")} == {True}


async def test_new_county_data_makes_every_child_due_once(eligibility: Eligibility) -> None:
    """An activated threshold makes every child due, page by page."""
    children = [child_id(number) for number in range(1, 10)]
    # The first would turn 16 the next day; the birthdays of the others move by a day, which changes their answers too.
    await eligibility.consume(a_file(CHILD, 1, birth_date="2010-11-24"), *(a_file(each, 1) for each in children[1:]))
    await eligibility.complete_day(ON)
    eligibility.county = a_county(
        version="2026-12", thresholds={**dict(demo_county().thresholds), "age_reached_on": "day_after"}
    )

    events = assessed(await eligibility.complete_day(date(2026, 11, 24), limit=1))

    assert sorted(event.child for event in events) == sorted(children)
    assert {event.child: event.migrant.answer for event in events}[CHILD] is Answer.YES
    bases = {row["basis"] for row in await eligibility.table("child")}
    assert {row["basis"] for row in await eligibility.table("partition_basis")} == bases
    assert len(bases) == 1
    assert [event.child for event in assessed(await eligibility.complete_day(date(2026, 11, 25)))] == [CHILD]


async def test_county_data_that_changes_no_answer_emits_nothing(eligibility: Eligibility) -> None:
    await eligibility.consume(a_file(CHILD, 1))
    await eligibility.complete_day(ON)
    eligibility.county = a_county(version="2026-12", name="石台县（更名）")

    assert await eligibility.complete_day(date(2026, 11, 24)) == []
    [row] = await eligibility.table("child")
    assert "2026-12" in row["basis"]


async def test_before_the_first_day_the_event_s_own_day_counts(eligibility: Eligibility) -> None:
    eligibility.today = None

    assert only_assessment(await eligibility.consume(a_file(CHILD, 1))).on == ON


async def test_after_the_first_day_the_partition_s_day_counts(eligibility: Eligibility) -> None:
    eligibility.today = ON + timedelta(days=2)

    assert only_assessment(await eligibility.consume(a_file(CHILD, 1))).on == ON + timedelta(days=2)


async def test_an_absorbed_file_loses_its_answers_and_names_the_absorbing_file(eligibility: Eligibility) -> None:
    await eligibility.consume(a_file(CHILD, 1, insured=False), a_file(OTHER, 1))
    survivor, absorbed = a_file(OTHER, 2, absorbs=[CHILD]), a_file(CHILD, 2, state="absorbed", absorbed_by=OTHER)

    by_child = {event.child: event for event in assessed(await eligibility.consume(survivor, absorbed))}

    assert (by_child[CHILD].state, by_child[CHILD].absorbed_by, by_child[CHILD].until) == ("absorbed", OTHER, None)
    assert (by_child[CHILD].items, by_child[CHILD].derived, by_child[CHILD].migrant.answer) == ((), (), Answer.UNKNOWN)
    assert by_child[OTHER].absorbs == (CHILD,)
    eligibility.county = a_county(version="2026-12")
    assert await eligibility.complete_day(date(2032, 3, 15)) != []
    [row] = [row for row in await eligibility.table("child") if row["child_id"] == CHILD]
    assert (row["state"], row["until"], row["assessment"]) == ("absorbed", None, 2)


async def test_a_file_split_again_is_assessed_again(eligibility: Eligibility) -> None:
    await eligibility.consume(a_file(CHILD, 1), a_file(CHILD, 2, state="absorbed", absorbed_by=OTHER))

    event = only_assessment(await eligibility.consume(a_file(CHILD, 3)))

    assert (event.state, event.absorbed_by, event.migrant.answer) == ("on_file", None, Answer.YES)


async def test_a_decision_can_be_recomputed_from_the_stored_inputs(eligibility: Eligibility) -> None:
    await eligibility.consume(*_a_log())
    await eligibility.complete_day(date(2027, 3, 1))
    states = {row["child_id"]: row for row in await eligibility.table("child")}

    decisions = await eligibility.table("decision")

    assert len(decisions) > len(states)
    for decision in decisions:
        recomputed = recompute(decision)
        assert blake2b(recomputed, digest_size=16).digest() == decision["answers_digest"]


async def test_a_value_of_the_wrong_type_is_unprocessable_and_the_error_names_only_the_fact(
    eligibility: Eligibility,
) -> None:
    with pytest.raises(UnprocessableEvent, match=r"^unreadable_fact birth_date$"):
        await eligibility.consume(a_file(CHILD, 1, birth_date="张三"))


async def test_an_assessment_is_keyed_by_the_child_and_caused_by_the_event(eligibility: Eligibility) -> None:
    [emitted] = await eligibility.consume(a_file(CHILD, 1))

    assert (emitted.event.key, emitted.sensitivity) == (str(CHILD), "restricted")


def _a_log() -> list[ChildChanged]:
    """Return forty events of nine children: versions with gaps, repeats, merges, splits and urgent risks."""
    rng = Random(20261123)
    children = [child_id(number) for number in range(9)]
    versions = dict.fromkeys(children, 0)
    log = []
    for _ in range(40):
        child = rng.choice(children)
        versions[child] += rng.choice((0, 1, 1, 1, 2))
        changes: dict[str, Any] = {
            "birth_date": rng.choice(("2016-03-15", "2020-02-29", "2010-11-24", None)),
            "insured": rng.choice((True, False, None)),
            "lives_alone": rng.choice((True, None, None)),
            "lives_with_mother": rng.choice((True, True, False)),
            "residence_since": rng.choice(("2025-09-01", "2026-05-24", "2026-11-01")),
        }
        merged = rng.random() < 0.15
        log.append(
            a_file(
                child,
                max(1, versions[child]),
                state="absorbed" if merged else "on_file",
                absorbed_by=rng.choice(children) if merged else None,
                absorbs=[rng.choice(children)] if rng.random() < 0.1 else [],
                **changes,
            )
        )
    return log


def recompute(decision: dict[str, Any]) -> bytes:
    assessor = Assessor(demo_county())
    file = store.AssessmentFile(
        decision["child_id"],
        0,
        decision["child_version"],
        decision["state"],
        decision["absorbed_by"],
        tuple(decision["absorbs"]),
        decision["claims"],
        decision["assessment"] - 1,
        decision["assessed_on"],
        "",
        b"",
        None,
    )
    content, _ = assessor.evaluate(file, parse_claims(decision["claims"]), decision["assessed_on"])
    return content


def _at_version(file: store.AssessmentFile, version: int) -> store.AssessmentFile:
    return store.AssessmentFile(
        file.child,
        file.partition,
        version,
        file.state,
        file.absorbed_by,
        file.absorbs,
        file.claims,
        file.assessment,
        file.assessed_on,
        file.basis,
        file.answers_digest,
        file.until,
    )
