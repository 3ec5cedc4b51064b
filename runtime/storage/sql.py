"""All SQL of the runtime, named."""

INCARNATION = "SELECT id FROM incarnation"

TRY_LOCK = "SELECT pg_try_advisory_lock($1, hashtext($2))"

NOTIFY = "SELECT pg_notify($1, '')"

NEW_PRODUCER_IDS = """
INSERT INTO producer (consumer, topic, partition)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[])
ON CONFLICT (consumer, topic, partition) DO NOTHING"""

PRODUCER_ID_OF = "SELECT producer_id FROM producer WHERE consumer = $1 AND topic = $2 AND partition = $3"

NEW_CURSORS = """
INSERT INTO consumer_cursor (consumer, topic, partition, next_offset, topic_id, producer_id, from_first)
SELECT n.consumer, n.topic, n.partition, n.next_offset, n.topic_id, p.producer_id, n.next_offset = 0
FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::text[])
    AS n (consumer, topic, partition, next_offset, topic_id)
JOIN producer p USING (consumer, topic, partition)
ON CONFLICT (consumer, topic, partition) DO NOTHING"""

CURSORS = """
SELECT topic, partition, next_offset, topic_id, watermark_day
FROM consumer_cursor WHERE consumer = $1"""

LOCK_CURSOR = """
SELECT next_offset, topic_id, producer_id, from_first, breaker_run, watermark_day
FROM consumer_cursor
WHERE consumer = $1 AND topic = $2 AND partition = $3
FOR UPDATE"""

# A separate statement after the lock: a statement that waited for the lock would see the snapshot from before the wait.
FACTS = """
WITH today AS (
    SELECT CASE WHEN $3 THEN (SELECT min(day) FROM day_state HAVING count(day) = count(*))
                ELSE (SELECT day FROM day_state WHERE index = $2) END AS day
)
SELECT
    (SELECT day FROM today) AS day,
    (SELECT now FROM county_clock) AS now,
    clock_timestamp() AS at, -- the database's clock: a process with a wrong clock must not find sequence gaps too old
    coalesce(
        (SELECT version || '@' || position FROM county
         WHERE active_from <= (SELECT day FROM today) ORDER BY active_from DESC, position DESC LIMIT 1),
        (SELECT version || '@' || position FROM county ORDER BY active_from, position LIMIT 1)
    ) AS county,
    EXISTS (SELECT FROM parked_key WHERE consumer = $1) AS parked"""

SEQUENCES = """
SELECT source, producer_id, last_seq, gap_since
FROM producer_sequence WHERE consumer = $1 AND topic = $2 AND partition = $3"""

SAVE_SEQUENCES = """
INSERT INTO producer_sequence (consumer, topic, partition, source, producer_id, last_seq, gap_since)
SELECT $1, $2, $3, n.source, n.producer_id, n.last_seq, n.gap_since
FROM unnest($4::text[], $5::int[], $6::bigint[], $7::timestamptz[]) AS n (source, producer_id, last_seq, gap_since)
ON CONFLICT (consumer, topic, partition, source, producer_id)
DO UPDATE SET last_seq = excluded.last_seq, gap_since = excluded.gap_since"""

MOVE_CURSOR = """
UPDATE consumer_cursor
SET next_offset = $4, breaker_run = $5, watermark_day = $6, moved_at = now()
WHERE consumer = $1 AND topic = $2 AND partition = $3"""

NUMBER = """
INSERT INTO outbox_sequence AS o (producer_id, topic, partition, next_seq)
SELECT $1, n.topic, n.partition, n.many
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS n (topic, partition, many)
ORDER BY n.topic, n.partition
ON CONFLICT (producer_id, topic, partition) DO UPDATE SET next_seq = o.next_seq + excluded.next_seq
RETURNING topic, partition, next_seq"""

# No COPY: while it waits for a client that is frozen, no timeout of the server ends it, and its locks stay.
WRITE = """
INSERT INTO outbox (producer_id, topic, partition, seq, key, value, headers)
SELECT $1, n.*
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bytea[])
    AS n (topic, partition, seq, key, value, headers)"""

# The first rows of every output partition. Positions rise with a producer's numbers, so the first of all are among
# the first of each; what is published already is not read.
TO_PUBLISH = """
SELECT position, producer_id, topic, partition, seq, key, value, headers
FROM outbox
WHERE position = ANY(array(
    SELECT position
    FROM (
        SELECT first.position, row_number() OVER (PARTITION BY topic, partition ORDER BY first.position) AS place
        FROM outbox_waiting AS waiting
        CROSS JOIN LATERAL (
            SELECT position FROM outbox
            WHERE outbox.producer_id = waiting.producer_id AND outbox.topic = waiting.topic
                AND outbox.partition = waiting.partition
                AND outbox.seq >= waiting.first_seq
            ORDER BY seq LIMIT $1
        ) AS first
    ) AS ranked
    WHERE place <= $1
))
ORDER BY position"""

PUBLISHED_SEQUENCES = "SELECT producer_id, topic, partition, published_seq FROM outbox_published"

PUBLISHED = """
WITH gone AS (DELETE FROM outbox WHERE position = ANY($1::bigint[]))
INSERT INTO outbox_published (producer_id, topic, partition, published_seq)
SELECT * FROM unnest($2::int[], $3::text[], $4::int[], $5::bigint[])
ON CONFLICT (producer_id, topic, partition) DO UPDATE SET published_seq = excluded.published_seq"""

OUTBOX_STATE = """
SELECT coalesce(sum(waiting.row_count), 0)::bigint AS rows,
    coalesce(extract(epoch FROM clock_timestamp() - min(first.created_at)), 0)::float AS oldest
FROM outbox_waiting AS waiting
LEFT JOIN LATERAL (
    SELECT created_at FROM outbox
    WHERE outbox.producer_id = waiting.producer_id AND outbox.topic = waiting.topic
                AND outbox.partition = waiting.partition
        AND outbox.seq >= waiting.first_seq
    ORDER BY seq LIMIT 1
) AS first ON true"""

PARKED_KEYS = """
SELECT key FROM parked_key WHERE consumer = $1 AND key = ANY($2::text[]) ORDER BY key FOR SHARE"""

PARK = """
INSERT INTO parked_key (consumer, key, topic, partition, first_offset, reason)
SELECT $1, n.key, $2, $3, n.first_offset, n.reason
FROM unnest($4::text[], $5::bigint[], $6::text[]) AS n (key, first_offset, reason)
ON CONFLICT (consumer, key) DO NOTHING"""

PARK_EVENTS = """
INSERT INTO parked_event (consumer, key, topic, partition, "offset", at, record)
SELECT $1, n.key, $2, $3, n.at_offset, n.at, n.record
FROM unnest($4::text[], $5::bigint[], $6::timestamptz[], $7::bytea[]) WITH ORDINALITY
    AS n (key, at_offset, at, record, place)
ORDER BY n.place"""

PARKED = """
SELECT c.consumer, c.key, c.topic, c.partition, c.first_offset, c.reason, c.since,
    (SELECT count(*) FROM parked_event e WHERE e.consumer = c.consumer AND e.key = c.key) AS events
FROM parked_key c ORDER BY c.since"""

LOCK_PARKED = "SELECT consumer FROM parked_key WHERE key = $1 ORDER BY consumer FOR UPDATE"

PARKED_EVENTS = """
SELECT topic, partition, "offset", at, record FROM parked_event
WHERE consumer = $1 AND key = $2 ORDER BY position"""

RELEASE = "DELETE FROM parked_key WHERE consumer = $1 AND key = $2"

PARKED_STATE = """
SELECT consumer, count(*) AS keys, extract(epoch FROM clock_timestamp() - min(since))::float AS oldest
FROM parked_key GROUP BY consumer"""

DEAD_LETTERS = """
INSERT INTO dead_letter (consumer, topic, partition, "offset", reason, record)
SELECT $1, $2, $3, n.at_offset, n.reason, n.record
FROM unnest($4::bigint[], $5::text[], $6::bytea[]) AS n (at_offset, reason, record)
ON CONFLICT DO NOTHING"""

COALESCE = """
INSERT INTO coalesced (topic, key, producer_id, partition, value, headers)
SELECT n.topic, n.key, $1, n.partition, n.value, n.headers
FROM unnest($2::text[], $3::bytea[], $4::int[], $5::bytea[], $6::bytea[])
    AS n (topic, key, partition, value, headers)
ORDER BY n.topic, n.key
ON CONFLICT (topic, key) DO UPDATE SET producer_id = excluded.producer_id, partition = excluded.partition,
    value = excluded.value, headers = excluded.headers"""

# Each locks in the order of the keys. Two of them in one transaction may still meet two of another: then the database
# ends one of the two, and it is tried again.
DROP_COALESCED = """
WITH old AS (
    SELECT coalesced.ctid FROM coalesced
    JOIN unnest($1::text[], $2::bytea[]) AS n (topic, key) USING (topic, key)
    ORDER BY topic, key FOR UPDATE OF coalesced
)
DELETE FROM coalesced USING old WHERE coalesced.ctid = old.ctid"""

TAKE_COALESCED = """
WITH taken AS (
    SELECT ctid FROM coalesced WHERE producer_id = $1 ORDER BY topic, key LIMIT $2 FOR UPDATE
)
DELETE FROM coalesced USING taken WHERE coalesced.ctid = taken.ctid
RETURNING topic, partition, key, value, headers"""

COALESCED_STATE = """
SELECT count(*) AS rows, coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0)::float AS oldest
FROM coalesced"""

OLD_GAPS = """
SELECT topic, partition, source, producer_id, last_seq
FROM producer_sequence
WHERE consumer = $1 AND gap_since < clock_timestamp() - make_interval(secs => $2)"""

DROP_COUNTY = "DELETE FROM county WHERE version = $1"

NEW_COUNTY = """
INSERT INTO county (version, active_from, activated_by, body) VALUES ($1, $2, $3, $4)"""

COUNTY = "SELECT body FROM county WHERE version = $1 AND position = $2"

SET_NOW = "UPDATE county_clock SET now = greatest(now, $1)"

WATERMARKS = """
SELECT source, producer_id, producers, day FROM watermark WHERE consumer = $1 AND topic = $2 AND partition = $3"""

SAVE_WATERMARKS = """
INSERT INTO watermark (consumer, topic, partition, source, producer_id, producers, day)
SELECT $1, $2, $3, n.source, n.producer_id, n.producers, n.day
FROM unnest($4::text[], $5::int[], $6::int[], $7::date[]) AS n (source, producer_id, producers, day)
ON CONFLICT (consumer, topic, partition, source, producer_id)
DO UPDATE SET producers = excluded.producers, day = excluded.day"""

NEW_INDEXES = """
INSERT INTO day_state (index) SELECT generate_series(0, $1 - 1) ON CONFLICT (index) DO NOTHING"""

DAYS = "SELECT index, day FROM day_state ORDER BY index"

LOCK_DAY = "SELECT day, work_day, resume FROM day_state WHERE index = $1 FOR UPDATE"

# The day all day-bearing inputs of this index have reached: none while one of them has not been marked.
DAY_TARGET = """
SELECT min(c.watermark_day) AS day
FROM unnest($2::text[], $3::int[]) AS n (topic, partition)
LEFT JOIN consumer_cursor c ON c.consumer = $1 AND c.topic = n.topic AND c.partition = n.partition
HAVING count(c.watermark_day) = count(*)"""

SAVE_DAY = """
UPDATE day_state SET day = $2, work_day = $3, resume = $4,
    completed_at = CASE WHEN $2 IS DISTINCT FROM day THEN clock_timestamp() ELSE completed_at END
WHERE index = $1"""

DAY_FACTS = """
SELECT (SELECT now FROM county_clock) AS now,
    coalesce(
        (SELECT version || '@' || position FROM county
         WHERE active_from <= $1 ORDER BY active_from DESC, position DESC LIMIT 1),
        (SELECT version || '@' || position FROM county ORDER BY active_from, position LIMIT 1)
    ) AS county"""
