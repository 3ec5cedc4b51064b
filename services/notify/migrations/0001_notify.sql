-- What was told to whom, what is open with whom, and how the ringing went.
-- depends:

-- migrate: apply
create table inbox (
    notice uuid primary key,
    cause uuid not null,
    meant_for text not null,
    template text not null,
    unit text not null,
    restricted boolean not null,
    urgency text not null,
    text text not null,
    about uuid,
    child uuid,
    due timestamptz,
    on_day date not null,
    said_at timestamptz not null,
    position bigint generated always as identity,
    -- Once each: an event makes one line of a kind for a unit, however often it is read.
    unique (cause, meant_for, template)
);
create index inbox_of_unit on inbox (unit, restricted, position);

-- Whose turn it is in what is open. Rank orders the moves of one matter, so that an older one read later changes nothing.
create table matter (
    kind text not null,
    id uuid not null,
    rank integer not null,
    open boolean not null,
    unit text not null,
    turn text,
    -- To whom an L3 matter was escalated; '' or null: to nobody.
    watcher text,
    level text,
    restricted boolean not null,
    due timestamptz,
    child uuid,
    partition integer not null,
    primary key (kind, id)
) with (fillfactor = 70);
create index matter_of_lane on matter (partition, unit) where open;
create index matter_watched on matter (partition, watcher) where open and watcher <> '';

-- One lane's share of a day's digests: every lane counts its own children when it turns its page.
create table digest_part (
    day date not null,
    partition integer not null,
    unit text not null,
    restricted boolean not null,
    accept integer not null,
    answer integer not null,
    check_ integer not null,
    decide integer not null,
    question integer not null,
    overdue integer not null,
    contact integer not null,
    visit integer not null,
    first_visit integer not null,
    bundle integer not null,
    bundle_overdue integer not null,
    watched integer not null,
    primary key (day, unit, restricted, partition)
);

-- The row that lanes finishing the same day at once wait for one another on.
create table digest_day (
    day date primary key
);

create table digest_lane (
    day date not null,
    partition integer not null,
    primary key (day, partition)
);

create table alarm (
    alarm uuid primary key,
    unit text not null,
    what text not null,
    about uuid,
    text text not null,
    on_day date not null,
    raised_at timestamptz not null
);

create table ringing (
    alarm uuid not null,
    way text not null,
    outcome text not null,
    detail text not null,
    primary key (alarm, way)
);

-- migrate: rollback
drop table ringing, alarm, digest_lane, digest_day, digest_part, matter, inbox;
