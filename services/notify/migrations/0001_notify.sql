-- The inboxes, what each unit has to do next, the counts of the digests, and the alarms.
-- depends:

-- migrate: apply
CREATE TABLE inbox (
    notice uuid PRIMARY KEY,
    cause uuid NOT NULL,
    addressee text NOT NULL,
    template text NOT NULL,
    unit text NOT NULL,
    restricted boolean NOT NULL,
    urgency text NOT NULL,
    text text NOT NULL,
    subject uuid,
    child uuid,
    due timestamptz,
    on_day date NOT NULL,
    emitted_at timestamptz NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY,
    UNIQUE (cause, addressee, template)
);
CREATE INDEX inbox_by_unit ON inbox (unit, restricted, position);
COMMENT ON TABLE inbox IS 'Notices. An event makes one notice of a template for a unit, however often it is read.';
COMMENT ON COLUMN inbox.cause IS 'The event, or the digest, that the notice comes from.';
COMMENT ON COLUMN inbox.addressee IS 'The unit that is meant; unit is the unit whose inbox it is in.';
COMMENT ON COLUMN inbox.subject IS 'The referral, proposal, duty, review or action.';

CREATE TABLE obligation (
    kind text NOT NULL,
    id uuid NOT NULL,
    rank integer NOT NULL,
    open boolean NOT NULL,
    unit text NOT NULL,
    next_action text,
    supervisor text,
    level text,
    restricted boolean NOT NULL,
    due timestamptz,
    child uuid,
    partition integer NOT NULL,
    PRIMARY KEY (kind, id)
) WITH (fillfactor = 70);
CREATE INDEX obligation_by_unit ON obligation (partition, unit) WHERE open;
CREATE INDEX obligation_by_supervisor ON obligation (partition, supervisor) WHERE open AND supervisor <> '';
COMMENT ON TABLE obligation IS 'What a unit has to do next in a referral, proposal, duty or review (kind, id).';
COMMENT ON COLUMN obligation.rank IS 'Orders the changes of one obligation: an older one that is read later is ignored.';
COMMENT ON COLUMN obligation.supervisor IS 'The unit that an L3 referral was escalated to; empty or null: none.';
COMMENT ON COLUMN obligation.partition IS 'The input partition of the child.';

CREATE TABLE digest_count (
    day date NOT NULL,
    partition integer NOT NULL,
    unit text NOT NULL,
    restricted boolean NOT NULL,
    accept integer NOT NULL,
    answer integer NOT NULL,
    check_ integer NOT NULL,
    decide integer NOT NULL,
    review integer NOT NULL,
    overdue integer NOT NULL,
    contact integer NOT NULL,
    visit integer NOT NULL,
    first_visit integer NOT NULL,
    missed integer NOT NULL,
    due_soon integer NOT NULL,
    monthly integer NOT NULL,
    monthly_overdue integer NOT NULL,
    escalated integer NOT NULL,
    next_due timestamptz,
    PRIMARY KEY (day, unit, restricted, partition)
);
COMMENT ON TABLE digest_count IS 'One partition''s share of a day''s digests, counted when it completes the day.';

CREATE TABLE digest_day (
    day date PRIMARY KEY
);
COMMENT ON TABLE digest_day IS 'The row that partitions finishing a day at the same time lock.';

CREATE TABLE digest_partition (
    day date NOT NULL,
    partition integer NOT NULL,
    PRIMARY KEY (day, partition)
);
COMMENT ON TABLE digest_partition IS 'The partitions that have counted a day.';

CREATE TABLE alarm (
    alarm uuid PRIMARY KEY,
    unit text NOT NULL,
    trigger text NOT NULL,
    subject uuid,
    text text NOT NULL,
    on_day date NOT NULL,
    raised_at timestamptz NOT NULL
);
COMMENT ON TABLE alarm IS 'Alarms that were raised; unit is the unit whose duty officer they reach.';

CREATE TABLE alarm_delivery (
    alarm uuid NOT NULL,
    channel text NOT NULL,
    outcome text NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (alarm, channel)
);
COMMENT ON TABLE alarm_delivery IS 'The outcome of each alarm on each channel, once its attempts have ended.';

-- migrate: rollback
DROP TABLE alarm_delivery, alarm, digest_partition, digest_day, digest_count, obligation, inbox;
