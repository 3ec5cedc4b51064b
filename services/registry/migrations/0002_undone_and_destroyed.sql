-- A merge that is undone leaves nothing behind; a child whose key was destroyed is never taken up again.
-- depends: 0001_registry

-- migrate: apply
alter table child add column destroyed boolean not null default false;
comment on column child.destroyed is 'its key was destroyed: nothing is added to it any more';

alter table question add column asked_of uuid[];
update question set asked_of = array[child_id, other_id];
alter table question alter column asked_of set not null;
comment on column question.asked_of is 'the files it is really about; child_id and other_id stand for them now';

-- A file says who was seen by the file in which a person saw them, so that a split gives it back.
update child
   set file = jsonb_set(
           file::jsonb, '{confirmed}',
           case when file ->> 'confirmed' = 'true' then jsonb_build_array(child_id) else '[]'::jsonb end
       )::json;

-- migrate: rollback
update child set file = jsonb_set(file::jsonb, '{confirmed}', to_jsonb(file::jsonb -> 'confirmed' <> '[]'))::json;
alter table question drop column asked_of;
alter table child drop column destroyed;
