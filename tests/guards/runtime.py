"""The runtime's guards, each with the test that notices its removal."""

from tests.guards.guard import Guard

_ONCE = "tests/runtime/test_exactly_once.py::"
_READER = "tests/runtime/test_reader.py::"
_PARKING = "tests/runtime/test_parking.py::"
_DAYS = "tests/runtime/test_days.py::"
_WATCH = "tests/runtime/test_watch.py::"
_PROCESS = "tests/runtime/test_process.py::"
_PARTS = "tests/runtime/test_parts.py::"

GUARDS = [
    Guard(
        "the fence drops what the cursor has passed",
        "runtime/lane.py",
        "fresh = raws if raws[0].offset >= next_offset else [raw for raw in raws if raw.offset >= next_offset]",
        "fresh = raws",
        "tests/runtime/test_lane.py::test_records_polled_again_are_fenced",
    ),
    Guard(
        "state and cursor move in one transaction",
        "runtime/tables.py",
        "set next_offset = $4, poison_run = $5",
        "set next_offset = $4 - 1, poison_run = $5",
        _ONCE + "test_a_process_killed_there_loses_and_doubles_nothing[after_commit]",
    ),
    Guard(
        "the reader drops numbers it has had",
        "runtime/reader.py",
        "        if sequence <= known.last_seq:\n            return Turn.HAD\n",
        "",
        _ONCE + "test_two_hops_apply_every_event_once_and_in_order_and_its_repetition_not_at_all",
    ),
    Guard(
        "the reader takes only the next number",
        "runtime/reader.py",
        "if sequence > known.last_seq + 1:",
        "if sequence > known.last_seq + 1_000_000:",
        _READER + "test_what_comes_too_early_is_taken_when_its_turn_comes",
    ),
    Guard(
        "a whole log begins with number 0",
        "runtime/reader.py",
        "start = 0 if self._from_first else sequence",
        "start = sequence",
        _READER + "test_a_first_number_that_is_not_the_first_is_not_taken_from_a_whole_log",
    ),
    Guard(
        "a hole that stays halts",
        "runtime/tables.py",
        "where consumer = $1 and hole_since < clock_timestamp() - make_interval(secs => $2)",
        "where consumer = $1 and $2 < 0 and hole_since is not null",
        _READER + "test_a_hole_that_stays_halts_its_partition_and_no_other",
    ),
    Guard(
        "the relay marks what it has published",
        "runtime/relay.py",
        "                    await self._mark(session, sent)\n",
        "",
        _ONCE + "test_two_hops_apply_every_event_once_and_in_order_and_its_repetition_not_at_all",
    ),
    Guard(
        "infrastructure is never held against an event",
        "runtime/database.py",
        'return not str(error.sqlstate or "").startswith(_ABOUT_THE_EVENT)',
        "return False",
        _PARTS + "test_only_what_an_event_can_cause_is_held_against_it",
    ),
    Guard(
        "a failing event is looked for by halving",
        "runtime/lane.py",
        "        middle = len(events) // 2\n",
        "        for one in events:\n            self._park(work, one, raws[one.offset], OSError())\n"
        "        return []\n        middle = 0\n",
        _PARKING + "test_one_bad_event_parks_its_name_in_order_and_no_other[unprocessable]",
    ),
    Guard(
        "what follows a parked event queues behind it",
        "runtime/lane.py",
        "held = work.parked.holds(*self._keys(read)) if work.parked.keys else None",
        "held = None",
        _PARKING + "test_one_bad_event_parks_its_name_in_order_and_no_other[unprocessable]",
    ),
    Guard(
        "within its own batch too",
        "runtime/lane.py",
        "            held = work.parked.holds(*self._keys(heard))\n",
        "            held = None\n",
        _PARKING + "test_one_bad_event_parks_its_name_in_order_and_no_other[bug]",
    ),
    Guard(
        "a value over the broker's limit is refused",
        "runtime/outbox.py",
        "if value is not None and len(value) > self._max_bytes:",
        "if value is None and self._max_bytes < 0:",
        _PARTS + "test_a_value_over_the_brokers_limit_is_refused_before_it_is_committed",
    ),
    Guard(
        "what is no event is sealed",
        "runtime/parking.py",
        "return [batch.seal(_packed(raw), _place(consumer, raw.topic, raw.partition, raw.offset)) for raw in raws]",
        'return [_packed(raw) + (raw.value or b"") for raw in raws]',
        _PARKING + "test_what_is_no_event_is_buried_sealed_and_its_neighbours_go_on",
    ),
    Guard(
        "what is parked is encrypted",
        "runtime/parking.py",
        "        if self._parking is None:\n            return _CLEAR + plain\n",
        '        return _CLEAR + plain + (raw.value or b"")\n',
        _PARKING + "test_an_event_of_a_future_version_or_of_a_wrong_shape_is_parked",
    ),
    Guard(
        "too many bad events in a row halt",
        "runtime/parking.py",
        "            if run > self.limit:\n",
        "            if run > self.limit + 1_000_000:\n",
        _PARKING + "test_too_many_bad_events_in_a_row_halt_the_partition_and_no_other",
    ),
    Guard(
        "a topic made anew is noticed",
        "runtime/standing.py",
        "if found.topic_id != topic_id:",
        "if found.partitions < 0:",
        _WATCH + "test_a_topic_made_anew_halts_its_partitions",
    ),
    Guard(
        "a changed number of partitions is noticed",
        "runtime/standing.py",
        "if found.partitions != partitions:",
        "if found.partitions < 0:",
        _PARTS + "test_a_partition_that_is_no_longer_what_it_was_says_why",
    ),
    Guard(
        # The lane sees the jump too, when a record comes; this one needs none to come.
        "lost records are noticed before another comes",
        "runtime/standing.py",
        "if first_offset > next_offset and not compacted:",
        "if first_offset < 0:",
        _PARTS + "test_a_partition_that_is_no_longer_what_it_was_says_why",
    ),
    Guard(
        "a lane waits for its day's work",
        "runtime/lane.py",
        "        if work.marked:\n            self._consumer.block(self.topic, self.partition)\n",
        "        if work.marked:\n            self._service.days.kick()\n",
        _DAYS + "test_what_follows_the_mark_waits_for_the_days_work",
    ),
    Guard(
        "all upstream lanes must have marked the day",
        "runtime/lane.py",
        "if len(of_writer) >= lanes else None",
        "if of_writer else None",
        _DAYS + "test_a_lane_waits_for_the_others_before_its_page_turns",
    ),
    Guard(
        "a day's work goes on where it stopped",
        "runtime/days.py",
        'return state["work_day"], state["resume"]',
        'return state["work_day"], None',
        _DAYS + "test_a_days_work_goes_on_where_it_was_killed[before_page]",
    ),
    Guard(
        "missed days are caught up in order",
        "runtime/days.py",
        'return state["day"] + timedelta(days=1), None',
        "return target, None",
        _DAYS + "test_a_missed_day_is_caught_up_in_order",
    ),
    Guard(
        "a mark is refused where nobody may set one",
        "runtime/reader.py",
        "        if kind is DayTurned and not self._marks:\n",
        "        if kind is DayTurned and self._marks is None:\n",
        _DAYS + "test_a_mark_on_a_topic_that_carries_no_days_is_refused",
    ),
    Guard(
        "a unit's numbers are not believed",
        "runtime/reader.py",
        "return not self._units_write and envelope.lane is not None and envelope.sequence is not None",
        "return envelope.lane is not None and envelope.sequence is not None",
        _PROCESS + "test_a_unit_that_is_added_is_heard_and_parks_by_its_own_key",
    ),
    Guard(
        "one relay works at a time",
        "runtime/relay.py",
        '"select pg_try_advisory_lock($1, hashtext($2))", _LOCK_SPACE, self._service):',
        "\"select $1 <> 0 and $2 <> ''\", _LOCK_SPACE, self._service):",
        _PROCESS + "test_two_relays_at_once_is_one_relay",
    ),
    Guard(
        "an old schema is refused",
        "runtime/migrations.py",
        "return wanted <= applied",
        "return True",
        _PROCESS + "test_a_process_with_an_old_schema_says_so_and_ends",
    ),
]
