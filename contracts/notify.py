"""Events of notify: each responsible unit is notified once. An alarm is recorded before it is delivered."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from contracts.event import Event, Sensitivity


class Notice(Event):
    """A message in a unit's inbox, in Chinese, without personal data."""

    kind = "notify.Notice.v1"
    topic: ClassVar[str] = "notify.inbox.{unit}.v1"

    notice: UUID
    unit: str
    restricted: bool
    """True if it goes to the unit's inbox for restricted matters."""
    template: str
    """The id of the text's template."""
    text: str
    """The message, in Chinese."""
    urgency: Literal["call", "urgent", "normal", "digest"]
    """`call`: telephone first; `digest`: several messages of the day in one."""
    subject: UUID | None
    """The referral, proposal, duty, review or action that the message is about."""
    child: UUID | None
    due: datetime | None = None
    """When the unit must have acted."""
    on: date
    """The county day of the message."""

    @property
    def key(self) -> str:
        return str(self.notice)

    @property
    def topic_name(self) -> str:
        return f"notify.inbox.{self.unit}.restricted.v1" if self.restricted else f"notify.inbox.{self.unit}.v1"


class AlarmRaised(Event):
    """A unit's duty officer must be reached now. Notify consumes this event itself and delivers the alarm."""

    kind = "notify.AlarmRaised.v1"
    topic: ClassVar[str] = "notify.alarm.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    alarm: UUID
    """The id of the alarm, which is also the idempotency key of its delivery."""
    unit: str
    """The unit whose duty officer is called."""
    trigger: Literal["l0", "escalated", "no_recipient"]
    """Why: a level-0 finding, a missed due date, or a unit without a recipient."""
    subject: UUID | None
    text: str
    """The message to deliver, in Chinese, without personal data."""
    on: date

    @property
    def key(self) -> str:
        return str(self.alarm)


class AlarmDelivered(Event):
    """The outcome of delivering an alarm; ``alarm`` is the idempotency key."""

    kind = "notify.AlarmDelivered.v1"
    topic: ClassVar[str] = "notify.alarm.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    alarm: UUID
    channel: Literal["command", "webhook", "none"]
    outcome: Literal["done", "failed", "no_channel"]
    """``no_channel``: no channel is configured."""
    detail: str = ""
    """The channel's error, if it failed."""

    @property
    def key(self) -> str:
        return str(self.alarm)
