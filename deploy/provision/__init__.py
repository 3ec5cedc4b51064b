"""Provisions the broker and the database from the contracts: topics, users, access lists, schemas and roles.

Everything is derived from ``contracts.topics`` and the county's units; no topic is named here. Provisioning is
idempotent, and :func:`compare` reads back what the broker holds.
"""

from deploy.provision.broker import SCRAM_ITERATIONS, Difference, compare, provision_broker
from deploy.provision.database import OPERATOR_ROLE, provision_database
from deploy.provision.errors import ProvisioningError
from deploy.provision.spec import MAX_RECORD_BYTES, BrokerSpec, Grant, broker_spec, county_topics, group_prefix

__all__ = [
    "MAX_RECORD_BYTES",
    "OPERATOR_ROLE",
    "SCRAM_ITERATIONS",
    "BrokerSpec",
    "Difference",
    "Grant",
    "ProvisioningError",
    "broker_spec",
    "compare",
    "county_topics",
    "group_prefix",
    "provision_broker",
    "provision_database",
]
