"""One installation of the demo county on the session's broker."""

import pytest
from confluent_kafka.admin import AdminClient

from contracts.county import County
from deploy import provision
from deploy.embedded.stack import LocalStack
from deploy.installation import Installation
from tests.county import demo_county


@pytest.fixture(scope="session")
def county() -> County:
    return demo_county()


@pytest.fixture(scope="session")
def installed(stack: LocalStack, county: County, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Return an installation of the demo county on the session's broker."""
    home = tmp_path_factory.mktemp("installed")
    made = Installation.prepare(
        home,
        county,
        4,
        bootstrap=stack.kafka.bootstrap,
        admin_password=stack.kafka.admin_password,
        postgres_host=str(stack.postgres.socket_directory),
        postgres_port=stack.postgres.port or 5432,
        postgres_admin=stack.postgres.superuser_dsn,
    )
    admin = AdminClient(made.kafka("admin"))
    # Other tests of the session may have made users of the same names; these passwords are ours.
    provision.provision_broker(admin, provision.broker_spec(county, 4), made.users, renew=made.users)
    return made
