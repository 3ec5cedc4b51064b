"""Fetch what the embedded Kafka needs before its first start: ``python -m deploy.embedded.prepare``.

``--lock`` resolves the list of jars again instead.
"""

import argparse
import sys

from deploy.embedded import jars
from deploy.embedded.errors import StackError
from deploy.embedded.kafka import quick_start


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.embedded.prepare", description="Fetch and check Kafka's jars."
    )
    parser.add_argument("--lock", action="store_true", help="resolve the list again and write jars.lock")
    parser.add_argument("--quiet", action="store_true", help="print nothing if every jar is present and correct")
    arguments = parser.parse_args()
    try:
        if arguments.lock:
            resolved = jars.resolve()
            jars.write_lock(resolved)
            print(f"{len(resolved)} jars in {jars.LOCK.name}.")
        else:
            paths = jars.fetch()
            quick_start()
            if not arguments.quiet:
                print(
                    f"{len(paths)} jars, {sum(path.stat().st_size for path in paths) / 1e6:.0f} MB, all as in the lock."
                )
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
