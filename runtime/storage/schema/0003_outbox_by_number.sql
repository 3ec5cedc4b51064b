-- The relay goes on in every lane with the number after the last it published. By place it went over all that it had
-- published itself, again and again: a long transaction of any other service kept those rows from being forgotten.
drop index outbox_place;
create index outbox_number on outbox (lane, topic, partition, seq);

create view outbox_waiting as
select lane, topic, partition, coalesce(published_seq, 0) as following, next_seq - coalesce(published_seq, 0) as many
from outbox_lane left join outbox_mark using (lane, topic, partition)
where next_seq > coalesce(published_seq, 0);
comment on view outbox_waiting is 'what each lane has said and not published: from which number on, and how many';
