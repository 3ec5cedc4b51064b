"""What a stranger at the command line and a house left to itself rely on, taken out one by one."""

from tests.guards.guard import Guard

_REFUSALS = "tests/cli/test_refusals.py::"
_HOUSE = "tests/cli/test_house.py::"

GUARDS = [
    Guard(
        "house: a wrong word shows no trace",
        "cli/main.py",
        "    except TyperException as error:",
        "    except ZeroDivisionError as error:",
        _REFUSALS + "test_a_wrong_word_is_answered_with_the_right_ones",
    ),
    Guard(
        "house: nobody waits for a broker that is not there",
        "cli/session.py",
        "        self.reach()\n        county = in_force",
        "        county = in_force",
        _REFUSALS + "test_servers_that_do_not_run_are_noticed_at_once",
    ),
    Guard(
        "house: a damaged file's text, which holds passwords, is not repeated",
        "cli/main.py",
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
        "deploy/health_probe.py",
        "                    os.kill(process, signal.SIGKILL)",
        "                    os.kill(process, 0)",
        _REFUSALS + "test_a_service_without_life_is_ended",
    ),
    Guard(
        "house: a new process is not ended for the silence of the one before",
        "deploy/health_probe.py",
        "            if answer == [] or process != known:",
        "            if answer == [] or known is None:",
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
        "deploy/embedded/__main__.py",
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
        "cli/trace.py",
        'notes.append(labels.result(body["result"]))',
        'notes.append(body["result"])',
        "tests/cli/test_labels.py::test_a_whole_story_shows_no_raw_code",
    ),
    Guard(
        "house: without a Docker Engine the suite on containers says one sentence",
        "tests/containers.py",
        "    except docker.errors.DockerException:",
        "    except ZeroDivisionError:",
        "tests/deploy/embedded/test_containers.py::test_without_an_engine_the_suite_on_containers_says_one_sentence",
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
        "cli/operations.py",
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
]
