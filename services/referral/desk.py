"""A batch's working copy of the matters it touches: what was decided is noted, said, and saved once."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from contracts.county import County
from contracts.event import Event
from runtime import DayPage, InboundEvent, OutboundEvent, Tx
from services.referral import routing, say, store
from services.referral.domain.duties import Duty
from services.referral.domain.gaps import Gap
from services.referral.domain.ledger import Ledger
from services.referral.domain.matters import Child, Matters
from services.referral.domain.proposals import Proposal
from services.referral.domain.referral import CLOCK, Actor, Moves, Referral
from services.referral.domain.rules import Rules

DAY = timedelta(days=1)


class Desk:
    """Matters of some children, locked until the batch is committed."""

    def __init__(self, county: County, partitions: int, matters: dict[UUID, Matters]) -> None:
        self.county = county
        self.rules: Rules = routing.rules_of(county)
        self.cadence = routing.cadence_of(county)
        self.said: list[OutboundEvent] = []
        self._partitions = partitions
        self._matters = matters
        self._child_of: dict[UUID, UUID] = {}
        self._speak: Callable[[Event, UUID], OutboundEvent] = _nobody_speaks
        self._cause = UUID(int=0)
        self._children: dict[UUID, Child] = {}
        self._referrals: dict[UUID, Referral] = {}
        self._gaps: dict[tuple[UUID, str, str], Gap] = {}
        self._proposals: dict[UUID, Proposal] = {}
        self._ledgers: dict[UUID, Ledger] = {}
        self._duties: dict[UUID, Duty] = {}
        self._history: list[store.Written] = []
        self._calls: list[tuple[UUID, store.Call]] = []
        self._acts: list[store.Act] = []

    @classmethod
    async def open(cls, tx: Tx, county: County, partitions: int, children: Iterable[UUID], today: date) -> "Desk":
        """All matters of these children, and of the files that absorbed them."""
        desk = await cls.glance(tx, county, partitions, children)
        await desk.look_into(tx, desk._matters, today)
        return desk

    @classmethod
    async def glance(cls, tx: Tx, county: County, partitions: int, children: Iterable[UUID]) -> "Desk":
        """Lock these children and see only what their facts show."""
        desk = cls(county, partitions, await store.lock(tx, children, partitions))
        await store.read_gaps(tx, desk._matters)
        return desk

    @classmethod
    async def for_findings(cls, tx: Tx, county: County, partitions: int, children: Iterable[UUID]) -> "Desk":
        """What a finding needs, and nothing else: it is in a hurry."""
        desk = cls(county, partitions, await store.lock(tx, children, partitions))
        await desk._read_cases(tx, desk._matters)
        if any(held.undecided() for held in desk._matters.values()):  # a finding may answer what was asked
            await store.read_gaps(tx, desk._matters)
        return desk

    async def look_into(self, tx: Tx, children: Collection[UUID], today: date) -> None:
        """Read the other matters of children that have only been glanced at."""
        await self._read_cases(tx, children)
        await store.read_duties(tx, self._matters, children, today)

    async def _read_cases(self, tx: Tx, children: Collection[UUID]) -> None:
        await store.read_cases(tx, self._matters, children)
        for child in children:
            held = self._matters[child]
            self._child_of |= dict.fromkeys((*held.referrals, *held.proposals), child)

    # ------------------------------------------------------------ who is speaking

    def hear(self, heard: InboundEvent[Any]) -> None:
        """What is noted from here on was caused by this event."""
        self._speak = lambda event, story: heard.emit(event, correlation=story)
        self._cause = heard.envelope.id

    def turn_to(self, page: DayPage) -> None:
        """What is noted from here on was caused by the day."""
        self._speak = lambda event, story: page.emit(event, correlation=story)
        self._cause = page.cause

    def tell(self, event: Event, story: UUID, *, restricted: bool) -> None:
        said = self._speak(event, story)
        self.said.append(replace(said, sensitivity="restricted") if restricted else said)

    # ------------------------------------------------------------ whose matters

    def everybody(self) -> list[Matters]:
        return [self._matters[child] for child in sorted(self._matters)]

    def of(self, child: UUID) -> Matters:
        """A child's matters: those of the file that absorbed it, if one did."""
        return self._matters[self.family(child)[-1]]

    def family(self, child: UUID) -> list[UUID]:
        """The file itself, the one that absorbed it, and so on to the one that stands."""
        met = [child]
        survivor = self._matters[child].child.absorbed_by
        while survivor is not None and survivor not in met:
            met.append(survivor)
            survivor = self._matters[survivor].child.absorbed_by
        return met

    def exactly(self, child: UUID) -> Matters:
        """The matters of this very file."""
        return self._matters[child]

    def referral(self, referral: UUID) -> Referral | None:
        child = self._child_of.get(referral)
        return None if child is None else self._matters[child].referrals.get(referral)

    def of_finding(self, finding: UUID) -> list[Referral]:
        """The open referrals that came from a person's finding."""
        return [
            matter
            for held in self.everybody()
            for matter in held.in_order()
            if finding in matter.sources and matter.open
        ]

    def proposal(self, proposal: UUID) -> Proposal | None:
        child = self._child_of.get(proposal)
        return None if child is None else self._matters[child].proposals.get(proposal)

    # ------------------------------------------------------------ noting

    def note_child(self, child: Child) -> None:
        self._matters[child.id].child = child
        self._children[child.id] = child

    def note_gap(self, gap: Gap) -> None:
        self._matters[gap.child].gaps[gap.key] = gap
        self._gaps[(gap.child, gap.route, gap.code)] = gap

    def note_duty(self, duty: Duty) -> None:
        self._matters[duty.child].duties[duty.id] = duty
        self._duties[duty.id] = duty

    def note_ledger(self, ledger: Ledger) -> None:
        self._matters[ledger.child].ledger = ledger
        self._ledgers[ledger.child] = ledger

    def note_proposal(self, proposal: Proposal) -> None:
        self._matters[proposal.child].proposals[proposal.id] = proposal
        self._proposals[proposal.id] = proposal
        self._child_of[proposal.id] = proposal.child

    def note_referral(self, referral: Referral) -> None:
        self._matters[referral.child].referrals[referral.id] = referral
        self._referrals[referral.id] = referral
        self._child_of[referral.id] = referral.child

    def part_with(self, thing: Referral | Proposal | Duty) -> None:
        """It hangs on another file from now on."""
        matters = self._matters[thing.child]
        held: dict[UUID, Any]
        for held in (matters.referrals, matters.proposals, matters.duties):
            held.pop(thing.id, None)

    def note_call(self, finding: UUID, call: store.Call) -> None:
        """Somebody has called about a finding that has not come yet."""
        self._calls.append((finding, call))

    def note_act(self, act: store.Act) -> None:
        self._acts.append(act)

    # ------------------------------------------------------------ noting and saying

    def move(self, moves: Moves, on: date, *, channel: str | None = None, call: store.Call | None = None) -> None:
        """A referral has moved: its history, its event, and its line on the queues concerned."""
        for made in moves:
            before = self.referral(made.referral.id)
            after = made.referral
            if before is not None:
                after = replace(after, on_queue=before.on_queue, tombstones_from=before.tombstones_from)
            after, told = self._queued(before, after, on)
            moved = replace(made, referral=after)
            self.note_referral(after)
            self._history.append(store.Written(moved, on, channel, call, self._cause))
            self.tell(say.referral_moved(self.county, moved, on), after.story, restricted=after.restricted)
            for unit in told:
                entry = say.queue_entry(self.county, after, unit)
                self.tell(entry, after.story, restricted=after.restricted)

    def _queued(self, before: Referral | None, after: Referral, on: date) -> tuple[Referral, list[str]]:
        """The units whose queue must hear of this, and what the referral remembers of queues."""
        told = []
        on_queue = after.on_queue
        left = before.holder if before is not None else None
        if left is not None and left != after.holder and left in on_queue:
            told.append(left)
        holder = after.holder
        if holder is not None and routing.has_queue(self.county, holder, after.restricted):
            told.append(holder)
            if holder not in on_queue:
                on_queue = (*on_queue, holder)
        after = replace(after, on_queue=on_queue)
        if not after.leaving:
            tombstones_from = None
        elif left is not None and left in told and left != holder:
            tombstones_from = on + DAY
        else:
            tombstones_from = after.tombstones_from
        return replace(after, tombstones_from=tombstones_from), told

    def bury(self, referral: Referral) -> None:
        """The tombstones of a referral on the queues of units that have nothing left to do."""
        for unit in referral.leaving:
            entry = say.queue_entry(self.county, referral, unit, gone=True)
            self.tell(entry, referral.story, restricted=referral.restricted)
        kept = tuple(unit for unit in referral.on_queue if unit == referral.holder)
        self.note_referral(replace(referral, on_queue=kept, tombstones_from=None))

    def propose(self, proposal: Proposal, on: date) -> None:
        self.note_proposal(proposal)
        self.tell(say.proposal_made(proposal, on), proposal.story, restricted=proposal.restricted)

    def end(self, proposal: Proposal, on: date, actor: Actor = CLOCK, escalated_to: str | None = None) -> None:
        """A proposal was decided, went up, or is no longer shown."""
        self.note_proposal(proposal)
        ended = say.proposal_ended(proposal, on, actor, escalated_to)
        self.tell(ended, proposal.story, restricted=proposal.restricted)

    def enter(
        self, ledger: Ledger, move: say.LedgerMove, on: date, actor: Actor, story: UUID, *, restricted: bool
    ) -> None:
        """The key-care ledger has changed, by a person's decision."""
        assert actor.unit is not None
        self.note_ledger(ledger)
        said = say.ledger_moved(ledger, move, on, actor.unit, actor.role or "", restricted=restricted)
        self.tell(said, story, restricted=restricted)

    def owe(self, duty: Duty, move: say.DutyMove, on: date) -> None:
        self.note_duty(duty)
        self.tell(say.duty_moved(duty, move, on), duty.story, restricted=duty.restricted)

    async def close(self, tx: Tx) -> list[OutboundEvent]:
        """Save what was noted; what was said, in order."""
        await store.save(
            tx,
            self._partitions,
            children=self._children.values(),
            referrals=self._referrals.values(),
            moves=self._history,
            gaps=self._gaps.values(),
            proposals=self._proposals.values(),
            ledgers=self._ledgers.values(),
            duties=self._duties.values(),
            calls=self._calls,
            acts=self._acts,
        )
        return self.said


def _nobody_speaks(event: Event, story: UUID) -> OutboundEvent:
    raise AssertionError("the desk has not heard anything yet")
