-- What eligibility keeps: each child's facts in codes and dates, and the inputs of everything it has said.
-- No identity is here: names and numbers never reach this service.

create table child (
    child_id uuid primary key,
    partition integer not null,
    child_version integer not null,
    state text not null check (state in ('candidate', 'on_file', 'absorbed')),
    absorbed_by uuid,
    absorbs uuid[] not null,
    claims json not null,
    assessment integer not null,
    assessed_on date not null,
    basis text not null,
    content bytea not null,
    until date
) with (fillfactor = 80);
comment on column child.assessment is 'How many times this child''s answers were said.';
comment on column child.basis is 'The rules and the county''s data that the answers rest on.';
comment on column child.content is 'Digest of the answers as they were last said: the same digest is no news.';
comment on column child.until is 'The first day on which an answer may differ without news: the due-date index.';

create index child_due on child (partition, until, child_id) where until is not null;
create index child_partition on child (partition, child_id);

-- A decision can be computed again to the same answer: its facts, its day, the rules and the county's data it used.
create table decision (
    child_id uuid not null,
    assessment integer not null,
    child_version integer not null,
    state text not null,
    absorbed_by uuid,
    absorbs uuid[] not null,
    assessed_on date not null,
    ruleset text not null,
    county_version text not null,
    claims json not null,
    content bytea not null,
    primary key (child_id, assessment)
);

-- Which basis every child of a partition has been assessed on; another one means that all of them are due.
create table partition_basis (
    partition integer primary key,
    basis text not null
);
