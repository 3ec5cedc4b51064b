-- What intake keeps: files while they stream in, the last content of each row, which actions were taken.
-- depends:

-- migrate: apply
-- No identity stands in these tables: records and contents are keyed hashes.
create table submission (
    unit text not null,
    submission uuid not null,
    dataset text not null,
    period text not null,
    coverage text not null,
    state text not null,
    outcome text not null,
    columns text[] not null,
    date_1904 boolean not null,
    announced bigint not null,
    file_sha256 text,
    county_version text not null,
    valid_on date not null,
    began_on date not null,
    late boolean not null,
    attempt integer not null,
    pass uuid not null,
    read integer not null,
    accepted integer not null,
    accepted_with_drops integer not null,
    refused integer not null,
    unchanged integer not null,
    primary key (unit, submission)
) with (fillfactor = 50);
create index submission_by_file on submission (unit, dataset, file_sha256)
    where state <> 'open' and outcome = 'taken' and file_sha256 is not null;
create index submission_open on submission (unit, dataset, began_on) where state = 'open';

-- The newest period that was taken, and the pass of the last complete full file: whose rows can disappear.
create table dataset_state (
    unit text not null,
    dataset text not null,
    period text not null,
    full_pass uuid,
    primary key (unit, dataset)
) with (fillfactor = 50);

-- The last content of each row that was said onward; raw is the cells it was read from, if all was well with them.
create table record (
    record uuid primary key,
    birth_date text, -- as precise as it is known (ISO 8601): 2015-03-14, 2015-03 or 2015
    content bytea not null,
    raw bytea
) with (fillfactor = 80);

-- The rows that one attempt to read a file has met. Content is null for a row that named nobody.
create table seen (
    pass uuid not null,
    record uuid not null,
    number integer,
    content bytea,
    primary key (pass, record)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

create table action_taken (
    unit text not null,
    ce_id uuid not null,
    finding uuid,
    primary key (unit, ce_id)
);

-- migrate: rollback
drop table action_taken, seen, record, dataset_state, submission;
