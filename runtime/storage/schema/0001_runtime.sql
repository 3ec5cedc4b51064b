-- The runtime's own tables, in each service's schema.
-- depends:

-- migrate: apply
create table incarnation (
    only_one boolean primary key default true check (only_one),
    id uuid not null default gen_random_uuid(),
    born timestamptz not null default now()
);
insert into incarnation default values;

-- A lane is a number for one input partition; it numbers what that input makes the service say.
create table input_lane (
    lane integer generated always as identity primary key,
    consumer text not null,
    topic text not null,
    partition integer not null,
    unique (consumer, topic, partition)
);

-- The fence and the duplicate filter: locked first, moved in the transaction that moved the state.
create table consumer_cursor (
    consumer text not null,
    topic text not null,
    partition integer not null,
    next_offset bigint not null,
    topic_id text not null,
    lane integer not null references input_lane (lane),
    from_first boolean not null,
    poison_run integer not null default 0,
    lane_day date,
    moved_at timestamptz not null default now(),
    primary key (consumer, topic, partition)
) with (fillfactor = 50);

create table producer_seen (
    consumer text not null,
    topic text not null,
    partition integer not null,
    source text not null,
    lane integer not null,
    last_seq bigint not null,
    hole_since timestamptz,
    primary key (consumer, topic, partition, source, lane)
) with (fillfactor = 50);

create table outbox_lane (
    lane integer not null references input_lane (lane),
    topic text not null,
    partition integer not null,
    next_seq bigint not null,
    primary key (lane, topic, partition)
) with (fillfactor = 50);

-- Kept apart from outbox_lane so that the relay never waits for a batch's transaction, nor a batch for the relay.
create table outbox_mark (
    lane integer not null references input_lane (lane),
    topic text not null,
    partition integer not null,
    published_seq bigint not null,
    primary key (lane, topic, partition)
) with (fillfactor = 50);

create table outbox (
    position bigint generated always as identity primary key,
    lane integer not null,
    topic text not null,
    partition integer not null,
    seq bigint not null,
    key bytea not null,
    value bytea,
    headers bytea not null,
    created_at timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
alter table outbox alter column value set storage external;

create table parked_child (
    consumer text not null,
    key text not null,
    topic text not null,
    partition integer not null,
    first_offset bigint not null,
    reason text not null,
    since timestamptz not null default now(),
    primary key (consumer, key)
);

create table parked_event (
    consumer text not null,
    key text not null,
    n bigint generated always as identity,
    topic text not null,
    partition integer not null,
    "offset" bigint not null,
    at timestamptz not null,
    record bytea not null,
    primary key (consumer, key, n),
    foreign key (consumer, key) references parked_child (consumer, key) on delete cascade
);

create table dead_letter (
    id bigint generated always as identity primary key,
    consumer text not null,
    topic text not null,
    partition integer not null,
    "offset" bigint not null,
    reason text not null,
    record bytea,
    at timestamptz not null default now(),
    unique (consumer, topic, partition, "offset")
);

create table county (
    position bigint generated always as identity,
    version text primary key,
    active_from date not null,
    activated_by text not null,
    body text not null
);

create table county_clock (
    only_one boolean primary key default true check (only_one),
    now timestamptz
);
insert into county_clock default values;

-- Which upstream lanes have marked which day in which input partition.
create table day_mark (
    consumer text not null,
    topic text not null,
    partition integer not null,
    source text not null,
    lane integer not null,
    lanes integer not null,
    day date not null,
    primary key (consumer, topic, partition, source, lane)
);

-- The day each partition index is in, and where the work of the next one stands.
create table day_state (
    index integer primary key,
    day date,
    work_day date,
    resume text,
    turned_at timestamptz
);

-- migrate: rollback
drop table day_state, day_mark, county_clock, county, dead_letter, parked_event, parked_child, outbox, outbox_mark,
    outbox_lane, producer_seen, consumer_cursor, input_lane, incarnation;
