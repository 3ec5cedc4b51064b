"""Said by notify: every responsible unit is told, once; alarms are said first and done second."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from contracts.event import Event, Sensitivity


class Notice(Event):
    """A line in a unit's inbox, in Chinese, without personal detail."""

    kind = "notify.Notice.v1"
    topic: ClassVar[str] = "notify.inbox.{unit}.v1"

    notice: UUID
    unit: str
    restricted: bool
    template: str
    text: str
    urgency: Literal["call", "urgent", "normal", "digest"]
    subject: UUID | None
    """The referral, proposal, duty, question or action it is about."""
    child: UUID | None
    due: datetime | None = None
    on: date

    @property
    def key(self) -> str:
        return str(self.notice)

    @property
    def topic_name(self) -> str:
        return f"notify.inbox.{self.unit}.restricted.v1" if self.restricted else f"notify.inbox.{self.unit}.v1"


class AlarmRaised(Event):
    """Somebody's duty officer must be reached now. Heard by notify itself, which then rings."""

    kind = "notify.AlarmRaised.v1"
    topic: ClassVar[str] = "notify.alarm.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    alarm: UUID
    unit: str
    trigger: Literal["l0", "escalated", "no_recipient"]
    subject: UUID | None
    text: str
    on: date

    @property
    def key(self) -> str:
        return str(self.alarm)


class AlarmDelivered(Event):
    """How the ringing went; ``alarm`` was the idempotency key."""

    kind = "notify.AlarmDelivered.v1"
    topic: ClassVar[str] = "notify.alarm.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    alarm: UUID
    channel: Literal["command", "webhook", "none"]
    outcome: Literal["done", "failed", "no_way_set"]
    detail: str = ""

    @property
    def key(self) -> str:
        return str(self.alarm)
