"""The unit of work of a batch: the locked cases of its children, what is decided about them, and the events of it."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from contracts.county import County
from contracts.event import Event
from runtime import DayPage, InboundEvent, OutboundEvent, Tx
from services.referral import events, routing, store
from services.referral.domain.child_case import Child, ChildCase
from services.referral.domain.duties import Duty
from services.referral.domain.gaps import ServiceGap
from services.referral.domain.ledger import LedgerEntry
from services.referral.domain.proposals import Proposal
from services.referral.domain.referrals import CLOCK, Actor, Referral, Transitions
from services.referral.domain.rules import Rules

DAY = timedelta(days=1)


class UnitOfWork:
    """The cases of some children, locked until the batch is committed.

    A change is visible to later events of the batch at once; ``save`` writes all changes with one statement for each
    table and returns the events in the order in which they were emitted.
    """

    def __init__(self, county: County, partitions: int, cases: dict[UUID, ChildCase]) -> None:
        self.county = county
        self.rules: Rules = routing.rules_of(county)
        self.cadence = routing.cadence_of(county)
        self.emitted: list[OutboundEvent] = []
        self._partitions = partitions
        self._cases = cases
        self._child_of: dict[UUID, UUID] = {}
        self._outbound: Callable[[Event, UUID], OutboundEvent] = _no_cause
        self._causation = UUID(int=0)
        self._children: dict[UUID, Child] = {}
        self._referrals: dict[UUID, Referral] = {}
        self._gaps: dict[tuple[UUID, str, str], ServiceGap] = {}
        self._proposals: dict[UUID, Proposal] = {}
        self._entries: dict[UUID, LedgerEntry] = {}
        self._duties: dict[UUID, Duty] = {}
        self._history: list[store.HistoryEntry] = []
        self._calls: list[tuple[UUID, store.PhoneCall]] = []
        self._contacts: list[store.Contact] = []

    @classmethod
    async def open(cls, tx: Tx, county: County, partitions: int, children: Iterable[UUID], today: date) -> "UnitOfWork":
        """Lock and load the whole cases of these children and of the files that absorbed them."""
        work = await cls.open_with_gaps(tx, county, partitions, children)
        await work.load_remaining(tx, work._cases, today)
        return work

    @classmethod
    async def open_with_gaps(cls, tx: Tx, county: County, partitions: int, children: Iterable[UUID]) -> "UnitOfWork":
        """Lock these children and load only their service gaps."""
        work = cls(county, partitions, await store.lock_cases(tx, children, partitions))
        await store.read_gaps(tx, work._cases)
        return work

    @classmethod
    async def open_for_findings(cls, tx: Tx, county: County, partitions: int, children: Iterable[UUID]) -> "UnitOfWork":
        """Lock these children and load only what a reported finding needs, since findings are urgent."""
        work = cls(county, partitions, await store.lock_cases(tx, children, partitions))
        await work._read_cases(tx, work._cases)
        if any(case.undecided_proposals() for case in work._cases.values()):  # a finding may answer a proposal
            await store.read_gaps(tx, work._cases)
        return work

    async def load_remaining(self, tx: Tx, children: Collection[UUID], today: date) -> None:
        """Load the rest of cases of which only the gaps have been loaded."""
        await self._read_cases(tx, children)
        await store.read_duties(tx, self._cases, children, today)

    async def _read_cases(self, tx: Tx, children: Collection[UUID]) -> None:
        await store.read_cases(tx, self._cases, children)
        for child in children:
            case = self._cases[child]
            self._child_of |= dict.fromkeys((*case.referrals, *case.proposals), child)

    # ------------------------------------------------------------ the cause of changes

    def begin_event(self, inbound: InboundEvent[Any]) -> None:
        """Make this event the cause of the changes that follow."""
        self._outbound = lambda event, correlation: inbound.emit(event, correlation=correlation)
        self._causation = inbound.envelope.id

    def begin_day(self, page: DayPage) -> None:
        """Make the completion of a day the cause of the changes that follow."""
        self._outbound = lambda event, correlation: page.emit(event, correlation=correlation)
        self._causation = page.cause

    def emit(self, event: Event, correlation: UUID, *, restricted: bool) -> None:
        """Emit an event; a restricted one is marked for the restricted topics."""
        outbound = self._outbound(event, correlation)
        self.emitted.append(replace(outbound, sensitivity="restricted") if restricted else outbound)

    # ------------------------------------------------------------ looking up

    def cases(self) -> list[ChildCase]:
        """Return all locked cases in the order of their children's ids."""
        return [self._cases[child] for child in sorted(self._cases)]

    def surviving_case(self, child: UUID) -> ChildCase:
        """Return the case of the file that absorbed this one, or of this one if none did."""
        return self._cases[self.merge_chain(child)[-1]]

    def merge_chain(self, child: UUID) -> list[UUID]:
        """Return the file, the file that absorbed it, and so on up to the surviving one."""
        chain = [child]
        survivor = self._cases[child].child.absorbed_by
        while survivor is not None and survivor not in chain:
            chain.append(survivor)
            survivor = self._cases[survivor].child.absorbed_by
        return chain

    def case_of_file(self, child: UUID) -> ChildCase:
        """Return the case of this very file, absorbed or not."""
        return self._cases[child]

    def find_referral(self, referral: UUID) -> Referral | None:
        """Return a referral by its id, if it belongs to a locked child."""
        child = self._child_of.get(referral)
        return None if child is None else self._cases[child].referrals.get(referral)

    def open_referrals_from(self, finding: UUID) -> list[Referral]:
        """Return the open referrals that came from a person's finding."""
        return [
            referral
            for case in self.cases()
            for referral in case.referrals_in_order()
            if finding in referral.sources and referral.open
        ]

    def find_proposal(self, proposal: UUID) -> Proposal | None:
        """Return a proposal by its id, if it belongs to a locked child."""
        child = self._child_of.get(proposal)
        return None if child is None else self._cases[child].proposals.get(proposal)

    # ------------------------------------------------------------ recording without an event

    def record_child(self, child: Child) -> None:
        self._cases[child.id].child = child
        self._children[child.id] = child

    def record_gap(self, gap: ServiceGap) -> None:
        self._cases[gap.child].gaps[gap.key] = gap
        self._gaps[(gap.child, gap.route, gap.code)] = gap

    def record_duty(self, duty: Duty) -> None:
        self._cases[duty.child].duties[duty.id] = duty
        self._duties[duty.id] = duty

    def record_entry(self, entry: LedgerEntry) -> None:
        self._cases[entry.child].entry = entry
        self._entries[entry.child] = entry

    def record_proposal(self, proposal: Proposal) -> None:
        self._cases[proposal.child].proposals[proposal.id] = proposal
        self._proposals[proposal.id] = proposal
        self._child_of[proposal.id] = proposal.child

    def record_referral(self, referral: Referral) -> None:
        self._cases[referral.child].referrals[referral.id] = referral
        self._referrals[referral.id] = referral
        self._child_of[referral.id] = referral.child

    def detach(self, item: Referral | Proposal | Duty) -> None:
        """Remove an item from its child's case before it is recorded on another one."""
        case = self._cases[item.child]
        items: dict[UUID, Any]
        for items in (case.referrals, case.proposals, case.duties):
            items.pop(item.id, None)

    def record_call(self, finding: UUID, call: store.PhoneCall) -> None:
        """Record a call about a finding that has not arrived yet."""
        self._calls.append((finding, call))

    def record_contact(self, contact: store.Contact) -> None:
        self._contacts.append(contact)

    # ------------------------------------------------------------ recording with an event

    def apply(
        self, transitions: Transitions, on: date, *, channel: str | None = None, call: store.PhoneCall | None = None
    ) -> None:
        """Record transitions of a referral with their history, and emit them and the queue entries they change."""
        for transition in transitions:
            before = self.find_referral(transition.referral.id)
            after = transition.referral
            if before is not None:
                after = replace(after, queues=before.queues, tombstones_from=before.tombstones_from)
            after, changed_queues = self._update_queues(before, after, on)
            applied = replace(transition, referral=after)
            self.record_referral(after)
            self._history.append(store.HistoryEntry(applied, on, channel, call, self._causation))
            changed = events.referral_changed(self.county, applied, on)
            self.emit(changed, after.correlation, restricted=after.restricted)
            for unit in changed_queues:
                entry = events.queue_entry(self.county, after, unit)
                self.emit(entry, after.correlation, restricted=after.restricted)

    def _update_queues(self, before: Referral | None, after: Referral, on: date) -> tuple[Referral, list[str]]:
        """Return the referral with its queues brought up to date, and the units whose queue entry changes."""
        changed = []
        queues = after.queues
        previous = before.holder if before is not None else None
        if previous is not None and previous != after.holder and previous in queues:
            changed.append(previous)
        holder = after.holder
        if holder is not None and routing.has_queue(self.county, holder, after.restricted):
            changed.append(holder)
            if holder not in queues:
                queues = (*queues, holder)
        after = replace(after, queues=queues)
        if not after.stale_queues:
            tombstones_from = None
        elif previous is not None and previous in changed and previous != holder:
            tombstones_from = on + DAY
        else:
            tombstones_from = after.tombstones_from
        return replace(after, tombstones_from=tombstones_from), changed

    def emit_tombstones(self, referral: Referral) -> None:
        """Emit the tombstones of a referral on the queues of units that no longer hold it."""
        for unit in referral.stale_queues:
            entry = events.queue_entry(self.county, referral, unit, deleted=True)
            self.emit(entry, referral.correlation, restricted=referral.restricted)
        kept = tuple(unit for unit in referral.queues if unit == referral.holder)
        self.record_referral(replace(referral, queues=kept, tombstones_from=None))

    def propose(self, proposal: Proposal, on: date) -> None:
        """Record and emit a new proposal."""
        self.record_proposal(proposal)
        self.emit(events.proposal_made(proposal, on), proposal.correlation, restricted=proposal.restricted)

    def end_proposal(self, proposal: Proposal, on: date, actor: Actor = CLOCK, escalated_to: str | None = None) -> None:
        """Record and emit that a proposal was decided, was escalated, or has lost its grounds."""
        self.record_proposal(proposal)
        ended = events.proposal_ended(proposal, on, actor, escalated_to)
        self.emit(ended, proposal.correlation, restricted=proposal.restricted)

    def change_entry(
        self,
        entry: LedgerEntry,
        change: events.LedgerChange,
        on: date,
        actor: Actor,
        correlation: UUID,
        *,
        restricted: bool,
    ) -> None:
        """Record and emit a change of a ledger entry by a person's decision."""
        assert actor.unit is not None
        self.record_entry(entry)
        changed = events.ledger_entry_changed(entry, change, on, actor.unit, actor.role or "", restricted=restricted)
        self.emit(changed, correlation, restricted=restricted)

    def change_duty(self, duty: Duty, change: events.DutyChange, on: date) -> None:
        """Record and emit a change of a duty."""
        self.record_duty(duty)
        self.emit(events.duty_changed(duty, change, on), duty.correlation, restricted=duty.restricted)

    async def save(self, tx: Tx) -> list[OutboundEvent]:
        """Write everything recorded, and return the emitted events in order."""
        await store.save(
            tx,
            self._partitions,
            children=self._children.values(),
            referrals=self._referrals.values(),
            history=self._history,
            gaps=self._gaps.values(),
            proposals=self._proposals.values(),
            entries=self._entries.values(),
            duties=self._duties.values(),
            calls=self._calls,
            contacts=self._contacts,
        )
        return self.emitted


def _no_cause(event: Event, correlation: UUID) -> OutboundEvent:
    raise AssertionError("an event was emitted before begin_event or begin_day named its cause")
