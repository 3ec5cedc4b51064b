"""What the contracts promise, taken out one by one; and what may not slip in, put in."""

from tests.guards.guard import Guard

_SCHEMAS = "tests/contracts/test_schemas.py::"
_FLOW = "tests/contracts/test_flow.py::"
_TOPICS = "tests/contracts/test_topics.py::"
_ENVELOPE = "tests/contracts/test_envelope.py::"
_CARRY = "tests/contracts/test_what_events_carry.py::"
_GROWTH = _SCHEMAS + "test_no_change_of_any_event_passes_for_growth"

GUARDS = [
    Guard(
        "contracts: no field is removed",
        "contracts/schemas.py",
        '            yield f"{where}: removed"\n',
        "",
        _GROWTH,
    ),
    Guard(
        "contracts: no field that may be missing becomes required",
        "contracts/schemas.py",
        "        if name in must_now and name not in must:\n",
        "        if not name:\n",
        _GROWTH,
    ),
    Guard(
        "contracts: no field that readers need may be missing",
        "contracts/schemas.py",
        "        if name in must and name not in must_now:\n",
        "        if not name:\n",
        _GROWTH,
    ),
    Guard(
        "contracts: no new field is required",
        "contracts/schemas.py",
        "        if name not in before and name in must_now:",
        "        if not name:",
        _GROWTH,
    ),
    Guard(
        "contracts: no choice goes",
        "contracts/schemas.py",
        "                if value not in after:",
        "                if value is None:",
        _GROWTH,
    ),
    Guard(
        "contracts: no choice comes",
        "contracts/schemas.py",
        "                if value not in before:",
        "                if value is None:",
        _GROWTH,
    ),
    Guard(
        "contracts: no type, pattern or limit changes",
        "contracts/schemas.py",
        "        elif before != after:",
        '        elif before != after and word == "":',
        _GROWTH,
    ),
    Guard(
        "contracts: what is nested is compared too",
        "contracts/schemas.py",
        '    if "items" in old or "items" in new:',
        '    if "items" in old and "items" not in new:',
        _GROWTH,
    ),
    Guard(
        "contracts: an event that was published does not vanish",
        "contracts/schemas.py",
        '            found.append(f"{kind}: was published and is gone")\n',
        "",
        _SCHEMAS + "test_an_event_that_was_published_may_not_vanish",
    ),
    Guard(
        "contracts: a release is kept whatever became of the files",
        "contracts/schemas.py",
        '    tags = _git(folder, "tag", "--list", "v*")',
        '    tags = b""',
        _SCHEMAS + "test_what_was_released_or_committed_stays_published_whatever_became_of_the_files",
    ),
    Guard(
        "contracts: and so is what was committed",
        "contracts/schemas.py",
        '*(["HEAD"] if head else [])',
        "",
        _SCHEMAS + "test_what_was_released_or_committed_stays_published_whatever_became_of_the_files",
    ),
    Guard(
        "contracts: what is published is what the contracts say",
        "contracts/registry.py",
        "    questions: int = 0\n",
        "    questions: int = 0\n    remarks: int = 0\n",
        _SCHEMAS + "test_what_is_published_is_what_the_contracts_say",
    ),
    Guard(
        "contracts: a service hears what the story lets it hear",
        "services/notify/app.py",
        "        topics.REGISTRY_QUESTION.name,\n        **",
        "        topics.REGISTRY_QUESTION.name,\n        topics.REGISTRY_CHILD.name,\n        **",
        _FLOW + "test_a_service_subscribes_to_what_the_story_lets_it_hear",
    ),
    Guard(
        "contracts: however the topic is named",
        "services/notify/app.py",
        "        topics.REGISTRY_QUESTION.name,\n        **",
        '        topics.REGISTRY_QUESTION.name,\n        "registry.child.v1",\n        **',
        _FLOW + "test_a_service_subscribes_to_what_the_story_lets_it_hear",
    ),
    Guard(
        "contracts: a service says what the story lets it say",
        "services/notify/handlers.py",
        "def _once(",
        "def _settle() -> Event:\n    return MatchSettled()\n\n\ndef _once(",
        _FLOW + "test_a_service_makes_the_events_that_the_story_lets_it_say_and_no_others",
    ),
    Guard(
        "contracts: a service knows no event that is none of its business",
        "services/notify/handlers.py",
        "from contracts.registry import ",
        "from contracts.registry import ChildChanged, ",
        _FLOW + "test_a_service_knows_the_events_that_it_says_and_hears_and_no_others",
    ),
    Guard(
        "contracts: every event has its place in the story",
        "contracts/flow.py",
        '    _step(notify.AlarmRang, "notify", topics.ALARM, "notify", "done second"),\n',
        "",
        _FLOW + "test_every_event_has_its_place_in_the_story_once",
    ),
    Guard(
        "contracts: nothing flows backwards",
        "contracts/flow.py",
        '"eligibility", topics.ELIGIBILITY_CHILD, "referral"',
        '"eligibility", topics.ELIGIBILITY_CHILD, "referral registry"',
        _FLOW + "test_nothing_flows_backwards",
    ),
    Guard(
        "contracts: nobody may read what he does not hear",
        "contracts/topics.py",
        'ALARM = Topic("notify.alarm.v1", "alarm", ("notify",), ("notify",)',
        'ALARM = Topic("notify.alarm.v1", "alarm", ("notify",), ("notify", "referral")',
        _FLOW + "test_whoever_may_write_a_topic_says_something_on_it_and_whoever_may_read_it_hears_something",
    ),
    Guard(
        "contracts: a restricted inbox is for other eyes",
        "contracts/topics.py",
        '    ("notify",),\n    (UNIT + "-restricted",),',
        '    ("notify",),\n    (UNIT, UNIT + "-restricted"),',
        _TOPICS + "test_restricted_topics_of_units_are_read_by_other_eyes",
    ),
    Guard(
        "contracts: no event carries a text that could be anything",
        "contracts/registry.py",
        "    phone_reported_at: datetime | None = None\n",
        '    phone_reported_at: datetime | None = None\n    note: str = ""\n',
        _CARRY + "test_a_text_in_an_event_of_a_service_is_of_a_known_form_or_it_is_said_what_it_is",
    ),
    Guard(
        "contracts: no event of a service says who a child is",
        "contracts/registry.py",
        "    residence_division: str | None\n",
        "    residence_division: str | None\n    birth_date: date | None = None\n",
        _CARRY + "test_no_event_of_a_service_says_who_a_child_is",
    ),
    Guard(
        "contracts: an error never shows what was wrong",
        "contracts/event.py",
        "hide_input_in_errors=True",
        "hide_input_in_errors=False",
        _CARRY + "test_an_error_of_an_event_never_shows_what_was_wrong_with_it",
    ),
    Guard(
        "contracts: who was called is named by the county and by nobody else",
        "services/intake/domain/action.py",
        '    return "、".join([*sorted(longest), *lines]) or ELSEWHERE',
        '    return "、".join([*sorted(longest), *lines]) or station',
        "tests/intake/test_actions.py::"
        "test_who_was_called_is_passed_on_by_the_countys_name_for_it_and_nothing_else_that_was_typed",
    ),
    Guard(
        "contracts: the envelope is CloudEvents'",
        "contracts/event.py",
        '            ("ce_type", self.type),\n',
        '            ("ce_kind", self.type),\n',
        _ENVELOPE + "test_the_sdk_reads_what_we_write",
    ),
    Guard(
        "contracts: a header that is null is refused by name",
        "contracts/event.py",
        '            raise MalformedEnvelope(f"header {name} is null")',
        "            continue",
        _ENVELOPE + "test_what_is_wrong_is_named_and_never_shown",
    ),
    Guard(
        "contracts: the end of a whole file is broadcast",
        "contracts/intake.py",
        "    broadcast: ClassVar[bool] = True\n",
        "",
        "tests/registry/test_logs.py::test_an_unchanged_file_speaks_for_the_children_of_every_partition",
    ),
]
