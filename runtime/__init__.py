"""The plumbing: the only code that speaks Kafka and the only code that commits.

A service declares what it hears with FastStream's own subscribers and hands each batch to
:meth:`runtime.service.Service.apply`. What the runtime promises is written in ``docs/decisions/``.
"""

from runtime.aside import aside
from runtime.batches import Batch, Heard, Page, PageDone, Say
from runtime.errors import NotYet, Unprocessable
from runtime.logs import log
from runtime.partitions import partition_of
from runtime.service import Records, Service
from runtime.settings import MissingSecret, Settings
from runtime.transaction import Record, Tx

__all__ = [
    "Batch",
    "Heard",
    "MissingSecret",
    "NotYet",
    "Page",
    "PageDone",
    "Record",
    "Records",
    "Say",
    "Service",
    "Settings",
    "Tx",
    "Unprocessable",
    "aside",
    "log",
    "partition_of",
]
