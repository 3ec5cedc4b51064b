create table audit (
    id bigint generated always as identity primary key,
    name text not null, n integer not null, event uuid not null,
    topic text not null, partition integer not null, at_offset bigint not null, day date
);
create table tally (name text primary key, partition integer not null, version integer not null, digest text not null);
create table counted (id bigint generated always as identity, name text, day date, version integer, processed_on date);
create table day_audit (id bigint generated always as identity, day date, index integer, name text);
create table control (repaired boolean not null default false, ticks integer not null default 0);
insert into control default values;
