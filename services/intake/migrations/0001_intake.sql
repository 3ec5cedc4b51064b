-- Intake's tables: files while they arrive, the last content of each row, accepted actions.
-- depends:

-- migrate: apply
-- No table holds an identity: record ids and contents are keyed hashes.
CREATE TABLE submission (
    unit text NOT NULL,
    submission uuid NOT NULL,
    dataset text NOT NULL,
    period text NOT NULL,
    coverage text NOT NULL,
    state text NOT NULL,
    outcome text NOT NULL,
    columns text[] NOT NULL,
    date_1904 boolean NOT NULL,
    announced bigint NOT NULL,
    file_sha256 text,
    county_version text NOT NULL,
    valid_on date NOT NULL,
    began_on date NOT NULL,
    late boolean NOT NULL,
    attempt_number integer NOT NULL,
    attempt_id uuid NOT NULL,
    read integer NOT NULL,
    accepted integer NOT NULL,
    accepted_with_drops integer NOT NULL,
    refused integer NOT NULL,
    unchanged integer NOT NULL,
    PRIMARY KEY (unit, submission)
) WITH (fillfactor = 50);
COMMENT ON TABLE submission IS 'A file while it arrives, and what became of it.';
COMMENT ON COLUMN submission.columns IS 'Headers, empty once the file is answered.';
COMMENT ON COLUMN submission.announced IS 'Rows, as the beginning of the file states, and once it has ended as its end states.';
COMMENT ON COLUMN submission.attempt_id IS 'This attempt to import the file: a file that begins again gets another.';
CREATE INDEX submission_by_file ON submission (unit, dataset, file_sha256)
    WHERE state <> 'open' AND outcome = 'taken' AND file_sha256 IS NOT NULL;
CREATE INDEX submission_open ON submission (unit, dataset, began_on) WHERE state = 'open';

CREATE TABLE dataset_state (
    unit text NOT NULL,
    dataset text NOT NULL,
    period text NOT NULL,
    full_attempt_id uuid,
    PRIMARY KEY (unit, dataset)
) WITH (fillfactor = 50);
COMMENT ON COLUMN dataset_state.period IS 'The newest period of which a file was accepted.';
COMMENT ON COLUMN dataset_state.full_attempt_id IS 'The last complete full file, whose rows can disappear.';

CREATE TABLE record (
    record uuid PRIMARY KEY,
    birth_date text,
    content_hash bytea NOT NULL,
    raw_hash bytea
) WITH (fillfactor = 80);
COMMENT ON TABLE record IS 'The last content of each row that was emitted.';
COMMENT ON COLUMN record.birth_date IS 'As precise as it is known (ISO 8601): 2015-03-14, 2015-03 or 2015.';
COMMENT ON COLUMN record.raw_hash IS 'Keyed hash of the raw cells, null if there were problems with them.';

CREATE TABLE seen_row (
    attempt_id uuid NOT NULL,
    record uuid NOT NULL,
    number integer,
    content_hash bytea,
    PRIMARY KEY (attempt_id, record)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
COMMENT ON TABLE seen_row IS 'The rows that one attempt to import a file has met.';
COMMENT ON COLUMN seen_row.record IS 'The record, or an id of the row''s position in the file.';
COMMENT ON COLUMN seen_row.content_hash IS 'Null if the row identified nobody.';

CREATE TABLE accepted_action (
    principal text NOT NULL,
    ce_id uuid NOT NULL,
    finding uuid,
    PRIMARY KEY (principal, ce_id)
);
COMMENT ON COLUMN accepted_action.principal IS 'The log-in that the action came by.';
COMMENT ON COLUMN accepted_action.finding IS 'The finding that a report made.';

-- migrate: rollback
DROP TABLE accepted_action, seen_row, record, dataset_state, submission;
