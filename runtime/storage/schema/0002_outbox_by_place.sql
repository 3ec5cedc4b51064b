-- The relay takes the first rows of every output partition, so that much on one topic holds up nothing on another.
create index outbox_place on outbox (topic, partition, position);
