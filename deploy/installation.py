"""One installation's folder: addresses, log-ins and secrets, all generated on this machine.

Files have mode 0600, folders 0700. An agency's private key is written to a folder of its own, for the agency's client;
the product never reads it.
"""

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from contracts.county import County
from contracts.topics import SERVICES
from deploy.embedded import jars
from deploy.files import private_folder, write_private
from deploy.provision import OPERATOR_ROLE, county_topics

DATABASE = "hutong"
FORMAT = 1
"""Format of an installation's folder. It is raised with every change that other versions cannot work with."""
SETTINGS = "settings.json"
"""What the ops team sets for single services: ``{"notify": {"HUTONG_ALARM_WEBHOOK": "..."}}``. Read, never written."""
PROCESSES = "HUTONG_PROCESSES"
"""Setting in ``settings.json``: the number of processes of a service."""
HTTP_PORT = "HUTONG_HTTP_PORT"
"""Setting in ``settings.json``: the port of a service's first process; each further process has the next port."""
ADMIN = "admin"
"""The broker's super user, for provisioning and for the ops team's read-only commands."""


class NoInstallationError(Exception):
    """The folder holds no installation, or one with a file that cannot be read (``damaged``)."""

    def __init__(self, home: Path, damaged: Path | None = None, why: str = "") -> None:
        super().__init__(
            f"{damaged} cannot be read ({why}): correct it, or restore it from a backup"
            if damaged
            else f"{home} holds no installation: start one with `make up`"
        )
        self.home = home
        self.damaged = damaged


class UnsupportedFormatError(NoInstallationError):
    """Another version of Hutong made the installation in this folder. Nothing was changed."""

    def __init__(self, home: Path, held: int) -> None:
        if held < FORMAT:
            what = f"{home} 里的安装是旧版本建的（格式 {held}，本版本用格式 {FORMAT}）"
            remedy = "请用原来的版本运行它，或者把这个文件夹改名留存，再运行 make up 新建一个"
        else:
            what = f"{home} 里的安装是更新的版本建的（格式 {held}，本版本只认到格式 {FORMAT}）"
            remedy = "请换用建它的那个版本"
        Exception.__init__(self, f"{what}，这里什么也没有改动、没有删除：{remedy}。")
        self.home = home
        self.damaged = _file(home)


class UnknownSettingError(NoInstallationError):
    """The ops team's settings name a setting that their service does not have."""

    def __init__(self, file: Path, service: str, name: str, known: Iterable[str]) -> None:
        near = get_close_matches(name, known, 1)
        question = f"，是不是 {near[0]}？" if near else "。"
        Exception.__init__(self, f"{file} 里写的 {name} 不是 {service} 的设置{question}请改好或者删去这一项，再启动。")
        self.home = file.parent
        self.damaged = file


def check_format(home: Path) -> None:
    """Check, before anything starts, that this version can run the installation in the folder, if there is one.

    Raises:
        UnsupportedFormatError: another version made it.
        UnknownSettingError: its settings name one that does not exist.
        NoInstallationError: its file or its settings cannot be read.
    """
    if _file(home).exists():
        Installation.load(home).processes()


def default_home() -> Path:
    """Return the folder that `HUTONG_INSTALLATION` names, or the one that `make up` uses."""
    named = os.environ.get("HUTONG_INSTALLATION")
    return Path(named).expanduser() if named else jars.home() / "installation"


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the broker. The mechanism is SCRAM-SHA-512."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Installation:
    """One county's installation."""

    home: Path
    county: str
    partitions: int
    bootstrap: str
    """Bootstrap servers, comma separated."""
    admin_password: str = field(repr=False)
    users: Mapping[str, str] = field(repr=False)
    """Password of every principal in ``contracts.topics``."""
    postgres_host: str
    """A loopback address or the folder of a Unix socket."""
    postgres_port: int
    postgres_admin: str = field(repr=False)
    """Data source name of a superuser."""
    roles: Mapping[str, str] = field(repr=False)
    """Password of every service's database role, and of the operator's."""

    # ------------------------------------------------------------ life

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read an installation.

        Raises:
            NoInstallationError: there is none, or its file is damaged.
            UnsupportedFormatError: another version made it.
        """
        try:
            state = dict(json.loads(_file(home).read_text()))
            held = int(state.pop("format", 0))
            if held != FORMAT:
                raise UnsupportedFormatError(home, held)
            return cls(home=home, **state)
        except FileNotFoundError:
            raise NoInstallationError(home) from None
        except (ValueError, TypeError) as error:
            # Its text is not repeated: it may quote the file, which holds passwords.
            raise NoInstallationError(home, _file(home), type(error).__name__) from None

    @classmethod
    def prepare(
        cls,
        home: Path,
        county: County,
        partitions: int,
        *,
        bootstrap: str,
        admin_password: str,
        postgres_host: str,
        postgres_port: int,
        postgres_admin: str,
    ) -> Self:
        """Write the installation in ``home`` with these addresses and return it; make it if there is none.

        Existing log-ins and secrets are kept; those that a new version of the county needs are added.

        Raises:
            NoInstallationError: its file is damaged; a new one would have other passwords.
        """
        try:
            old: Self | None = cls.load(home)
        except NoInstallationError as error:
            if error.damaged:
                raise
            old = None
        users = dict(old.users) if old else {}
        roles = dict(old.roles) if old else {}
        for principal in principals(county):
            users.setdefault(principal, secrets.token_urlsafe(24))
        for role in (*SERVICES, OPERATOR_ROLE):
            roles.setdefault(role, secrets.token_urlsafe(24))
        made = cls(
            home=home,
            county=county.code,
            partitions=old.partitions if old else partitions,
            bootstrap=bootstrap,
            admin_password=admin_password,
            users=users,
            postgres_host=postgres_host,
            postgres_port=postgres_port,
            postgres_admin=postgres_admin,
            roles=roles,
        )
        # Other users may traverse the folder but not list it: the embedded database's user must reach its data.
        private_folder(home, 0o711)
        made.save()
        made._make_secrets()
        return made

    def save(self) -> None:
        """Write the state atomically."""
        state = {name: value for name, value in asdict(self).items() if name != "home"}
        write_private(_file(self.home), json.dumps({"format": FORMAT, **state}, indent=2))

    def with_addresses(self, **addresses: Any) -> Self:
        """Return the same installation at other addresses."""
        return replace(self, **addresses)

    # ------------------------------------------------------------ who may log in

    def login(self, principal: str) -> Login:
        """Return a principal's log-in at the broker; ``admin`` is the super user.

        Raises:
            KeyError: the county has no such principal.
        """
        return Login(principal, self.admin_password if principal == ADMIN else self.users[principal])

    def kafka(self, principal: str, **more: Any) -> dict[str, Any]:
        """Return the configuration of a ``confluent_kafka`` client that logs in as ``principal``."""
        login = self.login(principal)
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": login.user,
            "sasl.password": login.password,
            # Failures are raised or reach a callback, so the library's own lines on stderr are switched off.
            "log_level": 0,
            **more,
        }

    def dsn(self, role: str) -> str:
        """Return the data source name of a service's role, or of the operator's."""
        return (
            f"postgresql:///{DATABASE}?host={self.postgres_host}&port={self.postgres_port}"
            f"&user={role}&password={self.roles[role]}"
        )

    # ------------------------------------------------------------ what processes are told

    def processes(self) -> dict[str, tuple[str, int]]:
        """Return the services' processes: name -> (service, ordinal).

        Raises:
            NoInstallationError: the ops team's settings cannot be read.
        """
        settings = self._settings()
        return {
            _process(service, ordinal): (service, ordinal)
            for service in SERVICES
            for ordinal in range(int(settings[service].get(PROCESSES, 1)))
        }

    def started_processes(self, service: str) -> list[str]:
        """Return the names of a service's processes that have written a state file since the last start."""
        return sorted({service, *(file.stem for file in (self.home / "run").glob(f"{service}.*json"))})

    def clear_state_files(self) -> None:
        """Remove the state files of processes that no longer run."""
        for file in (self.home / "run").glob("*.json"):
            file.unlink()

    def settings_env(self, service: str, ordinal: int = 0) -> dict[str, str]:
        """Return the environment of a service's process (``runtime.settings.Settings``).

        Raises:
            NoInstallationError: the ops team's settings cannot be read.
        """
        login = self.login(service)
        settings = {name: value for name, value in self._settings()[service].items() if name != PROCESSES}
        if int(settings.get(HTTP_PORT, 0)):
            settings[HTTP_PORT] = str(int(settings[HTTP_PORT]) + ordinal)
        return settings | {
            "HUTONG_ORDINAL": str(ordinal),
            "HUTONG_KAFKA": self.bootstrap,
            "HUTONG_KAFKA_USER": login.user,
            "HUTONG_KAFKA_PASSWORD": login.password,
            "HUTONG_POSTGRES": self.dsn(service),
            "HUTONG_COUNTY": self.county,
            "HUTONG_PARTITIONS": str(self.partitions),
            "HUTONG_STATE_FILE": str(self.state_file(_process(service, ordinal))),
            "HUTONG_SECRETS_FILE": str(self.secrets_file(service)),
        }

    def clock_env(self) -> dict[str, str]:
        """Return the environment of the clock's process."""
        login = self.login("clock")
        return {
            "HUTONG_KAFKA": self.bootstrap,
            "HUTONG_KAFKA_USER": login.user,
            "HUTONG_KAFKA_PASSWORD": login.password,
            "HUTONG_COUNTY": self.county,
        }

    # ------------------------------------------------------------ files

    def state_file(self, process: str) -> Path:
        """Where a running process of a service writes its process id and port."""
        return self.home / "run" / f"{process}.json"

    def secrets_file(self, service: str) -> Path:
        return self.home / "secrets" / f"{service}.json"

    def agency_key_file(self, principal: str) -> Path:
        """Return the path of an agency log-in's private key (JWK), which its own system would keep."""
        return self.home / "agencies" / f"{principal}.jwk.json"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def _settings(self) -> dict[str, dict[str, str]]:
        """Return the ops team's settings for each service as text; values that are not text are written as JSON."""
        file = self.home / SETTINGS
        try:
            held = json.loads(file.read_text())
            unknown = set(held) - set(SERVICES)
            if unknown:
                raise ValueError(f"no service is called {min(unknown)}")
            settings = {service: _as_text(service, held.get(service, {})) for service in SERVICES}
            for service, values in settings.items():
                _check_names(file, service, values)
            _check_ports(settings)
            return settings
        except FileNotFoundError:
            return {service: {} for service in SERVICES}
        except (ValueError, TypeError, AttributeError) as error:
            raise NoInstallationError(self.home, file, str(error)) from None

    def _make_secrets(self) -> None:
        from runtime.storage.sealing import new_keys  # brings the whole runtime, which `load` does without

        for folder in ("run", "logs", "secrets", "agencies"):
            private_folder(self.home / folder)
        registry = _read_secrets(self.secrets_file("registry"))
        ops = _read_secrets(self.home / "secrets" / "ops.json")
        if not ops:
            private, public = new_keys()
            ops = {"ops_private_key": private, "ops_public_key": public}
        if not registry:
            private, public = new_keys()
            registry = {
                "registry_private_key": private,
                "registry_public_key": public,
                "master_key": secrets.token_hex(32),
                "lookup_key": secrets.token_hex(32),
                "child_id_key": secrets.token_hex(32),
            }
        intake = _read_secrets(self.secrets_file("intake")) or {"record_key": secrets.token_hex(32)}
        own = {
            "registry": registry,
            "intake": intake | {"registry_public_key": registry["registry_public_key"]},
        }
        write_private(self.home / "secrets" / "ops.json", json.dumps(ops, indent=2))
        for service in SERVICES:
            parking = _read_secrets(self.secrets_file(service)).get("parking_key", secrets.token_urlsafe(32))
            held = own.get(service, {}) | {"ops_public_key": ops["ops_public_key"], "parking_key": parking}
            write_private(self.secrets_file(service), json.dumps(held, indent=2))


def settings_of(service: str) -> frozenset[str]:
    """Return the names that the ops team may write for a service; the installation's own addresses override theirs."""
    from runtime import Settings  # imported here because most commands do without the runtime
    from services.notify.alarms import AlarmSettings

    names = {PROCESSES, *(f"HUTONG_{setting.name.upper()}" for setting in fields(Settings))}
    if service == "notify":
        names |= {f"HUTONG_ALARM_{setting.name.upper()}" for setting in fields(AlarmSettings)}
    return frozenset(names)


def _check_names(file: Path, service: str, held: Iterable[str]) -> None:
    known = settings_of(service)
    for name in held:
        if name not in known:
            raise UnknownSettingError(file, service, name, sorted(known))


def _as_text(service: str, held: Mapping[str, Any]) -> dict[str, str]:
    """One service's settings as a process is told them."""
    for name, least, most in ((PROCESSES, 1, 9), (HTTP_PORT, 0, 65_000)):
        said = str(held.get(name, least))
        if not said.isdecimal() or not least <= int(said) <= most:
            raise ValueError(f"{name} of {service} must be a number from {least} to {most}")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in held.items()}


def _check_ports(settings_by_service: Mapping[str, Mapping[str, str]]) -> None:
    taken: dict[int, str] = {}
    for service, settings in settings_by_service.items():
        first = int(settings.get(HTTP_PORT, 0))
        for ordinal in range(int(settings.get(PROCESSES, 1)) if first else 0):
            process = _process(service, ordinal)
            other = taken.setdefault(first + ordinal, process)
            if other != process:
                raise ValueError(f"{other} and {process} would both listen on {first + ordinal}")


def _process(service: str, ordinal: int) -> str:
    return service if ordinal == 0 else f"{service}.{ordinal}"


def agency_keys(home: Path, principals: Iterable[str]) -> dict[str, str]:
    """Return a public key for each of these log-ins, generated if there is none: principal -> public JWK (JSON text).

    The private key is written for that log-in's own client (``Installation.agency_key_file``) and nowhere else.
    """
    from joserfc.jwk import ECKey  # imported here because it is slow and rarely needed

    private_folder(home / "agencies")
    public = {}
    for principal in principals:
        file = home / "agencies" / f"{principal}.jwk.json"
        held = _read_secrets(file)
        if not held:
            made = ECKey.generate_key("P-256", {"use": "enc", "alg": "ECDH-ES+A256KW"}).as_dict(private=True)
            held = {name: str(value) for name, value in made.items()}
            write_private(file, json.dumps(held))
        public[principal] = json.dumps({name: value for name, value in held.items() if name != "d"}, sort_keys=True)
    return public


def principals(county: County) -> tuple[str, ...]:
    """Every principal that ``contracts.topics`` names for this county."""
    return tuple(
        sorted({principal for topic in county_topics(county) for principal in (*topic.writers, *topic.readers)})
    )


def _file(home: Path) -> Path:
    return home / "installation.json"


def _read_secrets(file: Path) -> dict[str, str]:
    """Return the secrets of a file. A damaged file is never replaced: the data sealed with its keys would be lost."""
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise NoInstallationError(file.parent.parent, file, type(error).__name__) from None
