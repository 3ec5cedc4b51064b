-- Which of a unit's two log-ins and keys a disclosure is for.
-- depends: 0002_undone_and_destroyed

-- migrate: apply
alter table disclosure add column restricted boolean not null default false;
alter table disclosure alter column restricted drop default;
comment on column disclosure.restricted is 'of the referral: it is for the second of the unit''s log-ins and keys';

-- migrate: rollback
alter table disclosure drop column restricted;
