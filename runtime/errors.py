"""Named failures: what a handler may raise about an event, and what stops a partition."""


class UnprocessableEvent(Exception):
    """The event can never work. It is parked with its key; later events of that key queue behind it.

    The message is stored and shown: ids and codes only, no personal data.
    """


class RetryLater(Exception):
    """It cannot work yet, whichever the event. The transaction rolls back and is retried indefinitely."""


class Halt(Exception):
    """A partition must not go on: doing so would lose or reorder something. Others go on."""


class SchemaMissing(Exception):
    """The service's schema is not there or older than this code. Remedy: ``python -m runtime SERVICE --migrate``."""


class OrdinalTaken(Exception):
    """Another process of this service has the same ordinal: each would fence the other off in Kafka."""


class UnknownTopic(Exception):
    """An event names a topic that ``contracts.topics`` does not have, or that this service may not write."""


class MissingTopics(Exception):
    """The broker lacks topics that this service reads, or they have another number of partitions."""
