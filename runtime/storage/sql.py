"""All SQL of the runtime, named."""

INCARNATION = "select id from incarnation"

TRY_LOCK = "select pg_try_advisory_lock($1, hashtext($2))"

NEW_LANE = """
insert into input_lane (consumer, topic, partition)
select * from unnest($1::text[], $2::text[], $3::int[])
on conflict (consumer, topic, partition) do nothing"""

LANE_OF = "select lane from input_lane where consumer = $1 and topic = $2 and partition = $3"

NEW_CURSOR = """
insert into consumer_cursor (consumer, topic, partition, next_offset, topic_id, lane, from_first)
select n.consumer, n.topic, n.partition, n.next_offset, n.topic_id, l.lane, n.next_offset = 0
from unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::text[])
    as n (consumer, topic, partition, next_offset, topic_id)
join input_lane l using (consumer, topic, partition)
on conflict (consumer, topic, partition) do nothing"""

CURSORS = """
select topic, partition, next_offset, topic_id, lane_day
from consumer_cursor where consumer = $1"""

LOCK_CURSOR = """
select next_offset, topic_id, lane, from_first, poison_run, lane_day
from consumer_cursor
where consumer = $1 and topic = $2 and partition = $3
for update"""

# Read after the lock is held, by a statement of its own: a statement that waited for the lock still sees the
# world as it was before it waited.
FACTS = """
with today as (
    select case when $3 then (select min(day) from day_state having count(day) = count(*))
                else (select day from day_state where index = $2) end as day
)
select
    (select day from today) as day,
    (select now from county_clock) as now,
    clock_timestamp() as at, -- the database's: a process whose own clock is wrong must not see old holes
    coalesce(
        (select version || '@' || position from county
         where active_from <= (select day from today) order by active_from desc, position desc limit 1),
        (select version || '@' || position from county order by active_from, position limit 1)
    ) as county,
    exists (select from parked_child where consumer = $1) as parked"""

SEEN = """
select source, lane, last_seq, hole_since
from producer_seen where consumer = $1 and topic = $2 and partition = $3"""

SAVE_SEEN = """
insert into producer_seen (consumer, topic, partition, source, lane, last_seq, hole_since)
select $1, $2, $3, n.source, n.lane, n.last_seq, n.hole_since
from unnest($4::text[], $5::int[], $6::bigint[], $7::timestamptz[]) as n (source, lane, last_seq, hole_since)
on conflict (consumer, topic, partition, source, lane)
do update set last_seq = excluded.last_seq, hole_since = excluded.hole_since"""

MOVE_CURSOR = """
update consumer_cursor
set next_offset = $4, poison_run = $5, lane_day = $6, moved_at = now()
where consumer = $1 and topic = $2 and partition = $3"""

NUMBER = """
insert into outbox_lane as l (lane, topic, partition, next_seq)
select $1, n.topic, n.partition, n.many
from unnest($2::text[], $3::int[], $4::bigint[]) as n (topic, partition, many)
order by n.topic, n.partition
on conflict (lane, topic, partition) do update set next_seq = l.next_seq + excluded.next_seq
returning topic, partition, next_seq"""

# No COPY: while it waits for a client that is frozen, no timeout of the server ends it, and its locks stay.
WRITE = """
insert into outbox (lane, topic, partition, seq, key, value, headers)
select $1, n.*
from unnest($2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bytea[])
    as n (topic, partition, seq, key, value, headers)"""

# The first rows of every output partition. Positions rise with a lane's numbers, so the first of all are among the
# first of each; what is published already is not even looked at.
TO_PUBLISH = """
select position, lane, topic, partition, seq, key, value, headers
from outbox
where position = any(array(
    select position
    from (
        select first.position, row_number() over (partition by topic, partition order by first.position) as place
        from outbox_waiting as lane
        cross join lateral (
            select position from outbox
            where outbox.lane = lane.lane and outbox.topic = lane.topic and outbox.partition = lane.partition
                and outbox.seq >= lane.following
            order by seq limit $1
        ) as first
    ) as waiting
    where place <= $1
))
order by position"""

MARKS = "select lane, topic, partition, published_seq from outbox_mark"

PUBLISHED = """
with gone as (delete from outbox where position = any($1::bigint[]))
insert into outbox_mark (lane, topic, partition, published_seq)
select * from unnest($2::int[], $3::text[], $4::int[], $5::bigint[])
on conflict (lane, topic, partition) do update set published_seq = excluded.published_seq"""

OUTBOX_STATE = """
select coalesce(sum(lane.many), 0)::bigint as rows,
    coalesce(extract(epoch from clock_timestamp() - min(first.created_at)), 0)::float as oldest
from outbox_waiting as lane
left join lateral (
    select created_at from outbox
    where outbox.lane = lane.lane and outbox.topic = lane.topic and outbox.partition = lane.partition
        and outbox.seq >= lane.following
    order by seq limit 1
) as first on true"""

PARKED_KEYS = """
select key from parked_child where consumer = $1 and key = any($2::text[]) order by key for share"""

PARK = """
insert into parked_child (consumer, key, topic, partition, first_offset, reason)
select $1, n.key, $2, $3, n.first_offset, n.reason
from unnest($4::text[], $5::bigint[], $6::text[]) as n (key, first_offset, reason)
on conflict (consumer, key) do nothing"""

PARK_EVENTS = """
insert into parked_event (consumer, key, topic, partition, "offset", at, record)
select $1, n.key, $2, $3, n.at_offset, n.at, n.record
from unnest($4::text[], $5::bigint[], $6::timestamptz[], $7::bytea[]) with ordinality
    as n (key, at_offset, at, record, place)
order by n.place"""

PARKED = """
select c.consumer, c.key, c.topic, c.partition, c.first_offset, c.reason, c.since,
    (select count(*) from parked_event e where e.consumer = c.consumer and e.key = c.key) as events
from parked_child c order by c.since"""

LOCK_PARKED = "select consumer from parked_child where key = $1 order by consumer for update"

PARKED_EVENTS = """
select n, topic, partition, "offset", at, record from parked_event
where consumer = $1 and key = $2 order by n"""

RELEASE = "delete from parked_child where consumer = $1 and key = $2"

PARKED_STATE = """
select consumer, count(*) as children, extract(epoch from clock_timestamp() - min(since))::float as oldest
from parked_child group by consumer"""

DEAD_LETTERS = """
insert into dead_letter (consumer, topic, partition, "offset", reason, record)
select $1, $2, $3, n.at_offset, n.reason, n.record
from unnest($4::bigint[], $5::text[], $6::bytea[]) as n (at_offset, reason, record)
on conflict do nothing"""

KEEP_BACK = """
insert into later (topic, key, lane, partition, value, headers)
select n.topic, n.key, $1, n.partition, n.value, n.headers
from unnest($2::text[], $3::bytea[], $4::int[], $5::bytea[], $6::bytea[])
    as n (topic, key, partition, value, headers)
order by n.topic, n.key
on conflict (topic, key) do update set lane = excluded.lane, partition = excluded.partition,
    value = excluded.value, headers = excluded.headers"""

# Each locks in the order of the keys. Two of them in one transaction may still meet two of another: then the database
# ends one of the two, and it is tried again.
REPLACED = """
with old as (
    select later.ctid from later
    join unnest($1::text[], $2::bytea[]) as n (topic, key) using (topic, key)
    order by topic, key for update of later
)
delete from later using old where later.ctid = old.ctid"""

TAKE_KEPT_BACK = """
with taken as (
    select ctid from later where lane = $1 order by topic, key limit $2 for update
)
delete from later using taken where later.ctid = taken.ctid
returning topic, partition, key, value, headers"""

KEPT_BACK_STATE = """
select count(*) as rows, coalesce(extract(epoch from clock_timestamp() - min(since)), 0)::float as oldest
from later"""

OLD_HOLES = """
select topic, partition, source, lane, last_seq
from producer_seen
where consumer = $1 and hole_since < clock_timestamp() - make_interval(secs => $2)"""

DROP_COUNTY = "delete from county where version = $1"

NEW_COUNTY = """
insert into county (version, active_from, activated_by, body) values ($1, $2, $3, $4)"""

COUNTY = "select body from county where version = $1 and position = $2"

SET_NOW = "update county_clock set now = greatest(now, $1)"

DAY_MARKS = """
select source, lane, lanes, day from day_mark where consumer = $1 and topic = $2 and partition = $3"""

SAVE_DAY_MARKS = """
insert into day_mark (consumer, topic, partition, source, lane, lanes, day)
select $1, $2, $3, n.source, n.lane, n.lanes, n.day
from unnest($4::text[], $5::int[], $6::int[], $7::date[]) as n (source, lane, lanes, day)
on conflict (consumer, topic, partition, source, lane)
do update set lanes = excluded.lanes, day = excluded.day"""

NEW_INDEXES = """
insert into day_state (index) select generate_series(0, $1 - 1) on conflict (index) do nothing"""

DAYS = "select index, day from day_state order by index"

LOCK_DAY = "select day, work_day, resume from day_state where index = $1 for update"

# The day all day-bearing inputs of this index have reached: none while one of them has not been marked.
DAY_TARGET = """
select min(c.lane_day) as day
from unnest($2::text[], $3::int[]) as n (topic, partition)
left join consumer_cursor c on c.consumer = $1 and c.topic = n.topic and c.partition = n.partition
having count(c.lane_day) = count(*)"""

SAVE_DAY = """
update day_state set day = $2, work_day = $3, resume = $4,
    turned_at = case when $2 is distinct from day then clock_timestamp() else turned_at end
where index = $1"""

DAY_FACTS = """
select (select now from county_clock) as now,
    coalesce(
        (select version || '@' || position from county
         where active_from <= $1 order by active_from desc, position desc limit 1),
        (select version || '@' || position from county order by active_from, position limit 1)
    ) as county"""
