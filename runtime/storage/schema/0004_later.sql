-- Snapshots that are kept back while more of a file is on its way: a newer one of the same key takes their place.
create table later (
    topic text not null,
    key bytea not null,
    lane integer not null references input_lane (lane),
    partition integer not null,
    value bytea not null,
    headers bytea not null,
    since timestamptz not null default now(),
    primary key (topic, key)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
comment on column later.since is 'since when this key has been kept back; a newer snapshot does not change it';
alter table later alter column value set storage external;
create index later_lane on later (lane);
