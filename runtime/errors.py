"""Errors that a handler may raise about an event, and errors that stop a partition or a process."""


class UnprocessableEvent(Exception):
    """The event can never be processed. It is parked with its key; later events of that key queue behind it.

    The message is stored and shown: ids and codes only, no personal data.
    """


class RetryLater(Exception):
    """No event can be processed yet. The transaction is rolled back and retried indefinitely."""


class Halt(Exception):
    """A partition must stop, because it would lose or reorder events. The other partitions continue."""


class SchemaMissing(Exception):
    """The service's schema is missing or older than this code. Remedy: ``python -m runtime SERVICE --migrate``."""


class OrdinalTaken(Exception):
    """Another process of this service has the same ordinal: each would fence the other off in Kafka."""


class UnknownTopic(Exception):
    """An event names a topic that ``contracts.topics`` does not have, or that this service may not write."""


class MissingTopics(Exception):
    """The broker lacks topics that this service reads, or they have another number of partitions."""
