"""Secrets are generated at the first start, kept between runs and readable by their owner only."""

import json
import stat
import sys
from pathlib import Path

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from deploy import supervisor
from deploy.embedded import __main__ as local
from deploy.installation import FORMAT, Installation, NoInstallationError, UnsupportedFormatError, agency_keys
from runtime import MissingSecret, Settings
from runtime.storage.sealing import Opener, Sealer
from tests.county import demo_county


def prepared(home: Path) -> Installation:
    return Installation.prepare(
        home,
        demo_county(),
        4,
        bootstrap="127.0.0.1:1",
        admin_password="admin-word",
        postgres_host="127.0.0.1",
        postgres_port=1,
        postgres_admin="postgresql:///postgres",
    )


def test_nobody_else_can_read_an_installations_files(tmp_path: Path) -> None:
    """Every file is 0600 in folders of 0700; the home itself can be passed through, not looked into."""
    installation = prepared(tmp_path / "home")
    assert stat.S_IMODE(installation.home.stat().st_mode) == 0o711
    agency_keys(installation.home, ["341722-gaj"])

    for path in installation.home.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_credentials_are_created_once_and_kept(tmp_path: Path) -> None:
    """A second start has the same log-ins and keys; only the addresses change."""
    first = prepared(tmp_path)
    secrets = first.secrets_file("registry").read_text()
    keys = agency_keys(tmp_path, ["341722-gaj"])

    second = prepared(tmp_path)

    assert second == first == Installation.load(tmp_path)
    assert first.secrets_file("registry").read_text() == secrets
    assert agency_keys(tmp_path, ["341722-gaj"]) == keys


def test_a_service_receives_the_environment_its_settings_require(tmp_path: Path) -> None:
    """The environment reads back as settings, and each service has its own secrets and no other's."""
    installation = prepared(tmp_path)
    settings = {
        name: Settings.from_environment(installation.settings_env(name)) for name in ("intake", "registry", "notify")
    }

    assert settings["intake"].kafka_user == "intake"
    sealed = Sealer(settings["intake"].secret("registry_public_key")).batch().seal(b"x", b"y")
    assert Opener(settings["registry"].secret("registry_private_key")).open(sealed, b"y") == b"x"
    assert bytes.fromhex(settings["intake"].secret("record_key"))
    for name in ("master_key", "lookup_key", "child_id_key"):
        assert bytes.fromhex(settings["registry"].secret(name))
        with pytest.raises(MissingSecret):
            settings["intake"].secret(name)
    assert settings["notify"].secret("ops_public_key")
    with pytest.raises(MissingSecret):
        settings["notify"].secret("registry_private_key")
    assert all("ops_private_key" not in installation.secrets_file(name).read_text() for name in settings)


def test_an_agency_decrypts_values_that_were_sealed_to_it(tmp_path: Path) -> None:
    """The public key is added to the county's data; the private key stays with the agency."""
    public = json.loads(agency_keys(tmp_path, ["341722-gaj"])["341722-gaj"])
    assert "d" not in public
    sealed = jwe.encrypt_compact({"alg": "ECDH-ES+A256KW", "enc": "A256GCM"}, b"for you", ECKey.import_key(public))

    private = ECKey.import_key(json.loads((tmp_path / "agencies" / "341722-gaj.jwk.json").read_text()))
    assert jwe.decrypt_compact(sealed, private).plaintext == b"for you"


def test_an_empty_folder_is_not_an_installation(tmp_path: Path) -> None:
    """The error states that there is none; a damaged file is reported too."""
    with pytest.raises(NoInstallationError):
        Installation.load(tmp_path)
    (tmp_path / "installation.json").write_text("{}")
    with pytest.raises(NoInstallationError):
        Installation.load(tmp_path)


def test_a_damaged_installation_is_not_overwritten_by_a_new_one(tmp_path: Path) -> None:
    """Its passwords may still be repaired or restored; new ones would match neither broker nor database."""
    prepared(tmp_path)
    file = tmp_path / "installation.json"
    torn = file.read_text()[:-20]
    file.write_text(torn)
    with pytest.raises(NoInstallationError, match="correct it, or restore it from a backup"):
        prepared(tmp_path)
    assert file.read_text() == torn


@pytest.mark.parametrize(("stored", "message"), [(None, "旧版本建的（格式 0"), (FORMAT + 1, "更新的版本建的")])
def test_an_installation_of_another_format_is_refused_and_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stored: int | None,
    message: str,
) -> None:
    """Every command that uses it refuses in one sentence before anything starts, and changes nothing."""
    prepared(tmp_path)
    file = tmp_path / "installation.json"
    state = {name: value for name, value in json.loads(file.read_text()).items() if name != "format"}
    file.write_text(json.dumps(state if stored is None else {**state, "format": stored}))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    with pytest.raises(UnsupportedFormatError, match=message):
        prepared(tmp_path)
    for run, arguments in (
        (local.main, ["local", "up", "--home", str(tmp_path)]),
        (local.main, ["local", "serve", "--home", str(tmp_path)]),
        (supervisor.main, ["supervisor", "--home", str(tmp_path)]),
    ):
        monkeypatch.setattr(sys, "argv", arguments)
        assert run() in (1, 3)
        output = capsys.readouterr()
        assert message in output.err
        assert (output.out, output.err.count("\n"), output.err[-2]) == ("", 1, "。")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("what", ['{"master_key": ', "[1]", "7"])
def test_damaged_secrets_are_reported_and_never_recreated(tmp_path: Path, what: str) -> None:
    """Data sealed with a lost key could not be opened again. The message does not repeat the content of the file."""
    installation = prepared(tmp_path)
    file = installation.secrets_file("registry")
    file.write_text(what)
    with pytest.raises(NoInstallationError) as error:
        prepared(tmp_path)
    assert error.value.damaged == file
    assert file.read_text() == what
    assert what not in str(error.value).replace(str(file), "")
