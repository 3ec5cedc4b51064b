"""Files at hand: joining commutes with arrival, and a version counts what was applied to a child."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.vocabulary import FactName, IdentityField
from services.registry.desk import holder_of
from services.registry.domain.cabinet import Cabinet
from services.registry.domain.files import HandedOver, Reading
from services.registry.domain.matching import Evidence, arrange, never_alike
from tests.county import a_county
from tests.registry.house import a_vault, an_id
from tests.registry.people import BORN, FATHER, MOTHER, a_number

VAULT = a_vault()
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
UNITS = ("341722-jtj", "341722-gaj", "341722-wjw", "341722-cl")


def a_cabinet(records: Iterable[Evidence]) -> Cabinet:
    """With nothing on file, and every key of these records looked up."""
    return Cabinet(
        lane=0,
        holder=holder_of(a_county()),
        new_id=VAULT.new_id,
        alike=never_alike,
        cause=lambda n: str(an_id("event", n)),
        finds={key: set() for one in records for key in one.keys},
    )


def reading(evidence: Evidence, unit: str = UNITS[0], *, at: datetime = NOON) -> Reading:
    return Reading(evidence, unit, unit, None, date(2026, 9, 30), at, at.date(), False, "", {FactName.SCHOOL_GRADE: 4})


def groups(cabinet: Cabinet) -> set[frozenset[UUID]]:
    found: dict[UUID, set[UUID]] = {}
    for record, seat in cabinet.seats.items():
        found.setdefault(seat.child, set()).add(record)
    return {frozenset(records) for records in found.values()}


IDENTITIES = st.fixed_dictionaries(
    {},
    optional={
        IdentityField.NAME: st.sampled_from(["例小明", "例小亮"]),
        IdentityField.ID_NUMBER: st.sampled_from([a_number(sequence=one) for one in (1, 2, 3)]),
        IdentityField.MOTHER_ID_NUMBER: st.just(MOTHER),
        IdentityField.FATHER_ID_NUMBER: st.just(FATHER),
        IdentityField.PHONE: st.just("19900000001"),
    },
)


@st.composite
def streams(draw: st.DrawFn) -> list[Evidence]:
    """Records of some children who have much in common, each read once."""
    found = draw(st.lists(IDENTITIES, min_size=1, max_size=7))
    return [VAULT.evidence(an_id("record", n), BORN, identity, ()) for n, identity in enumerate(found)]


@settings(deadline=None)
@given(streams(), st.randoms())
def test_joining_commutes_with_the_order_of_arrival(records: list[Evidence], random: object) -> None:
    """Whoever comes first, the same records end in the same file: those that belong together."""
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for order in (records, shuffled):
        cabinet = a_cabinet(records)
        for n, one in enumerate(order):
            cabinet.read(n, reading(one, UNITS[n % 4]))
        assert groups(cabinet) == set(arrange(records, ()))


@settings(deadline=None)
@given(streams(), st.randoms())
def test_records_that_change_end_where_their_last_content_belongs(records: list[Evidence], random: object) -> None:
    """Each record is first read with another's content, then with its own: numbers and names move between rows."""
    others = list(records)
    random.shuffle(others)  # type: ignore[attr-defined]
    first = [replace(other, record=one.record) for one, other in zip(records, others, strict=True)]
    numbered = [one for one in zip(first, records, strict=True) if all(part.number is not None for part in one)]
    cabinet = a_cabinet(first + records)
    for n, (before, _) in enumerate(numbered):
        cabinet.read(n, reading(before))
    for n, (_, now) in enumerate(numbered, len(numbered)):
        cabinet.read(n, reading(now))
    final = [seat.evidence for seat in cabinet.seats.values()]
    assert groups(cabinet) == set(arrange(final, ()))


@settings(deadline=None)
@given(streams())
def test_every_event_counts_once_for_the_child_it_is_about(records: list[Evidence]) -> None:
    cabinet = a_cabinet(records)
    for n, one in enumerate(records):
        before = {child: file.version for child, file in cabinet.files.items()}
        cabinet.read(n, reading(one))
        child = cabinet.seats[one.record].child
        for other, file in cabinet.files.items():
            assert file.version - before.get(other, 0) == (1 if cabinet.touched.get(other) == n else 0)
        assert cabinet.touched[child] == n


@settings(deadline=None)
@given(streams())
def test_every_record_has_its_source_and_its_keys_in_its_file_only(records: list[Evidence]) -> None:
    cabinet = a_cabinet(records)
    for n, one in enumerate(records):
        cabinet.read(n, reading(one))
    for child, file in cabinet.files.items():
        assert {record for record, seat in cabinet.seats.items() if seat.child == child} == set(file.records)
        keys = {key for record in file.records for key in cabinet.seats[record].evidence.keys}
        assert {key for key, found in cabinet.finds.items() if child in found} == keys
    absorbed = {file.child for file in cabinet.files.values() if file.state == "absorbed"}
    assert absorbed == {
        outcome.from_child
        for _, outcome in cabinet.outcomes
        if isinstance(outcome, HandedOver) and outcome.reason == "matched"
    }


def test_an_older_version_that_comes_late_is_ignored() -> None:
    """A corrected birth date moves a record to another lane; what the old lane still has is older."""
    new = VAULT.evidence(an_id("record"), BORN, {IdentityField.ID_NUMBER: a_number()}, ())
    old = VAULT.evidence(an_id("record"), date(2018, 1, 1), {}, ())
    cabinet = a_cabinet([new, old])
    cabinet.read(0, reading(new))
    assert cabinet.read(1, reading(old, at=NOON - timedelta(minutes=10))) == "late"
    [file] = cabinet.files.values()
    assert file.version == 1
    assert cabinet.seats[new.record].evidence == new
