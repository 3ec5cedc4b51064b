"""The process of one service as a FastStream application: its life cycle, its HTTP side, its AsyncAPI document."""

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from faststream.asgi import AsgiFastStream

from contracts.schemas import asyncapi
from runtime.errors import MissingTopics, OrdinalTaken, SchemaMissing
from runtime.observe import logs
from runtime.observe.logs import log
from runtime.operate.http import Observed, routes
from runtime.service import Service
from runtime.settings import MissingSecret, OpenSecrets, Settings

if TYPE_CHECKING:
    from faststream.specification.base import SpecificationFactory


class Application(AsgiFastStream):
    """Runs one service: ``faststream run services.<name>.app:app``, or ``python -m runtime <name>``."""

    def __init__(self, name: str, create: Callable[[Settings], Service], settings: Settings | None = None) -> None:
        """Create the application. ``settings``: those of the environment at start-up if None; none is read before."""
        self._name = name
        self._create = create
        self._settings = settings
        self.service: Service | None = None
        self.failure: str | None = None
        self.on_failure: Callable[[], None] = self.exit
        super().__init__(
            asgi_routes=routes(self._observed),
            logger=logging.getLogger("hutong.faststream"),
            on_startup=[self._start],
            after_startup=[self._work],
            on_shutdown=[self._leave],
            after_shutdown=[self._stop],
            specification=_specification(),
        )

    def _observed(self) -> Observed | None:
        return None if self.service is None else (self.service.health, self.service.metrics.registry)

    async def _start(self) -> None:
        try:
            settings = self._settings
            if settings is None:
                settings = Settings.from_environment()
                logs.configure(self._name, settings.ordinal, settings.log_level)
            self.service = self._create(settings)
            self.service.on_failure = self._fail
            self.add_broker(self.service.broker)
            await self.service.start()
        except (SchemaMissing, OrdinalTaken, MissingTopics, MissingSecret, OpenSecrets) as error:
            log.error("start_failed", reason=str(error))
            raise
        except Exception as error:
            log.error("start_failed", reason=type(error).__name__, exc_info=True)
            raise

    def _fail(self, reason: str) -> None:
        self.failure = reason
        self.on_failure()

    async def _work(self) -> None:
        assert self.service is not None
        self.service.work()

    async def _leave(self) -> None:
        if self.service is not None:
            await self.service.leave()

    async def _stop(self) -> None:
        if self.service is not None:
            await self.service.stop()


class PublishedContracts:
    """FastStream's specification: the AsyncAPI document of ``contracts.topics`` and ``contracts.flow``.

    What FastStream would derive from subscribers of raw records says nothing about their events.
    """

    title = "Hutong 护童"
    description = version = contact = license = None

    def add_broker(self, broker: object, /) -> Self:
        """Leave the broker out: the contracts describe the topics."""
        return self

    def add_http_route(self, path: str, handler: object) -> Self:
        """Leave the HTTP route out: it carries no events."""
        return self

    def to_specification(self) -> Self:
        """Return itself: FastStream asks its factory for the specification, and they are one object here."""
        return self

    def to_jsonable(self) -> Any:
        """Return the document as JSON values."""
        return asyncapi()

    def to_json(self) -> str:
        """Return the document as JSON text."""
        return json.dumps(asyncapi(), ensure_ascii=False, indent=2)

    def to_yaml(self) -> str:
        """Return the document as YAML text, of which JSON is a part."""
        return self.to_json()


def _specification() -> "SpecificationFactory":
    factory: Any = PublishedContracts()
    made: SpecificationFactory = factory
    return made
