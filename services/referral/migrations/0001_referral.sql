-- Tables of referral: the case of each child, the history of each referral, and the contacts made.
-- depends:

-- migrate: apply
CREATE TABLE child (
    id uuid PRIMARY KEY,
    partition integer NOT NULL,
    version integer NOT NULL,
    assessment integer NOT NULL,
    township text,
    migrant text CHECK (migrant IN ('yes', 'no', 'unknown')),
    statistical text CHECK (statistical IN ('yes', 'no', 'unknown')),
    absorbed_by uuid,
    person_grounds boolean NOT NULL,
    pending boolean NOT NULL
);
CREATE INDEX child_pending ON child (partition, id) WHERE pending;
CREATE INDEX child_absorbed ON child (absorbed_by) WHERE absorbed_by IS NOT NULL;
COMMENT ON TABLE child IS 'A child as last assessed. The row is the lock on the whole case of the child.';
COMMENT ON COLUMN child.partition IS 'Index of the child''s partition, by which days are completed.';
COMMENT ON COLUMN child.version IS 'Version of the child''s file that was assessed last, -1 before the first assessment.';
COMMENT ON COLUMN child.assessment IS 'Number of the last assessment of that version.';
COMMENT ON COLUMN child.migrant IS 'Whether the child is a migrant child, by policy.';
COMMENT ON COLUMN child.statistical IS 'Whether the child is one by the statistical definition.';
COMMENT ON COLUMN child.absorbed_by IS 'The file into which this file was merged.';
COMMENT ON COLUMN child.person_grounds IS 'A person''s finding is a ground for an entry on the key-care ledger.';
COMMENT ON COLUMN child.pending IS 'The next completed day must process the child''s service gaps and ledger proposals.';

CREATE TABLE referral (
    id uuid PRIMARY KEY,
    child uuid NOT NULL,
    partition integer NOT NULL,
    owners uuid[] NOT NULL,
    route text NOT NULL,
    restricted boolean NOT NULL,
    level text NOT NULL CHECK (level IN ('L0', 'L1', 'L2', 'L3')),
    findings text[] NOT NULL,
    sources uuid[] NOT NULL,
    reporters text[] NOT NULL CHECK (cardinality(reporters) = cardinality(sources)),
    shared boolean NOT NULL,
    by_person boolean NOT NULL,
    item text,
    from_unit text NOT NULL,
    to_unit text NOT NULL,
    township text,
    correlation uuid NOT NULL,
    sent_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('sent', 'accepted', 'in_progress', 'returned', 'result_reported', 'closed', 'withdrawn')),
    version integer NOT NULL CHECK (version > 0),
    accept_by timestamptz,
    accept_alarm_at timestamptz,
    result_by timestamptz,
    phone_by timestamptz,
    deadlines_from timestamptz,
    provisional boolean NOT NULL,
    expired text[] NOT NULL,
    returns integer NOT NULL,
    return_reason text,
    right_unit text,
    extended boolean NOT NULL,
    extended_days integer NOT NULL,
    phone_reported boolean NOT NULL,
    reporter_informed boolean NOT NULL,
    result text,
    escalated_to text,
    closed_at timestamptz,
    queues text[] NOT NULL,
    tombstones_from date,
    alarm_at timestamptz,
    counts_hours boolean NOT NULL
);
CREATE INDEX referral_child ON referral (child);
CREATE INDEX referral_sources ON referral USING gin (sources);
CREATE INDEX referral_tick ON referral (alarm_at) WHERE counts_hours AND alarm_at IS NOT NULL;
CREATE INDEX referral_alarm ON referral (partition, alarm_at) WHERE alarm_at IS NOT NULL;
CREATE INDEX referral_tombstone ON referral (partition, tombstones_from) WHERE tombstones_from IS NOT NULL;
CREATE INDEX referral_provisional ON referral (partition) WHERE provisional;
COMMENT ON TABLE referral IS 'A referral of a child to a unit, in its present state.';
COMMENT ON COLUMN referral.child IS 'The file that it belongs to now.';
COMMENT ON COLUMN referral.owners IS 'Every file it has belonged to, the present one last.';
COMMENT ON COLUMN referral.restricted IS 'Its events go to the restricted topics.';
COMMENT ON COLUMN referral.level IS 'Urgency, L0 to L3 (policy 4.1).';
COMMENT ON COLUMN referral.sources IS 'The persons'' findings it came from, empty if it was derived from facts.';
COMMENT ON COLUMN referral.reporters IS 'The units of these persons, in the same order.';
COMMENT ON COLUMN referral.shared IS 'A unit other than its sender has reported it too.';
COMMENT ON COLUMN referral.by_person IS 'A person reported or confirmed it, so only a person withdraws it.';
COMMENT ON COLUMN referral.to_unit IS 'The unit that must act next: the receiver or, once it is returned, the sender.';
COMMENT ON COLUMN referral.correlation IS 'Correlation id of its events.';
COMMENT ON COLUMN referral.state IS 'State by policy 4.4. The table of transitions is in domain/referrals.py.';
COMMENT ON COLUMN referral.version IS 'Number of its transitions.';
COMMENT ON COLUMN referral.accept_alarm_at IS 'When a missing acceptance is escalated.';
COMMENT ON COLUMN referral.deadlines_from IS 'The moment from which its deadlines are counted.';
COMMENT ON COLUMN referral.provisional IS 'A deadline lies in a year whose working days are not published yet.';
COMMENT ON COLUMN referral.expired IS 'Deadlines that have expired and were escalated.';
COMMENT ON COLUMN referral.returns IS 'How often it was returned.';
COMMENT ON COLUMN referral.queues IS 'Units whose queue has an entry of it that is not deleted yet.';
COMMENT ON COLUMN referral.tombstones_from IS 'The first day whose completion emits the tombstones on stale queues.';
COMMENT ON COLUMN referral.alarm_at IS 'When its next deadline expires.';
COMMENT ON COLUMN referral.counts_hours IS 'Its deadlines are checked by the tick, those of other referrals by the completed day.';

CREATE TABLE referral_transition (
    referral uuid NOT NULL,
    version integer NOT NULL,
    child uuid NOT NULL,
    transition text NOT NULL,
    state text NOT NULL CHECK (state IN ('sent', 'accepted', 'in_progress', 'returned', 'result_reported', 'closed', 'withdrawn')),
    at timestamptz NOT NULL,
    done_on date NOT NULL,
    level text NOT NULL CHECK (level IN ('L0', 'L1', 'L2', 'L3')),
    to_unit text NOT NULL,
    previous_unit text,
    actor_unit text,
    actor_role text,
    actor_person text,
    reason text,
    result text,
    overdue text,
    cause text,
    escalated_to text,
    channel text,
    station text,
    called_at timestamptz,
    causation uuid NOT NULL,
    PRIMARY KEY (referral, version)
);
COMMENT ON TABLE referral_transition IS 'The history of referrals: every transition, append only.';
COMMENT ON COLUMN referral_transition.done_on IS 'The day on which people did it, which may be earlier than it was recorded.';
COMMENT ON COLUMN referral_transition.cause IS 'A code for why it happened, where the transition alone does not say.';
COMMENT ON COLUMN referral_transition.station IS 'phone_reported: the station or hotline that was called.';
COMMENT ON COLUMN referral_transition.called_at IS 'phone_reported: when it was called.';
COMMENT ON COLUMN referral_transition.causation IS 'Id of the event, or of the day page, that caused it.';

CREATE TABLE finding (
    id uuid PRIMARY KEY,
    called_by text[] NOT NULL DEFAULT '{}',
    called_at timestamptz,
    station text
);
COMMENT ON TABLE finding IS 'Calls about findings that have not arrived yet. The row is the lock that orders a finding and the calls about it.';
COMMENT ON COLUMN finding.called_by IS 'Units whose call arrived before the finding.';

CREATE TABLE service_gap (
    child uuid NOT NULL,
    route text NOT NULL,
    code text NOT NULL,
    level text NOT NULL CHECK (level IN ('L0', 'L1', 'L2', 'L3')),
    item text,
    needs_confirming boolean NOT NULL,
    current boolean NOT NULL,
    episode_over boolean NOT NULL,
    pending boolean NOT NULL,
    episode integer NOT NULL,
    correlation uuid NOT NULL,
    proposals integer NOT NULL,
    proposal uuid,
    decided_level text CHECK (decided_level IN ('L0', 'L1', 'L2', 'L3')),
    referral uuid,
    PRIMARY KEY (child, route, code)
);
COMMENT ON TABLE service_gap IS 'Findings derived from a child''s facts, and what was done about them.';
COMMENT ON COLUMN service_gap.needs_confirming IS 'A person must confirm it before it is referred.';
COMMENT ON COLUMN service_gap.current IS 'The last assessment contains it.';
COMMENT ON COLUMN service_gap.episode_over IS 'A day was completed on which it was not current.';
COMMENT ON COLUMN service_gap.pending IS 'The next completed day must process it.';
COMMENT ON COLUMN service_gap.episode IS 'Counts its episodes.';
COMMENT ON COLUMN service_gap.proposals IS 'Number of proposals made in this episode.';
COMMENT ON COLUMN service_gap.proposal IS 'The undecided proposal.';
COMMENT ON COLUMN service_gap.decided_level IS 'The level at which a person confirmed or declined it in this episode.';

CREATE TABLE proposal (
    id uuid PRIMARY KEY,
    child uuid NOT NULL,
    partition integer NOT NULL,
    subject text NOT NULL CHECK (subject IN ('referral', 'ledger', 'ledger_closing')),
    unit text NOT NULL,
    restricted boolean NOT NULL,
    decide_by timestamptz NOT NULL,
    correlation uuid NOT NULL,
    township text,
    state text NOT NULL CHECK (state IN ('open', 'escalated', 'confirmed', 'declined', 'no_longer_shown')),
    route text,
    level text CHECK (level IN ('L0', 'L1', 'L2', 'L3')),
    item text,
    findings text[] NOT NULL,
    finding uuid,
    reporter_unit text,
    phone_reported boolean NOT NULL,
    opening_key text NOT NULL,
    occurrence integer NOT NULL,
    ledger_reasons text[] NOT NULL,
    grounds text[] NOT NULL,
    requester_unit text,
    requester_role text,
    requester_person text NOT NULL,
    alarm_at timestamptz
);
CREATE INDEX proposal_child ON proposal (child);
CREATE INDEX proposal_alarm ON proposal (alarm_at) WHERE alarm_at IS NOT NULL;
COMMENT ON TABLE proposal IS 'What a unit confirms or declines: a referral, a ledger entry, or the closing of one.';
COMMENT ON COLUMN proposal.unit IS 'The unit that decides. The lead unit may decide too.';
COMMENT ON COLUMN proposal.finding IS 'The person''s finding it came from.';
COMMENT ON COLUMN proposal.opening_key IS 'Identifies the referral that a confirmation opens beside its child and route.';
COMMENT ON COLUMN proposal.occurrence IS 'Counts the referrals of one opening key.';
COMMENT ON COLUMN proposal.grounds IS 'The names of its grounds. The same ground is proposed once.';
COMMENT ON COLUMN proposal.requester_unit IS 'ledger_closing: the unit that requested it.';
COMMENT ON COLUMN proposal.alarm_at IS 'When it is escalated.';

CREATE TABLE ledger_entry (
    child uuid PRIMARY KEY,
    partition integer NOT NULL,
    open boolean NOT NULL,
    reasons text[] NOT NULL,
    unit text NOT NULL,
    township text,
    number integer NOT NULL,
    opened_on date NOT NULL,
    changed_on date NOT NULL,
    last_contact_on date,
    last_visit_on date,
    closed_on date,
    contact_from date,
    visit_from date
);
CREATE INDEX ledger_entry_contact ON ledger_entry (partition, contact_from) WHERE open;
CREATE INDEX ledger_entry_visit ON ledger_entry (partition, visit_from) WHERE open;
COMMENT ON TABLE ledger_entry IS 'The latest entry of a child on the key-care ledger.';
COMMENT ON COLUMN ledger_entry.number IS 'Counts the entries of the child.';
COMMENT ON COLUMN ledger_entry.changed_on IS 'When it was opened or its reasons last changed. Closing requires a later visit.';
COMMENT ON COLUMN ledger_entry.contact_from IS 'First day of the next period for which a contact duty is created.';
COMMENT ON COLUMN ledger_entry.visit_from IS 'First day of the next period for which a visit duty is created.';

CREATE TABLE duty (
    id uuid PRIMARY KEY,
    child uuid NOT NULL,
    partition integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('contact', 'visit', 'first_visit')),
    period text NOT NULL,
    first date NOT NULL,
    due_on date NOT NULL,
    unit text NOT NULL,
    township text,
    correlation uuid NOT NULL,
    restricted boolean NOT NULL,
    provisional boolean NOT NULL,
    reminders date[] NOT NULL,
    state text NOT NULL CHECK (state IN ('created', 'missed', 'fulfilled', 'fulfilled_late', 'cancelled')),
    next_on date
);
CREATE INDEX duty_child ON duty (child, due_on);
CREATE INDEX duty_next ON duty (partition, next_on) WHERE next_on IS NOT NULL;
CREATE INDEX duty_provisional ON duty (partition) WHERE provisional;
COMMENT ON TABLE duty IS 'Contacts and visits that units owe to children on the ledger, one row for each period.';
COMMENT ON COLUMN duty.period IS 'Label of the period, for example 2026-11, 2026Q4, 2026H2 or 2026.';
COMMENT ON COLUMN duty.first IS 'The first day on which a contact or visit counts.';
COMMENT ON COLUMN duty.provisional IS 'The due day was counted in a year whose working days are not published yet.';
COMMENT ON COLUMN duty.reminders IS 'Days on which reminders are still to be emitted.';
COMMENT ON COLUMN duty.next_on IS 'The next day whose completion must process it.';

CREATE TABLE contact (
    unit text NOT NULL,
    ce_id uuid NOT NULL,
    child uuid NOT NULL,
    verb text NOT NULL CHECK (verb IN ('contact', 'visit')),
    done_on date NOT NULL,
    recorded_at timestamptz NOT NULL,
    role text NOT NULL,
    person text NOT NULL,
    reached boolean,
    mode text,
    at_residence boolean,
    PRIMARY KEY (unit, ce_id)
);
CREATE INDEX contact_child ON contact (child, done_on);
COMMENT ON TABLE contact IS 'Contacts and visits, and attempts at them, of any child, append only.';
COMMENT ON COLUMN contact.ce_id IS 'Id that the unit gave to the action.';
COMMENT ON COLUMN contact.reached IS 'Whether somebody was reached. False is an attempt.';
COMMENT ON COLUMN contact.at_residence IS 'Whether a visit took place where the child lives.';

-- migrate: rollback
DROP TABLE contact;
DROP TABLE duty;
DROP TABLE ledger_entry;
DROP TABLE proposal;
DROP TABLE service_gap;
DROP TABLE finding;
DROP TABLE referral_transition;
DROP TABLE referral;
DROP TABLE child;
