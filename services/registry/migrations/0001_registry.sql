-- One file per child. Names, numbers, phones and addresses are stored only in columns called `identity`, encrypted.
-- depends:

-- migrate: apply
CREATE TABLE child (
    child_id uuid PRIMARY KEY,
    number text NOT NULL UNIQUE,
    founding text NOT NULL,
    partition integer NOT NULL,
    state text NOT NULL CHECK (state IN ('candidate', 'on_file', 'absorbed')),
    absorbed_by uuid,
    absorbs uuid[] NOT NULL DEFAULT '{}',
    split_from uuid,
    child_version bigint NOT NULL,
    opened_at timestamptz NOT NULL,
    reviewed boolean NOT NULL DEFAULT false,
    residence text,
    dependency_keys text[] NOT NULL DEFAULT '{}',
    file json NOT NULL,
    snapshot_digest bytea,
    destroyed boolean NOT NULL DEFAULT false
) WITH (fillfactor = 80);
COMMENT ON TABLE child IS 'one row per file; a child that was merged keeps the row of each of its files';
COMMENT ON COLUMN child.number IS 'twelve digits of a keyed hash of founding; child_id follows from county and number';
COMMENT ON COLUMN child.founding IS 'what the file was opened for: its first record, a finding, or a split';
COMMENT ON COLUMN child.partition IS 'output partition of child_id';
COMMENT ON COLUMN child.child_version IS 'number of input events applied to this file';
COMMENT ON COLUMN child.reviewed IS 'a clerical review of this file was requested at some time';
COMMENT ON COLUMN child.residence IS 'current division of residence, read by the priority consumer';
COMMENT ON COLUMN child.dependency_keys IS
    'sources (unit dataset partition) whose newer validity could change the current facts';
COMMENT ON COLUMN child.file IS 'the facts of every source with provenance, in codes and dates';
COMMENT ON COLUMN child.snapshot_digest IS 'keyed hash of the last snapshot: identical content is not emitted again';
COMMENT ON COLUMN child.destroyed IS 'its key was destroyed: nothing is added to this file any more';
CREATE INDEX child_dependency_keys ON child USING gin (dependency_keys) WHERE dependency_keys <> '{}';

CREATE TABLE child_key (
    child_id uuid PRIMARY KEY,
    wrapped bytea NOT NULL
);
COMMENT ON TABLE child_key IS 'data key per child, wrapped under the master key; deleting a row is crypto-shredding';

CREATE TABLE record (
    record_id uuid PRIMARY KEY,
    child_id uuid NOT NULL REFERENCES child (child_id),
    finding_id uuid,
    must_link_group uuid,
    birth_date date,
    recorded_at timestamptz NOT NULL,
    valid_on date NOT NULL,
    department boolean NOT NULL,
    content text NOT NULL,
    evidence bytea NOT NULL,
    identity bytea
) WITH (fillfactor = 90);
COMMENT ON TABLE record IS 'which child''s file a source record is assigned to, and the evidence for it';
COMMENT ON COLUMN record.must_link_group IS 'a person decided that all records of this group belong to one child';
COMMENT ON COLUMN record.department IS 'false: the identity came with a person''s finding';
COMMENT ON COLUMN record.content IS 'keyed hash of the row as it was last read';
COMMENT ON COLUMN record.evidence IS 'keyed hashes of what identifies the child';
CREATE INDEX record_child ON record (child_id);

CREATE TABLE blocking_key (
    key bytea NOT NULL,
    child_id uuid NOT NULL,
    PRIMARY KEY (key, child_id)
);
COMMENT ON TABLE blocking_key IS 'keyed hash -> files that have a record with it';
CREATE INDEX blocking_key_child ON blocking_key (child_id);

CREATE TABLE cannot_link (
    group_a uuid NOT NULL,
    group_b uuid NOT NULL,
    PRIMARY KEY (group_a, group_b),
    CHECK (group_a < group_b)
);
COMMENT ON TABLE cannot_link IS 'two must-link groups that a person decided are different children';
CREATE INDEX cannot_link_b ON cannot_link (group_b);

CREATE TABLE finding (
    finding_id uuid PRIMARY KEY,
    child_id uuid NOT NULL,
    named boolean NOT NULL DEFAULT false,
    identity bytea,
    sealed bytea
);
COMMENT ON TABLE finding IS 'which child a person''s finding is about';
COMMENT ON COLUMN finding.child_id IS 'follow child.absorbed_by from here to the current file';
COMMENT ON COLUMN finding.named IS 'the person who reported it named the child';
COMMENT ON COLUMN finding.sealed IS 'identity as intake sealed it, kept when it could not be opened';
CREATE INDEX finding_child ON finding (child_id);

CREATE TABLE review (
    review_id uuid PRIMARY KEY,
    child_id uuid NOT NULL,
    other_id uuid NOT NULL,
    requested_for uuid[] NOT NULL,
    evidence text[] NOT NULL,
    conflicts text[] NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'merged', 'cannot_link', 'split')),
    unit text NOT NULL,
    requested_on date NOT NULL,
    resolved_on date,
    resolved_unit text,
    resolved_role text
);
COMMENT ON TABLE review IS 'clerical reviews: whether two files are one child''s';
COMMENT ON COLUMN review.requested_for IS 'the two files it was requested for; child_id and other_id are current files';
CREATE INDEX review_child ON review (child_id);
CREATE INDEX review_other ON review (other_id);

CREATE TABLE submission_end (
    unit text NOT NULL,
    dataset text NOT NULL,
    partition integer NOT NULL,
    number integer NOT NULL,
    period text NOT NULL,
    valid_on date NOT NULL,
    PRIMARY KEY (unit, dataset, partition)
);
COMMENT ON TABLE submission_end IS
    'the last whole file of a dataset that ended in one input partition: each record it still had is valid for it';
COMMENT ON COLUMN submission_end.number IS 'how many whole files have ended there';

CREATE TABLE verification (
    event_id uuid PRIMARY KEY,
    child_id uuid NOT NULL,
    unit text NOT NULL,
    role text NOT NULL,
    person text NOT NULL,
    done_on date NOT NULL,
    outcome text
);
COMMENT ON TABLE verification IS 'who verified a child on the spot, and the outcome';
CREATE INDEX verification_child ON verification (child_id);

CREATE TABLE reassignment (
    event_id uuid NOT NULL,
    child_id uuid NOT NULL,
    from_child_id uuid NOT NULL,
    reason text NOT NULL CHECK (reason IN ('merge', 'split', 'matched')),
    records uuid[] NOT NULL,
    done_on date NOT NULL,
    unit text,
    role text,
    PRIMARY KEY (event_id, child_id, from_child_id)
);
COMMENT ON TABLE reassignment IS 'which records moved from which file to which, and who decided it';
CREATE INDEX reassignment_child ON reassignment (child_id);
CREATE INDEX reassignment_from ON reassignment (from_child_id);

CREATE TABLE disclosure (
    referral_id uuid PRIMARY KEY,
    child_id uuid NOT NULL,
    partition integer NOT NULL,
    finding_id uuid,
    version integer NOT NULL,
    unit text,
    restricted boolean NOT NULL,
    route text NOT NULL,
    whitelist text[] NOT NULL,
    digest bytea,
    withdrawn_from text[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 80);
COMMENT ON TABLE disclosure IS 'which unit may read what of a child now, by referral';
COMMENT ON COLUMN disclosure.unit IS 'the unit that has the referral; null: none, and what was disclosed is withdrawn';
COMMENT ON COLUMN disclosure.restricted IS 'of the referral: it is for the second of the unit''s log-ins and keys';
COMMENT ON COLUMN disclosure.digest IS 'keyed hash of what was disclosed; null: nothing';
COMMENT ON COLUMN disclosure.withdrawn_from IS 'units whose tombstone is emitted once more at the end of the day';
CREATE INDEX disclosure_child ON disclosure (child_id) WHERE unit IS NOT NULL;
CREATE INDEX disclosure_withdrawn ON disclosure (partition, referral_id) WHERE withdrawn_from <> '{}';

CREATE TABLE disclosure_log (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    child_id uuid NOT NULL,
    referral_id uuid NOT NULL,
    unit text NOT NULL,
    route text NOT NULL,
    fields text[] NOT NULL,
    at timestamptz NOT NULL
);
COMMENT ON TABLE disclosure_log IS
    'what was disclosed to which unit, under which route (网络数据安全管理条例 art. 12: kept for three years)';
CREATE INDEX disclosure_log_child ON disclosure_log (child_id);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of the disclosure log can only be added';
END
$$;
CREATE TRIGGER disclosure_log_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON disclosure_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- migrate: rollback
DROP TABLE disclosure_log, disclosure, reassignment, verification, submission_end, review, finding, cannot_link,
    blocking_key, record, child_key, child;
DROP FUNCTION refuse_change;
