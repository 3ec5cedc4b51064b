"""The options, resources and results of one run of the demo."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console

from contracts.county import County
from demo.actors.agency import AgencySystem
from demo.actors.county_staff import CountyStaff
from deploy.clock import Simulator
from deploy.embedded.stack import LocalStack
from deploy.installation import Installation
from deploy.quiescence import QuiescenceMonitor, SystemState
from deploy.supervisor import Supervisor


class DemoError(Exception):
    """The demo cannot go on. One plain sentence."""


@dataclass(frozen=True, slots=True)
class Options:
    children: int = 400
    seed: int = 7
    days: int = 122
    keep: bool = False
    home: Path = Path(".hutong") / "demo"


@dataclass(slots=True)
class KilledService:
    """The service that was killed, and its recovery."""

    service: str
    process: int
    rows: int
    """Rows that were being processed."""
    recovery_seconds: float = 0.0
    """Seconds until the system was idle again."""


@dataclass(slots=True)
class DemoRun:
    """One run of the demo and its resources."""

    options: Options
    console: Console
    stack: LocalStack
    county: County
    truth: dict[str, Any]
    folder: Path
    """Folder of the ground truth, the workbooks and the events to send."""
    installation: Installation
    supervisor: Supervisor
    monitor: QuiescenceMonitor
    database: "asyncpg.Connection[asyncpg.Record]"
    simulator: Simulator
    sent: dict[str, str] = field(default_factory=dict)
    """Submission id in the ground truth -> the id under which it was sent."""
    agencies: list[AgencySystem] = field(default_factory=list)
    staff: CountyStaff | None = None
    kill: KilledService | None = None
    inboxes_at: dict[tuple[str, int], int] = field(default_factory=dict)
    supervisor_log: list[str] = field(default_factory=list)
    first_record_at: float = 0.0
    final_state: SystemState | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set when the demo ends for any reason, so that its background threads end too."""
