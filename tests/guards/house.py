"""What a stranger at the command line and a house left to itself rely on, taken out one by one."""

from tests.guards.guard import Guard

_REFUSALS = "tests/cli/test_refusals.py::"
_HOUSE = "tests/cli/test_house.py::"
_PROGRESS = "tests/deploy/test_progress.py::"

GUARDS = [
    Guard(
        "house: a wrong word shows no trace",
        "deploy/cli.py",
        "    except TyperException as error:",
        "    except ZeroDivisionError as error:",
        _REFUSALS + "test_a_wrong_word_is_answered_with_the_right_ones",
    ),
    Guard(
        "house: nobody waits for a broker that is not there",
        "deploy/commands/house.py",
        "        self.reach()\n        county = in_force",
        "        county = in_force",
        _REFUSALS + "test_servers_that_do_not_run_are_noticed_at_once",
    ),
    Guard(
        "house: a damaged file's text, which holds passwords, is not repeated",
        "deploy/cli.py",
        "        if error.damaged:",
        "        if False:",
        _REFUSALS + "test_a_damaged_installation_is_named",
    ),
    Guard(
        "house: a damaged installation is not made anew over the old one",
        "deploy/installation.py",
        "            if error.damaged:",
        "            if False:",
        "tests/deploy/test_installation.py::test_a_damaged_installation_is_not_made_anew_over_the_old",
    ),
    Guard(
        "house: damaged secrets are not made anew",
        "deploy/installation.py",
        "        raise NoInstallationError(file.parent.parent, file, type(error).__name__) from None\n",
        "        return {} if error else {}\n",
        "tests/deploy/test_installation.py::test_damaged_secrets_are_told_and_never_made_anew",
    ),
    Guard(
        "house: a service without life is ended",
        "deploy/health.py",
        "                    os.kill(process, signal.SIGKILL)",
        "                    os.kill(process, 0)",
        _REFUSALS + "test_a_service_without_life_is_ended",
    ),
    Guard(
        "house: a new process is not ended for the silence of the one before",
        "deploy/health.py",
        "            if life is None or process != life.process:",
        "            if life is None:",
        _REFUSALS + "test_a_new_process_is_not_ended_for_the_silence_of_the_one_before",
    ),
    Guard(
        "house: how the duty officer is rung reaches notify",
        "deploy/installation.py",
        "        return told | {",
        "        return {",
        _REFUSALS + "test_what_the_ops_team_set_reaches_its_service_alone",
    ),
    Guard(
        "house: a broker that dies is started again",
        "deploy/local/__main__.py",
        "            if not server.running():",
        "            if name != 'Kafka' and not server.running():",
        _HOUSE + "test_a_killed_service_and_a_killed_broker_come_back",
    ),
    Guard(
        "house: a log that cannot be written stops nothing",
        "runtime/logs.py",
        "    stream: Any = Steady(sys.stderr)",
        "    stream: Any = sys.stderr",
        "tests/runtime/test_logs.py::test_a_log_that_cannot_be_written_stops_nothing",
    ),
    Guard(
        "house: a story shows no raw code",
        "deploy/commands/trace.py",
        'notes.append(words.result(body["result"]))',
        'notes.append(body["result"])',
        "tests/cli/test_words.py::test_a_whole_story_shows_no_raw_code",
    ),
    Guard(
        "house: without a Docker Engine the suite on containers says one sentence",
        "tests/containers.py",
        "    except docker.errors.DockerException:",
        "    except ZeroDivisionError:",
        "tests/local/test_containers.py::test_without_an_engine_the_suite_on_containers_says_one_sentence",
    ),
    Guard(
        "house: a number of processes that is none is refused",
        "deploy/installation.py",
        "if not said.isdecimal() or not least <= int(said) <= most:",
        "if False:",
        "tests/cli/test_refusals.py::test_settings_that_cannot_be_read_are_refused_by_name",
    ),
    Guard(
        "house: a second process of a service is looked at",
        "deploy/commands/operate.py",
        "answers = {process: troubles(installation, process) for process in installation.running(service)}",
        "answers = {process: troubles(installation, process) for process in [service]}",
        _HOUSE + "test_a_second_process_of_a_service_is_looked_at_too",
    ),
    Guard(
        "house: two processes do not listen on one port",
        "deploy/installation.py",
        "if other != process:",
        "if False:",
        _REFUSALS + "test_two_processes_are_not_told_to_listen_on_one_port",
    ),
    Guard(
        "house: a start that moves is waited for beyond the patience",
        "deploy/progress.py",
        "        if still > self._patience:",
        "        if whole > self._patience:",
        _PROGRESS + "test_a_broker_that_recovers_for_longer_than_the_patience_is_waited_for",
    ),
    Guard(
        "house: a repeated line of a log is no progress",
        "deploy/progress.py",
        "found.groups() for found in",
        "(*found.groups(), str(self._offset)) for found in",
        _PROGRESS + "test_only_what_a_log_has_not_said_before_counts",
    ),
    Guard(
        "house: the broker's log says what it recovers",
        "deploy/local/kafka.py",
        "logger.recovery.level = info",
        "logger.recovery.level = warn",
        "tests/local/test_stack.py::test_what_a_killed_broker_recovers_is_counted",
    ),
    Guard(
        "house: work that is given up is ended",
        "deploy/progress.py",
        "            running.cancel()\n            await asyncio.gather(running, return_exceptions=True)\n",
        "",
        _PROGRESS + "test_work_that_stands_still_is_cancelled",
    ),
    Guard(
        "house: a slow start is not ended while it makes progress",
        "deploy/health.py",
        "            elif life.shows(answer == []):",
        "            elif answer == []:",
        _REFUSALS + "test_a_process_is_not_ended_while_its_start_makes_progress",
    ),
    Guard(
        "house: an installation of another format is not run",
        "deploy/installation.py",
        "            if held != FORMAT:",
        "            if False:",
        "tests/deploy/test_installation.py::test_an_installation_of_another_format_is_refused_and_kept",
    ),
]
