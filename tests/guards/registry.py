"""What the registry promises, taken out one by one."""

from tests.guards.guard import Guard

_MATCHING = "tests/registry/test_matching.py::"
_CABINET = "tests/registry/test_cabinet.py::"
_FACTS = "tests/registry/test_facts.py::"
_RECORDS = "tests/registry/test_records.py::"
_PERSONS = "tests/registry/test_persons.py::"
_FINDINGS = "tests/registry/test_findings.py::"
_DISCLOSURES = "tests/registry/test_disclosures.py::"
_PRIVACY = "tests/registry/test_privacy.py::"
_LOGS = "tests/registry/test_logs.py::"
_REGISTRY = "services/registry/"
_DOMAIN = "services/registry/domain/"

GUARDS = [
    # Who is who.
    Guard(
        "registry: a guardian's number joins, a phone only asks",
        _DOMAIN + "matching.py",
        "    if same_name and guardian_id:\n",
        "    if same_name and (guardian_id or phone):\n",
        _MATCHING + "test_the_ladder",
    ),
    Guard(
        "registry: a name that only sounds alike never joins",
        _DOMAIN + "matching.py",
        "    if same_name and guardian_id:\n",
        "    if guardian_id:\n",
        _MATCHING + "test_the_ladder",
    ),
    Guard(
        "registry: twins and siblings have names of their own",
        _DOMAIN + "matching.py",
        "    if not same_name and not _confusable(one, other, alike):\n",
        "    if not one.names:\n",
        _MATCHING + "test_the_ladder",
    ),
    Guard(
        "registry: a name and a birthday are no ground for a question",
        _DOMAIN + "matching.py",
        "    if guardian_id or guardian_name or phone:\n",
        "    if same_name or phone:\n",
        _MATCHING + "test_the_ladder",
    ),
    Guard(
        "registry: without a birth date nothing is compared",
        _DOMAIN + "matching.py",
        "    if one.birth_date is None or one.birth_date != other.birth_date:\n",
        "    if one.birth_date != other.birth_date:\n",
        _MATCHING + "test_without_a_birth_date_nothing_joins",
    ),
    Guard(
        "registry: two valid numbers are never joined, not even through a third record",
        _DOMAIN + "matching.py",
        "    return not one.numbers or not other.numbers or not one.numbers.isdisjoint(other.numbers)\n",
        "    return True\n",
        _MATCHING + "test_a_record_that_fits_two_numbers_goes_to_the_same_one_in_every_order",
    ),
    Guard(
        "registry: what a person keeps apart stays apart",
        _DOMAIN + "matching.py",
        "    if apart and any(frozenset((a, b)) in apart for a in one.holds for b in other.holds):\n",
        "    if apart and not one.holds and not other.holds:\n",
        _PERSONS + "test_what_is_split_never_joins_again_by_itself",
    ),
    Guard(
        "registry: a row whose number changed speaks of somebody else",
        _DOMAIN + "matching.py",
        "    if _starts_anew(before, now):\n        return now\n",
        "",
        _MATCHING + "test_a_row_whose_number_changes_speaks_of_somebody_else",
    ),
    Guard(
        "registry: what a spreadsheet left of a number is none",
        _REGISTRY + "vault.py",
        "if number and ID_DAMAGED not in flags else None",
        "if number else None",
        _MATCHING + "test_a_number_flagged_as_damaged_is_no_number",
    ),
    Guard(
        "registry: a mother's number is not the child's",
        _DOMAIN + "numbers.py",
        '    if birth_date is None or number[6:14] != f"{birth_date:%Y%m%d}":\n',
        "    if birth_date is None:\n",
        _MATCHING + "test_a_number_that_cannot_be_the_childs_is_no_number",
    ),
    Guard(
        "registry: an older version from another lane changes nothing",
        _DOMAIN + "cabinet.py",
        "        if seat is not None and reading.recorded_at < seat.recorded_at:\n",
        "        if seat is not None and reading.recorded_at is None:\n",
        _CABINET + "test_an_older_version_that_comes_late_is_ignored",
    ),
    Guard(
        "registry: a row that left the lane does not disappear in it",
        _DOMAIN + "cabinet.py",
        "        if source.lane != self.lane:\n            # Its birth date",
        "        if source.lane is None:\n            # Its birth date",
        _RECORDS + "test_what_the_old_lane_still_has_of_a_corrected_row_takes_nothing_away",
    ),
    Guard(
        "registry: what another lane changed meanwhile is read again",
        _REGISTRY + "desk.py",
        "            if self._forget_what_moved():\n                continue\n",
        "",
        _RECORDS + "test_a_record_that_changes_while_it_is_looked_at_is_looked_at_again",
    ),
    # What stands.
    Guard(
        "registry: newer validity stands, not newer arrival",
        _DOMAIN + "facts.py",
        "    return (\n        claim.valid_on,\n",
        "    return (\n        claim.recorded_on,\n",
        _FACTS + "test_what_arrives_later_about_an_earlier_day_does_not_stand",
    ),
    Guard(
        "registry: of one day who holds the fact stands",
        _DOMAIN + "facts.py",
        "        -holder(claim.name, claim.unit),\n",
        "",
        _FACTS + "test_of_one_day_the_unit_that_holds_the_fact_stands",
    ),
    Guard(
        "registry: an older row leaves the newer in place",
        _DOMAIN + "facts.py",
        "        kept = tuple(old for old in kept if old.valid_on > layer.valid_on)\n",
        "        kept = ()\n",
        _FACTS + "test_an_older_row_that_comes_late_changes_nothing_that_is_newer",
    ),
    Guard(
        "registry: who disappeared is not dated anew",
        _DOMAIN + "facts.py",
        "    if end is None or source.silent or end.number <= source.ended:\n",
        "    if end is None or end.number <= source.ended:\n",
        _RECORDS + "test_a_whole_file_dates_only_what_it_vouches_for",
    ),
    Guard(
        "registry: a part of a file vouches for its own rows only",
        _REGISTRY + "handlers.py",
        ' and event.coverage == "full":\n',
        ":\n",
        _RECORDS + "test_a_whole_file_dates_only_what_it_vouches_for",
    ),
    Guard(
        "registry: a grade is one of its school year",
        _DOMAIN + "cabinet.py",
        "                or laid.days != was.days\n",
        "",
        _RECORDS + "test_a_grade_that_stands_in_the_next_school_years_file_is_news",
    ),
    Guard(
        "registry: what a person found of the guardianship is weighed by days",
        _DOMAIN + "facts.py",
        "    if FactName.GUARDIAN_STATUS in by_name:\n",
        "    if FactName.GUARDIAN_STATUS not in by_name and None in by_name:\n",
        _RECORDS + "test_what_stands_in_a_file_after_a_persons_finding_is_news",
    ),
    Guard(
        "registry: a contradiction is reported once",
        _DOMAIN + "cabinet.py",
        "            new = [(name, units) for name, units in laid.contradictions if name not in file.told]\n",
        "            new = list(laid.contradictions)\n",
        _RECORDS + "test_departments_that_contradict_are_reported_once",
    ),
    Guard(
        "registry: unchanged content says nothing",
        _REGISTRY + "desk.py",
        "            if stored is None or stored.said != digest:\n",
        "            if digest:\n",
        _RECORDS + "test_identical_content_is_not_said_twice",
    ),
    Guard(
        "registry: a row that is as it was is not opened again",
        _REGISTRY + "handlers.py",
        "        if known.get(event.record) == event.content:\n",
        "        if known.get(event.record) is None and event.content is None:\n",
        _RECORDS + "test_a_row_that_is_as_it_was_is_not_opened_again",
    ),
    Guard(
        "registry: of who a child is the newer validity counts too",
        _REGISTRY + "desk.py",
        "            identity = identity | part if day >= newest else part | identity\n",
        "            identity = identity | part\n",
        _RECORDS + "test_of_who_a_child_is_the_newer_validity_counts_not_the_newer_arrival",
    ),
    Guard(
        "registry: a version counts each event once",
        _DOMAIN + "cabinet.py",
        "        if self.touched.get(file.child) != n:\n",
        "        if self.touched.get(file.child) != -1:\n",
        _CABINET + "test_every_event_counts_once_for_the_child_it_is_about",
    ),
    Guard(
        "registry: decisions have their own day, whatever the batch",
        _REGISTRY + "desk.py",
        "                    asked_on.setdefault(question.question, self.heard(n).on)\n",
        "                    asked_on[question.question] = self.heard(max(cabinet.touched.values())).on\n",
        _PERSONS + "test_a_decision_is_on_record_with_its_own_day_and_its_own_file",
    ),
    # What persons decide.
    Guard(
        "registry: a merge holds its records together",
        _DOMAIN + "cabinet.py",
        "        self._hold_together(n, survivor, absorbed)\n",
        "",
        _PERSONS + "test_after_a_merge_by_a_person_its_rows_stay_together",
    ),
    Guard(
        "registry: a question is answered once",
        _DOMAIN + "cabinet.py",
        '            self._say(n, Refused(found.child, "already_settled"))\n            return None\n',
        "            pass\n",
        _PERSONS + "test_a_question_is_answered_once",
    ),
    Guard(
        "registry: a question is answered by the unit it was put to",
        _REGISTRY + "handlers.py",
        "            if asked[question] != event.unit:\n",
        "            if question not in asked:\n",
        _PERSONS + "test_a_question_is_answered_by_the_unit_it_was_put_to",
    ),
    Guard(
        "registry: what came while two files were one goes where it would have gone",
        _DOMAIN + "cabinet.py",
        "        late = set(file.records) - held - reported if held else set()\n",
        "        late: set[UUID] = set()\n",
        _PERSONS + "test_what_came_while_two_files_were_one_goes_where_it_would_have_gone",
    ),
    Guard(
        "registry: whoever could not join the two joins the one that it fits",
        _DOMAIN + "cabinet.py",
        "        self._rearrange(n, {file.child, target.child}, file.opened_at)\n",
        "",
        _PERSONS + "test_whoever_could_not_join_the_two_joins_the_one_that_it_fits",
    ),
    Guard(
        "registry: a question asked of two files as one goes to the one that it is about",
        _DOMAIN + "cabinet.py",
        "        if theirs and not set(question.evidence) <= set(mine):\n",
        "        if not theirs and not mine:\n",
        _PERSONS + "test_a_question_asked_of_two_files_as_one_goes_to_the_one_that_it_is_about",
    ),
    Guard(
        "registry: who was seen is remembered of the file that was named",
        _DOMAIN + "cabinet.py",
        "            confirmed=tuple(one for one in file.confirmed if one not in tree),\n",
        "",
        _PERSONS + "test_who_was_seen_is_remembered_of_the_file_that_was_named",
    ),
    Guard(
        "registry: findings go back with the file that they are about",
        _DOMAIN + "cabinet.py",
        "        for child in file.absorbs:\n            tree |= self._tree(self._at(child))\n",
        "",
        _PERSONS + "test_findings_of_a_file_within_a_file_go_back_with_it",
    ),
    Guard(
        "registry: lanes that touch one child may come at any pace",
        _DOMAIN + "cabinet.py",
        "        return leaving | reported | (set(target.brought) - late), late\n",
        "        return leaving | reported | set(target.brought), late\n",
        _LOGS + "test_lanes_that_touch_one_child_may_come_at_any_pace",
    ),
    # The express way.
    Guard(
        "registry: a finding goes on though its identity does not open",
        _REGISTRY + "handlers.py",
        "            rows.append((event.finding, None, event.identity.encode()))\n            continue\n",
        "            raise\n",
        _FINDINGS + "test_a_finding_whose_identity_does_not_open_goes_on_all_the_same",
    ),
    # Disclosure.
    Guard(
        "registry: only what the route's whitelist names",
        _REGISTRY + "disclosing.py",
        "    fields = {name: identity[name] for name in sorted(identity) if name in to.whitelist}\n",
        "    fields = {name: identity[name] for name in sorted(identity)}\n",
        _DISCLOSURES + "test_the_agency_reads_the_fields_of_its_route_and_no_others",
    ),
    Guard(
        "registry: gone when the referral closes",
        _DOMAIN + "disclosure.py",
        "        takes_back=had if had != unit else None,\n",
        "        takes_back=had if had != unit and unit is not None else None,\n",
        _DISCLOSURES + "test_batches_of_any_size_disclose_the_same",
    ),
    Guard(
        "registry: gone is said once more when the day turns",
        _REGISTRY + "disclosing.py",
        "    return replace(of, digest=None, gone_from=tuple(sorted({*of.gone_from, unit})))\n",
        "    return replace(of, digest=None)\n",
        _DISCLOSURES + "test_what_is_gone_is_said_once_more_when_the_day_turns",
    ),
    Guard(
        "registry: what turns out to be somebody else's is taken back",
        _REGISTRY + "disclosing.py",
        "        return to if to.digest is None else _take_back(heard, to, to.unit, said)\n",
        "        return to\n",
        _DISCLOSURES + "test_what_turns_out_to_be_somebody_elses_is_taken_back",
    ),
    Guard(
        "registry: an older move of a referral changes nothing",
        _DOMAIN + "disclosure.py",
        "    if before is not None and version <= before.version:\n        return None\n",
        "",
        _DISCLOSURES + "test_moves_that_change_nobody_disclose_nothing",
    ),
    # Names.
    Guard(
        "registry: identity is stored encrypted",
        _REGISTRY + "vault.py",
        "    return nonce + key.cipher.encrypt(nonce, written(identity), belongs_to.bytes)\n",
        "    return written(identity)\n",
        _PRIVACY + "test_no_table_shows_a_name_a_number_or_a_phone",
    ),
    Guard(
        "registry: a key for each child",
        _REGISTRY + "vault.py",
        "        key = os.urandom(32)\n",
        "        key = bytes(32)\n",
        _PRIVACY + "test_a_key_opens_only_what_it_was_given_for",
    ),
    Guard(
        "registry: lookups by a hash that needs the county's key",
        _REGISTRY + "vault.py",
        'hmac.digest(self.lookup_key, words.encode(), "sha256")',
        'hmac.digest(b"registry", words.encode(), "sha256")',
        _PRIVACY + "test_without_the_countys_keys_nobody_finds_a_child_again",
    ),
    Guard(
        "registry: a child's id cannot be made without the county's secret",
        _REGISTRY + "vault.py",
        'hmac.digest(self.child_id_key, words.encode(), "sha256")',
        'hmac.digest(b"registry", words.encode(), "sha256")',
        _PRIVACY + "test_without_the_countys_keys_nobody_finds_a_child_again",
    ),
    Guard(
        "registry: a phone finds only children born that day",
        _REGISTRY + "vault.py",
        'digest(f"phone\\x1f{born}\\x1f{phone}")',
        'digest(f"phone\\x1f{phone}")',
        _MATCHING + "test_siblings_born_on_other_days_never_meet",
    ),
    Guard(
        "registry: a destroyed child is never taken up again",
        _DOMAIN + "cabinet.py",
        "        return None if seat is None or self._at(seat.child).destroyed else seat\n",
        "        return seat\n",
        _PRIVACY + "test_a_destroyed_child_is_never_taken_up_again",
    ),
    Guard(
        "registry: nobody acts on a destroyed child",
        _DOMAIN + "cabinet.py",
        "            if file.destroyed:\n                return None\n",
        "",
        _PRIVACY + "test_nobody_acts_on_a_destroyed_child",
    ),
    Guard(
        "registry: nothing that is left opens a destroyed child",
        _REGISTRY + "store.py",
        '    "DELETE FROM child_key WHERE child_id = ANY($1::uuid[])",\n',
        "",
        _PRIVACY + "test_without_its_key_a_child_is_unreadable",
    ),
    Guard(
        "registry: what agencies have of a destroyed child is taken back",
        _REGISTRY + "store.py",
        "gone_from = array_append(array_remove(gone_from, unit), unit)",
        "gone_from = gone_from",
        _DISCLOSURES + "test_what_was_disclosed_of_a_destroyed_child_is_taken_back_when_the_day_turns",
    ),
]
