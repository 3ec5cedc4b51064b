"""The wheel contains everything the installation needs, and its command starts without the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = sorted(
    {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"benchmarks", "scripts", "tests", "examples"}
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder), folder=ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture
def environment(wheel: Path, tmp_path: Path) -> Path:
    """Return a new virtual environment with the wheel in it; its dependencies are those of this environment."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    assert uv is not None
    run(uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel), folder=tmp_path)
    (packages(tmp_path) / "needed.pth").write_text(sysconfig.get_path("purelib"))
    return tmp_path


def packages(environment: Path) -> Path:
    return next((environment / "venv" / "lib").glob("python*/site-packages"))


def run(*command: str, folder: Path) -> str:
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=without, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_every_file_of_every_package_is_in_the_wheel(wheel: Path) -> None:
    expected = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and file.parent.name != "__pycache__"
    }
    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert packed == expected
    assert {file.rpartition(".")[2] for file in packed} >= {"py", "sql", "yaml", "json", "lock"}


def test_the_command_starts_from_the_wheel_alone(environment: Path) -> None:
    hutong = str(environment / "venv" / "bin" / "hutong")

    assert run(hutong, "--version", folder=environment) == PROJECT["project"]["version"]
    own = packages(environment)
    assert "没有问题" in run(hutong, "county", "check", str(own / "deploy/counties/341722"), folder=environment)
    python = str(environment / "venv" / "bin" / "python")
    for package in PACKAGES:
        imported = run(python, "-c", f"import {package}; print({package}.__file__)", folder=environment)
        assert Path(imported) == own / package / "__init__.py"
