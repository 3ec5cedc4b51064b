"""Named points at which a test can end the process, as a power cut would."""

import itertools
import os

_AT, _, _NTH = os.environ.get("HUTONG_KILL_AT", "").partition(":")
_passes = itertools.count(1)
EXIT_CODE = 137


def failpoint(name: str) -> None:
    """End the process here if the environment says so: ``HUTONG_KILL_AT=<name>`` or ``<name>:<n-th pass>``.

    Only passes with something to lose count: a commit counts if it emits something.
    """
    if name == _AT and next(_passes) >= int(_NTH or 1):
        os._exit(EXIT_CODE)
