-- A digest also says when the next matter is due, and how many contacts and visits are due soon.
-- depends: 0001_notify

-- migrate: apply
alter table digest_part
    add column soon integer not null default 0,
    add column soonest timestamptz;

-- migrate: rollback
alter table digest_part
    drop column soon,
    drop column soonest;
