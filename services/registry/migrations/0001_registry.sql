-- One file per child. Names, numbers, phones and addresses stand only in the columns called `identity`, encrypted.
-- depends:

-- migrate: apply
create table child (
    child_id uuid primary key,
    number text not null unique,
    founding text not null,
    partition integer not null,
    state text not null check (state in ('candidate', 'on_file', 'absorbed')),
    absorbed_by uuid,
    absorbs uuid[] not null default '{}',
    split_from uuid,
    child_version bigint not null,
    opened_at timestamptz not null,
    asked boolean not null default false,
    residence text,
    contested text[] not null default '{}',
    file json not null,
    said bytea
) with (fillfactor = 80);
comment on column child.number is 'the child''s number, from which child_id follows: twelve digits of a keyed hash of founding';
comment on column child.founding is 'what the file was opened for: its first record, a finding, or a split';
comment on column child.child_version is 'input events applied to this child';
comment on column child.asked is 'there is or was a match question about it';
comment on column child.residence is 'the division that stands, for the express way';
comment on column child.contested is 'sources (unit dataset lane) whose newer validity could change what stands';
comment on column child.file is 'what every source says, with provenance: codes and dates';
comment on column child.said is 'digest of the last snapshot: identical content is not said twice';
create index child_contested on child using gin (contested) where contested <> '{}';

-- Destroying a row here makes the child unreadable.
create table child_key (
    child_id uuid primary key,
    wrapped bytea not null
);

create table record (
    record_id uuid primary key,
    child_id uuid not null references child (child_id),
    finding_id uuid,
    hold uuid,
    birth_date date,
    recorded_at timestamptz not null,
    valid_on date not null,
    department boolean not null,
    content text not null,
    evidence bytea not null,
    identity bytea
) with (fillfactor = 90);
comment on column record.hold is 'a person decided that all records of this hold belong together';
comment on column record.department is 'false: the identity that came with a person''s finding';
comment on column record.evidence is 'keyed hashes of what shows who the child is';
create index record_child on record (child_id);

-- Keyed hash -> files that stand under it.
create table lookup (
    key bytea not null,
    child_id uuid not null,
    primary key (key, child_id)
);
create index lookup_child on lookup (child_id);

-- Two holds that a person keeps apart.
create table apart (
    one uuid not null,
    other uuid not null,
    primary key (one, other),
    check (one < other)
);
create index apart_other on apart (other);

create table finding (
    finding_id uuid primary key,
    child_id uuid not null,
    named boolean not null default false,
    identity bytea,
    sealed bytea
);
comment on column finding.child_id is 'follow child.absorbed_by from here';
comment on column finding.named is 'the person who reported it named the child';
comment on column finding.sealed is 'as intake sealed it, when it did not open: a finding is passed on all the same';
create index finding_child on finding (child_id);

create table question (
    question_id uuid primary key,
    child_id uuid not null,
    other_id uuid not null,
    evidence text[] not null,
    conflicts text[] not null,
    state text not null check (state in ('open', 'merged', 'kept_apart', 'split')),
    unit text not null,
    asked_on date not null,
    settled_on date,
    settled_unit text,
    settled_role text
);
create index question_child on question (child_id);
create index question_other on question (other_id);

-- The last whole file of a dataset that ended in one lane: every record that did not disappear speaks for it.
create table submission_end (
    unit text not null,
    dataset text not null,
    lane integer not null,
    number integer not null,
    period text not null,
    valid_on date not null,
    primary key (unit, dataset, lane)
);

create table verification (
    event_id uuid primary key,
    child_id uuid not null,
    unit text not null,
    role text not null,
    person text not null,
    done_on date not null,
    outcome text
);
create index verification_child on verification (child_id);

-- Which records went from which file to which, and who said so: every merge can be split again.
create table hand_over (
    event_id uuid not null,
    child_id uuid not null,
    from_child_id uuid not null,
    reason text not null check (reason in ('merge', 'split', 'matched')),
    records uuid[] not null,
    done_on date not null,
    unit text,
    role text,
    primary key (event_id, child_id, from_child_id)
);
create index hand_over_child on hand_over (child_id);
create index hand_over_from on hand_over (from_child_id);

-- Who may read what of a child now, referral by referral.
create table disclosure (
    referral_id uuid primary key,
    child_id uuid not null,
    partition integer not null,
    finding_id uuid,
    version integer not null,
    unit text,
    route text not null,
    whitelist text[] not null,
    digest bytea,
    gone_from text[] not null default '{}'
) with (fillfactor = 80);
comment on column disclosure.unit is 'who has the referral; null: nobody, what was disclosed is gone';
comment on column disclosure.digest is 'keyed hash of what was disclosed; null: nothing';
comment on column disclosure.gone_from is 'units whose tombstone is said once more when the day turns';
create index disclosure_child on disclosure (child_id) where unit is not null;
create index disclosure_gone on disclosure (partition, referral_id) where gone_from <> '{}';

-- What was given to whom, on what ground (网络数据安全管理条例 art. 12: kept for three years). Only ever grows.
create table disclosure_log (
    position bigint generated always as identity primary key,
    event_id uuid not null,
    child_id uuid not null,
    referral_id uuid not null,
    unit text not null,
    route text not null,
    fields text[] not null,
    at timestamptz not null
);
create index disclosure_log_child on disclosure_log (child_id);
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the disclosure log only grows';
end
$$;
create trigger disclosure_log_only_grows before update or delete or truncate on disclosure_log
    for each statement execute function refuse_change();

-- migrate: rollback
drop table disclosure_log, disclosure, hand_over, verification, submission_end, question, finding, apart, lookup,
    record, child_key, child;
drop function refuse_change;
