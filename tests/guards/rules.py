"""Rules of imports and of read and write access. Each rule is broken once, and the violation must be detected."""

from tests.guards.guard import Guard

_IMPORTS = "tests/guards/test_imports.py::test_an_import_rule_is_kept"
_PROVISION = "tests/deploy/test_provision.py::"
_DOMAIN = "tests/guards/test_domain.py::"

GUARDS = [
    Guard(
        "rules: services do not import each other",
        "services/referral/handlers.py",
        "from services.referral import actions, routing, store",
        "import services.registry.store\nfrom services.referral import actions, routing, store",
        _IMPORTS + "[Services do not import each other]",
    ),
    Guard(
        "rules: the runtime imports only the contracts",
        "runtime/errors.py",
        "class UnprocessableEvent(Exception):",
        "import services\n\n\nclass UnprocessableEvent(Exception):",
        _IMPORTS + "[Each layer imports only those below it]",
    ),
    Guard(
        "rules: the workbook reader is a layer below the services",
        "workbooks/reader.py",
        "from workbooks.headers import fold\n",
        "from services.intake.domain.text import Cell\nfrom workbooks.headers import fold\n",
        _IMPORTS + "[Each layer imports only those below it]",
    ),
    Guard(
        "rules: the county's data is a layer below the services",
        "county/requirements.py",
        "from dataclasses import dataclass\n",
        "from dataclasses import dataclass\nfrom services.eligibility.domain.parameters import COUNTY_TERMS\n",
        _IMPORTS + "[Each layer imports only those below it]",
    ),
    Guard(
        "rules: no two modules import each other",
        "deploy/embedded/jars.py",
        "import sys\n",
        "import sys\n\nimport deploy.embedded.archive\n",
        _IMPORTS + "[No two modules import each other]",
    ),
    Guard(
        "rules: no two modules of a service import each other",
        "services/referral/domain/gaps.py",
        "from contracts.vocabulary import FindingCode, Level\n",
        "import services.referral.domain.child_case\nfrom contracts.vocabulary import FindingCode, Level\n",
        _IMPORTS + "[No two modules import each other]",
    ),
    Guard(
        "rules: production never imports the demo",
        "deploy/install.py",
        "import services\n",
        "import demo.data.population\nimport services\n",
        _IMPORTS + "[Production never imports the demo]",
    ),
    Guard(
        "rules: a unit's own client imports nothing of Hutong",
        "client/kafka_client.py",
        "import json\n",
        "import json\nfrom contracts import topics\n",
        _IMPORTS + "[A unit's own client imports nothing of Hutong]",
    ),
    Guard(
        "rules: the command line imports no service",
        "cli/labels.py",
        "from services.intake.labels import TEXTS as PROBLEMS\n",
        "from services.intake.labels import TEXTS as PROBLEMS\nfrom services.registry.domain import matching\n",
        _IMPORTS + "[The command line imports only the named modules of a service]",
    ),
    Guard(
        "rules: decisions do not import storage",
        "services/referral/domain/calendar.py",
        "from datetime import UTC",
        "import asyncpg\nfrom datetime import UTC",
        _IMPORTS + "[Domain packages import no framework, storage or wire format]",
    ),
    Guard(
        "rules: only the runtime imports aiokafka",
        "services/intake/handlers.py",
        "from runtime import Batch",
        "import aiokafka\nfrom runtime import Batch",
        _IMPORTS + "[Services, contracts and county data import no Kafka client]",
    ),
    Guard(
        "rules: deployment does not consume",
        "deploy/quiescence.py",
        "import asyncpg\n",
        "import aiokafka\nimport asyncpg\n",
        _IMPORTS + "[Deployment, the command line and the demo do not import aiokafka]",
    ),
    Guard(
        "rules: contracts import no framework",
        "contracts/clock.py",
        "from contracts.event import Event\n",
        "import asyncpg\nfrom contracts.event import Event\n",
        _IMPORTS + "[Contracts import no framework]",
    ),
    Guard(
        "rules: services do not import FastStream",
        "services/notify/handlers.py",
        "from runtime import Batch",
        "import faststream\nfrom runtime import Batch",
        _IMPORTS + "[Services do not import FastStream]",
    ),
    Guard(
        "rules: inside the runtime publishing does not consume",
        "runtime/publish/relay.py",
        "from runtime.settings import Settings\n",
        "from runtime.consume import decode\nfrom runtime.settings import Settings\n",
        _IMPORTS + "[Inside the runtime each layer imports only those below it]",
    ),
    Guard(
        "rules: a partition does not import the service",
        "runtime/consume/partition.py",
        "from runtime.subscription import Subscription\n",
        "from runtime.service import Service\nfrom runtime.subscription import Subscription\n",
        _IMPORTS + "[The parts of the runtime do not import its service and application]",
    ),
    Guard(
        "rules: decisions import only the listed modules",
        "services/registry/domain/matching.py",
        "from datetime import date\n",
        "import sqlite3\nfrom datetime import date\n",
        _DOMAIN + "test_decisions_import_the_standard_library_the_vocabulary_and_named_pure_libraries_only",
    ),
    Guard(
        "rules: no service reads the system clock",
        "services/referral/handlers.py",
        "async def on_day(page: DayPage, tx: Tx) -> DayPageResult:\n",
        "async def on_day(page: DayPage, tx: Tx) -> DayPageResult:\n    __import__('time').time()\n",
        _DOMAIN + "test_no_service_reads_the_clock_or_a_random_number",
    ),
    Guard(
        "rules: a reader may not write",
        "deploy/provision/spec.py",
        '        yield Grant(reader, "topic", topic.name, "READ")\n',
        '        yield Grant(reader, "topic", topic.name, "READ")\n'
        '        yield Grant(reader, "topic", topic.name, "WRITE")\n',
        _PROVISION + "test_every_writer_and_reader_of_every_topic_has_a_grant",
    ),
    Guard(
        "rules: a surplus access is reported",
        "deploy/provision/broker.py",
        "        surplus_grants=frozenset(held.keys() - spec.grants),\n",
        "",
        _PROVISION + "test_a_surplus_grant_is_detected_and_removed",
    ),
    Guard(
        "rules: a grant of another form counts as an access",
        "deploy/provision/broker.py",
        'name = binding.name if right_form else f"{binding.name} ({form})"',
        "name = binding.name",
        _PROVISION + "test_a_grant_of_another_form_is_detected_and_removed",
    ),
    Guard(
        "rules: no other principal joins a service's consumer group",
        "deploy/provision/spec.py",
        "        prefix = group_prefix(principal)\n",
        '        prefix = "hutong."\n',
        _PROVISION + "test_each_kind_of_access_is_allowed_or_denied_as_listed",
    ),
    Guard(
        "rules: no role reads another service's schema",
        "deploy/provision/database.py",
        '    await inside.execute(f"GRANT CONNECT ON DATABASE {place} TO {role}")\n',
        '    await inside.execute(f"GRANT CONNECT ON DATABASE {place} TO {role}")\n'
        '    await inside.execute(f"GRANT pg_read_all_data TO {role} WITH INHERIT TRUE")\n',
        _PROVISION + "test_no_role_reads_another_service_s_schema",
    ),
    Guard(
        "rules: the operator writes nothing",
        "deploy/provision/database.py",
        'GRANT SELECT ON TABLES TO {operator}"',
        'GRANT ALL ON TABLES TO {operator}"',
        _PROVISION + "test_the_operator_reads_every_schema_and_writes_none",
    ),
]
