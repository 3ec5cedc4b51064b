-- What referral keeps: every matter of every child, who has it, and what it waits for.
-- depends:

-- migrate: apply
create table child (
    id uuid primary key,
    partition integer not null,
    version integer not null,
    assessment integer not null,
    township text,
    migrant text,
    statistical text,
    absorbed_by uuid,
    person_grounds boolean not null,
    turn boolean not null
);
create index child_turn on child (partition, id) where turn;
create index child_absorbed on child (absorbed_by) where absorbed_by is not null;

create table referral (
    id uuid primary key,
    child uuid not null,
    partition integer not null,
    owners uuid[] not null,
    route text not null,
    restricted boolean not null,
    level text not null,
    findings text[] not null,
    sources uuid[] not null,
    reporters text[] not null,
    shared boolean not null,
    by_person boolean not null,
    item text,
    from_unit text not null,
    to_unit text not null,
    township text,
    story uuid not null,
    sent_at timestamptz not null,
    state text not null,
    version integer not null,
    accept_by timestamptz,
    accept_alarm_at timestamptz,
    result_by timestamptz,
    phone_by timestamptz,
    counted_from timestamptz,
    provisional boolean not null,
    ran_out text[] not null,
    returns integer not null,
    return_reason text,
    right_unit text,
    extended boolean not null,
    extended_days integer not null,
    phone_reported boolean not null,
    reporter_informed boolean not null,
    result text,
    escalated_to text,
    closed_at timestamptz,
    on_queue text[] not null,
    tombstones_from date,
    -- The next clock that runs out, for all; and whether the tick or only the turn of the day looks after it.
    alarm_at timestamptz,
    ticks boolean not null
);
create index referral_child on referral (child);
create index referral_sources on referral using gin (sources);
create index referral_tick on referral (alarm_at) where ticks and alarm_at is not null;
create index referral_alarm on referral (partition, alarm_at) where alarm_at is not null;
create index referral_tombstone on referral (partition, tombstones_from) where tombstones_from is not null;
create index referral_provisional on referral (partition) where provisional;

-- Append only: every move of every referral.
create table referral_move (
    referral uuid not null,
    version integer not null,
    child uuid not null,
    move text not null,
    state text not null,
    at timestamptz not null,
    done_on date not null,
    level text not null,
    to_unit text not null,
    previous_unit text,
    actor_unit text,
    actor_role text,
    actor_person text,
    reason text,
    result text,
    overdue text,
    because text,
    escalated_to text,
    channel text,
    -- phone_reported: which station or line was called, and when.
    station text,
    called_at timestamptz,
    cause uuid not null,
    primary key (referral, version)
);

-- A call may be recorded before its finding has come by way of the registry. Whoever comes first leaves a row here;
-- the row is also the lock that keeps the two from missing one another.
create table finding (
    id uuid primary key,
    called_by text[] not null default '{}',
    called_at timestamptz,
    station text
);

create table gap (
    child uuid not null,
    route text not null,
    code text not null,
    level text not null,
    item text,
    needs_confirming boolean not null,
    shown boolean not null,
    over boolean not null,
    turn boolean not null,
    episode integer not null,
    story uuid not null,
    proposals integer not null,
    proposal uuid,
    settled_level text,
    referral uuid,
    primary key (child, route, code)
);

create table proposal (
    id uuid primary key,
    child uuid not null,
    partition integer not null,
    what text not null,
    unit text not null,
    restricted boolean not null,
    decide_by timestamptz not null,
    story uuid not null,
    township text,
    state text not null,
    route text,
    level text,
    item text,
    findings text[] not null,
    finding uuid,
    reporter_unit text,
    phone_reported boolean not null,
    opening text not null,
    nth integer not null,
    ledger_reasons text[] not null,
    grounds text[] not null,
    asked_unit text,
    asked_role text,
    asked_person text not null,
    alarm_at timestamptz
);
create index proposal_child on proposal (child);
create index proposal_alarm on proposal (alarm_at) where alarm_at is not null;

create table ledger (
    child uuid primary key,
    partition integer not null,
    open boolean not null,
    reasons text[] not null,
    unit text not null,
    township text,
    entry integer not null,
    opened_on date not null,
    changed_on date not null,
    last_contact_on date,
    last_visit_on date,
    closed_on date,
    contact_from date,
    visit_from date
);
create index ledger_contact on ledger (partition, contact_from) where open;
create index ledger_visit on ledger (partition, visit_from) where open;

create table duty (
    id uuid primary key,
    child uuid not null,
    partition integer not null,
    kind text not null,
    period text not null,
    first date not null,
    due_on date not null,
    unit text not null,
    township text,
    story uuid not null,
    restricted boolean not null,
    provisional boolean not null,
    reminders date[] not null,
    state text not null,
    next_on date
);
create index duty_child on duty (child, due_on);
create index duty_next on duty (partition, next_on) where next_on is not null;
create index duty_provisional on duty (partition) where provisional;

-- Append only: every contact and visit, attempts too, of whichever child.
create table act (
    unit text not null,
    ce_id uuid not null,
    child uuid not null,
    verb text not null,
    done_on date not null,
    recorded_at timestamptz not null,
    role text not null,
    person text not null,
    reached boolean,
    mode text,
    at_residence boolean,
    primary key (unit, ce_id)
);
create index act_child on act (child, done_on);

-- migrate: rollback
drop table act;
drop table duty;
drop table ledger;
drop table proposal;
drop table gap;
drop table finding;
drop table referral_move;
drop table referral;
drop table child;
