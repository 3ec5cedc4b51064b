"""The runtime: the only code that uses Kafka, and the only code that commits a transaction.

A service declares its consumers with :meth:`runtime.service.Service.consumer`. What the runtime promises is written
in ``docs/decisions/``.
"""

from runtime.application import Application
from runtime.errors import RetryLater, UnprocessableEvent
from runtime.handlers import Batch, DayPage, DayPageResult, InboundEvent, OutboundEvent
from runtime.observe.logs import log
from runtime.offload import run_in_thread
from runtime.publish.partitioner import partition_of
from runtime.service import Service
from runtime.settings import MissingSecret, Settings
from runtime.transaction import Record, Tx, columns

__all__ = [
    "Application",
    "Batch",
    "DayPage",
    "DayPageResult",
    "InboundEvent",
    "MissingSecret",
    "OutboundEvent",
    "Record",
    "RetryLater",
    "Service",
    "Settings",
    "Tx",
    "UnprocessableEvent",
    "columns",
    "log",
    "partition_of",
    "run_in_thread",
]
