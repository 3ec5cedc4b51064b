-- The runtime's own tables, in each service's schema.
-- depends:

-- migrate: apply
CREATE TABLE incarnation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE incarnation IS 'Which database this is: part of the source of every event, so that a restored or new database is another source.';
INSERT INTO incarnation DEFAULT VALUES;

CREATE TABLE producer (
    producer_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    UNIQUE (consumer, topic, partition)
);
COMMENT ON TABLE producer IS 'One input partition of one consumer; what it causes is numbered under its producer_id, without gaps.';

CREATE TABLE consumer_cursor (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    topic_id text NOT NULL,
    producer_id integer NOT NULL REFERENCES producer (producer_id),
    from_first boolean NOT NULL,
    breaker_run integer NOT NULL DEFAULT 0,
    watermark_day date,
    moved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE consumer_cursor IS 'The fence: locked first, and moved in the transaction that changes the state.';
COMMENT ON COLUMN consumer_cursor.topic_id IS 'Kafka''s id of the topic: a topic made again under the same name has another.';
COMMENT ON COLUMN consumer_cursor.from_first IS 'Whether the partition was read from offset 0, so that every producer must begin with number 0.';
COMMENT ON COLUMN consumer_cursor.breaker_run IS 'Events in a row that could not be processed; a restart does not reset it.';
COMMENT ON COLUMN consumer_cursor.watermark_day IS 'The last day that all upstream partitions have completed.';

CREATE TABLE producer_sequence (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    source text NOT NULL,
    producer_id integer NOT NULL,
    last_seq bigint NOT NULL,
    gap_since timestamptz,
    PRIMARY KEY (consumer, topic, partition, source, producer_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE producer_sequence IS 'The duplicate filter: the last number taken of each upstream producer in each input partition.';
COMMENT ON COLUMN producer_sequence.gap_since IS 'Since when the next number has been missing.';

CREATE TABLE outbox_sequence (
    producer_id integer NOT NULL REFERENCES producer (producer_id),
    topic text NOT NULL,
    partition integer NOT NULL,
    next_seq bigint NOT NULL,
    PRIMARY KEY (producer_id, topic, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE outbox_sequence IS 'The next number of each producer in each output partition.';

CREATE TABLE outbox_published (
    producer_id integer NOT NULL REFERENCES producer (producer_id),
    topic text NOT NULL,
    partition integer NOT NULL,
    published_seq bigint NOT NULL,
    PRIMARY KEY (producer_id, topic, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE outbox_published IS 'The number after the last published one. Apart from outbox_sequence, so that the relay never waits for a batch''s transaction, nor a batch for the relay.';

CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    producer_id integer NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    seq bigint NOT NULL,
    key bytea NOT NULL,
    value bytea,
    headers bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE outbox IS 'Events that were committed with the state that caused them and are not yet published.';
COMMENT ON COLUMN outbox.headers IS 'Names and values, with zero bytes between them.';
ALTER TABLE outbox ALTER COLUMN value SET STORAGE EXTERNAL;
-- The relay goes on in every sequence with the number after the last published one, and never rereads dead rows.
CREATE INDEX outbox_number ON outbox (producer_id, topic, partition, seq);

CREATE VIEW outbox_waiting AS
SELECT producer_id, topic, partition, coalesce(published_seq, 0) AS first_seq,
    next_seq - coalesce(published_seq, 0) AS row_count
FROM outbox_sequence LEFT JOIN outbox_published USING (producer_id, topic, partition)
WHERE next_seq > coalesce(published_seq, 0);
COMMENT ON VIEW outbox_waiting IS 'What each producer has emitted and the relay has not published: from which number on, and how many rows.';

CREATE TABLE coalesced (
    topic text NOT NULL,
    key bytea NOT NULL,
    producer_id integer NOT NULL REFERENCES producer (producer_id),
    partition integer NOT NULL,
    value bytea NOT NULL,
    headers bytea NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, key)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE coalesced IS 'Snapshots that wait while more of a file comes: a newer one of the same key replaces an older.';
COMMENT ON COLUMN coalesced.since IS 'Since when this key has been waiting; a newer snapshot does not change it.';
ALTER TABLE coalesced ALTER COLUMN value SET STORAGE EXTERNAL;
CREATE INDEX coalesced_producer ON coalesced (producer_id);

CREATE TABLE parked_key (
    consumer text NOT NULL,
    key text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, key)
);
COMMENT ON TABLE parked_key IS 'Keys with an event that cannot be processed; later events of the key queue behind it.';

CREATE TABLE parked_event (
    consumer text NOT NULL,
    key text NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    at timestamptz NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (consumer, key, position),
    FOREIGN KEY (consumer, key) REFERENCES parked_key (consumer, key) ON DELETE CASCADE
);
COMMENT ON COLUMN parked_event.record IS 'The record, encrypted with the service''s parking key.';

CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    reason text NOT NULL,
    record bytea,
    at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (consumer, topic, partition, "offset")
);
COMMENT ON TABLE dead_letter IS 'Records that are no event: they have no key under which they could be parked.';
COMMENT ON COLUMN dead_letter.record IS 'The record, sealed to the ops team.';

CREATE TABLE county (
    position bigint GENERATED ALWAYS AS IDENTITY,
    version text PRIMARY KEY,
    active_from date NOT NULL,
    activated_by text NOT NULL,
    body text NOT NULL
);
COMMENT ON TABLE county IS 'The versions of the county''s data that have been activated.';

CREATE TABLE county_clock (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    now timestamptz
);
COMMENT ON TABLE county_clock IS 'The last time that the county''s clock has published.';
INSERT INTO county_clock DEFAULT VALUES;

CREATE TABLE watermark (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    source text NOT NULL,
    producer_id integer NOT NULL,
    producers integer NOT NULL,
    day date NOT NULL,
    PRIMARY KEY (consumer, topic, partition, source, producer_id)
);
COMMENT ON TABLE watermark IS 'The last day that each upstream producer has completed, by input partition.';
COMMENT ON COLUMN watermark.producers IS 'How many producers of this source mark days.';

CREATE TABLE day_state (
    index integer PRIMARY KEY,
    day date,
    work_day date,
    resume text,
    completed_at timestamptz
);
COMMENT ON TABLE day_state IS 'The day that each partition index has completed, and how far the work of the next one is.';

-- migrate: rollback
DROP VIEW outbox_waiting;
DROP TABLE day_state, watermark, county_clock, county, dead_letter, parked_event, parked_key, coalesced, outbox,
    outbox_published, outbox_sequence, producer_sequence, consumer_cursor, producer, incarnation;
