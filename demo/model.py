"""What one run of the demo is made of: its options, what it holds on to, what became of it."""

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
    """What became of the service that was killed."""

    service: str
    process: int
    rows: int
    """Rows that were on their way."""
    recovery_seconds: float = 0.0
    """Until everything was at rest again."""


@dataclass(slots=True)
class DemoRun:
    """One run, and what it holds on to."""

    options: Options
    console: Console
    stack: LocalStack
    county: County
    truth: dict[str, Any]
    folder: Path
    """Where truth, workbooks and hand-overs are."""
    installation: Installation
    supervisor: Supervisor
    monitor: QuiescenceMonitor
    database: "asyncpg.Connection[asyncpg.Record]"
    simulator: Simulator
    sent: dict[str, str] = field(default_factory=dict)
    """Hand-over of the truth -> the submission under which it was sent."""
    agencies: list[AgencySystem] = field(default_factory=list)
    staff: CountyStaff | None = None
    kill: KilledService | None = None
    inboxes_at: dict[tuple[str, int], int] = field(default_factory=dict)
    supervisor_log: list[str] = field(default_factory=list)
    first_record_at: float = 0.0
    final_state: SystemState | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set when the demo ends, however it ends: nothing that runs beside it goes on."""
