-- What was missed is counted until it is made good.
-- depends: 0002_digest_due

-- migrate: apply
alter table digest_part
    add column missed integer not null default 0;

-- migrate: rollback
alter table digest_part
    drop column missed;
