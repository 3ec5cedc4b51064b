"""The settings of a service process, from its environment (``HUTONG_*``)."""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Self, get_args, get_type_hints


class MissingSecret(KeyError):
    """The secrets file has no such entry. Names the entry, never a value."""

    def __str__(self) -> str:
        return f"the secrets file has no {self.args[0]}"


class OpenSecrets(PermissionError):
    """The secrets file can be read by others. Remedy: ``chmod 600``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A service's settings. Durations are seconds, sizes bytes."""

    kafka: str = "127.0.0.1:9092"
    """Bootstrap servers, comma separated."""
    kafka_user: str | None = None
    """SCRAM-SHA-512 principal. None: a broker without access control (single tests)."""
    kafka_password: str | None = field(default=None, repr=False)
    postgres: str = field(default="postgresql:///hutong", repr=False)
    """Data source name. The role is the service's own."""
    county: str = "341722"
    partitions: int = 4
    """Partitions of each topic that services share; never changed in place."""
    ordinal: int = 0
    """Number of this process among those of its service; it makes the static member ids unique."""
    http_port: int = 0
    """Health and metrics, on 127.0.0.1. 0: any free port, written to ``state_file``."""
    state_file: Path | None = None
    """Where the process writes ``{"pid": ..., "port": ...}`` as soon as it listens."""
    secrets_file: Path | None = None
    max_records: int = 1000
    """The largest batch of one partition."""
    bulk_batch_records: int = 4000
    """The largest batch of a consumer that lingers."""
    bulk_records: int = 100
    """Records of one poll from which it counts as a bulk poll."""
    parallel: int = 2
    """Partitions of one consumer that are applied at the same time."""
    page_size: int = 500
    """Rows of one page of a day."""
    session_timeout: float = 10.0
    retry_first: float = 0.05
    retry_last: float = 5.0
    tries: int = 3
    """Attempts that may fail unexpectedly before the batch is bisected and the failing event is parked."""
    gap_timeout: float = 60.0
    """How long a sequence gap may last before the partition halts."""
    silence_timeout: float = 60.0
    """How long a consumer may be without assignment or fetch before the process exits; how long a batch may wait to
    be committed before health reports it."""
    attempt_timeout: float = 900.0
    """How long one attempt at a batch may last before the process exits because its handler hangs."""
    watchdog_interval: float = 2.0
    breaker_in_a_row: int = 100
    idle_in_transaction_timeout: float = 5.0
    transaction_timeout: float = 30.0
    """How long a transaction may last; a batch that takes longer is bisected."""
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read ``HUTONG_<NAME>`` for every field above.

        Raises:
            ValueError: a value is not of its field's type; names the variable.
        """
        found = os.environ if environment is None else environment
        values: dict[str, object] = {}
        for name, kind in get_type_hints(cls).items():
            parse = next(part for part in (get_args(kind) or (kind,)) if part is not NoneType)
            variable = f"HUTONG_{name.upper()}"
            text = found.get(variable)
            if text is None or text == "":
                continue
            try:
                values[name] = parse(text)
            except ValueError:
                raise ValueError(f"{variable} must be {parse.__name__}") from None
        return cls(**values)  # type: ignore[arg-type]

    def secret(self, name: str) -> str:
        """Return one entry of the secrets file.

        Raises:
            MissingSecret: there is no such entry, or no secrets file.
            OpenSecrets: the file can be read by others.
        """
        if self.secrets_file is None:
            raise MissingSecret(name)
        if stat.S_IMODE(self.secrets_file.stat().st_mode) & 0o077:
            raise OpenSecrets(f"{self.secrets_file.name} must be mode 0600")
        value = json.loads(self.secrets_file.read_text()).get(name)
        if value is None:
            raise MissingSecret(name)
        return str(value)
