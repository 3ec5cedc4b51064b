"""The plumbing: the only code that speaks Kafka and the only code that commits.

A service declares what it hears with FastStream's own subscribers and hands each batch to
:meth:`runtime.service.Service.apply`. What the runtime promises is written in ``docs/decisions/``.
"""

from runtime.errors import RetryLater, UnprocessableEvent
from runtime.handlers import Batch, DayPage, DayPageResult, InboundEvent, OutboundEvent
from runtime.observe.logs import log
from runtime.offload import run_in_thread
from runtime.publish.partitioner import partition_of
from runtime.service import Records, Service
from runtime.settings import MissingSecret, Settings
from runtime.transaction import Record, Tx

__all__ = [
    "Batch",
    "DayPage",
    "DayPageResult",
    "InboundEvent",
    "MissingSecret",
    "OutboundEvent",
    "Record",
    "Records",
    "RetryLater",
    "Service",
    "Settings",
    "Tx",
    "UnprocessableEvent",
    "log",
    "partition_of",
    "run_in_thread",
]
