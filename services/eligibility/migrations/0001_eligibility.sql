-- Eligibility stores each child's facts as codes and dates, and the inputs of every assessment it has emitted.
-- It stores no identity: names and ID numbers never reach this service.

CREATE TABLE child (
    child_id uuid PRIMARY KEY,
    partition integer NOT NULL,
    child_version integer NOT NULL,
    state text NOT NULL CHECK (state IN ('candidate', 'on_file', 'absorbed')),
    absorbed_by uuid,
    absorbs uuid[] NOT NULL,
    claims json NOT NULL,
    assessment integer NOT NULL,
    assessed_on date NOT NULL,
    basis text NOT NULL,
    answers_digest bytea NOT NULL,
    until date
) WITH (fillfactor = 80);
COMMENT ON TABLE child IS 'One row per child: the newest snapshot of its file and the state of its last assessment.';
COMMENT ON COLUMN child.partition IS 'Partition of registry.child.v1 and eligibility.child.v1 that the child belongs to.';
COMMENT ON COLUMN child.child_version IS 'Version of the registry''s snapshot (registry.ChildChanged.v1).';
COMMENT ON COLUMN child.absorbed_by IS 'The child whose file absorbed this one, if state is absorbed.';
COMMENT ON COLUMN child.absorbs IS 'The children whose files this one has absorbed.';
COMMENT ON COLUMN child.claims IS 'The facts of the snapshot: a JSON array of arrays.';
COMMENT ON COLUMN child.assessment IS 'The number of assessments of this child emitted so far.';
COMMENT ON COLUMN child.assessed_on IS 'The county day as of which the answers were computed.';
COMMENT ON COLUMN child.basis IS 'Names the rules and the county''s data that the answers depend on.';
COMMENT ON COLUMN child.answers_digest IS 'Digest of the answers last emitted; equal digests mean that nothing is emitted.';
COMMENT ON COLUMN child.until IS 'The first day on which an answer may differ although no fact has changed.';

CREATE INDEX child_due ON child (partition, until, child_id) WHERE until IS NOT NULL;
CREATE INDEX child_partition ON child (partition, child_id);

CREATE TABLE decision (
    child_id uuid NOT NULL,
    assessment integer NOT NULL,
    child_version integer NOT NULL,
    state text NOT NULL,
    absorbed_by uuid,
    absorbs uuid[] NOT NULL,
    assessed_on date NOT NULL,
    ruleset text NOT NULL,
    county_version text NOT NULL,
    claims json NOT NULL,
    answers_digest bytea NOT NULL,
    PRIMARY KEY (child_id, assessment)
);
COMMENT ON TABLE decision IS 'One row per emitted assessment, never changed, with the inputs that reproduce its answers.';
COMMENT ON COLUMN decision.ruleset IS 'Version of the rules that were applied.';
COMMENT ON COLUMN decision.county_version IS 'Version of the county''s data that was applied.';
COMMENT ON COLUMN decision.answers_digest IS 'Digest of the emitted answers, to verify a recomputation.';

CREATE TABLE partition_basis (
    partition integer PRIMARY KEY,
    basis text NOT NULL
);
COMMENT ON TABLE partition_basis IS 'The basis on which every child of a partition has been assessed. When it differs from the current one, all of them are due.';
