"""``make bench``: measure the baseline, the end-to-end throughput, a finding's latency and an idle system."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import baseline
from benchmarks.end_to_end import EndToEnd, FindingLatency, Load, NotAcceptedError, Rest, files, refreshed
from deploy.embedded.stack import LocalStack

NATION = 427_000_000
"""Records of the nation's half-yearly refresh: 71 million children, six departments."""
DAY = 86_400


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--children", type=int, default=6000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="seconds for which findings are reported under load"
    )
    parser.add_argument("--rest", type=float, default=30.0, help="seconds for which an idle system is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as folder:
        home = Path(folder)
        with LocalStack(home / "baseline") as stack:
            base = baseline.measure(stack, 60_000, options.partitions)
        with LocalStack(home / "stack", postgres_port=0) as stack:
            (home / "installation").mkdir(mode=0o700)
            try:
                loads, latency, rest = asyncio.run(_measure(stack, home / "installation", options))
            except NotAcceptedError as error:
                print(f"Nothing was measured: {error}.", file=sys.stderr)
                return 1
    _print(base, loads, latency)
    _print_rest(rest)
    return 0


async def _measure(
    stack: LocalStack, home: Path, options: argparse.Namespace
) -> tuple[list[Load], FindingLatency, Rest]:
    system = EndToEnd(stack, home, options.partitions)
    await system.start()
    try:
        submitted = files(system.county, options.children, options.seed)
        new = await system.measure_load("new records", submitted, "2026H2")
        refresh = await system.measure_load(
            "refresh, 1 row in 20 changed", refreshed(submitted, options.seed), "2027H1"
        )
        latency = await system.measure_findings(0.7 * new.rate, submitted, "single", options.seconds)
        rest = await system.measure_rest(options.rest)
    finally:
        await system.stop()
    return [new, refresh], latency, rest


def _print(base: baseline.Baseline, loads: list[Load], latency: FindingLatency) -> None:
    console = Console(width=120)
    table = Table(
        "what", "records", "changed", "seconds", "records/s", "of the baseline", title="End to end against the baseline"
    )
    table.add_row(
        "baseline: four bare hops concurrently",
        str(base.records),
        str(base.records),
        f"{base.seconds:.1f}",
        f"{base.rate:.0f}",
        "1",
    )
    for load in loads:
        ratio = load.rate / base.rate
        table.add_row(
            load.description,
            str(load.rows),
            str(load.changed),
            f"{load.seconds:.1f}",
            f"{load.rate:.0f}",
            f"{ratio:.2f}",
        )
    console.print(table)
    headings = [f"{load.description}: {what}" for load in loads for what in ("processor s", "events")]
    spent = Table("", *headings, title="Where the time goes, per 1,000 records")
    for name in loads[0].processor_seconds:
        cells = [
            cell
            for load in loads
            for cell in (
                f"{1000 * load.processor_seconds[name] / load.rows:.3f}",
                f"{1000 * load.events[name] / load.rows:.0f}" if name in load.events else "",
            )
        ]
        spent.add_row(name, *cells)
    console.print(spent)
    console.print(
        f"A finding reaches its agency's queue at {latency.load:.0f} changed records/s (70 % of the end-to-end rate): "
        f"p50 {latency.quantile(0.5) * 1000:.0f} ms, p99 {latency.quantile(0.99) * 1000:.0f} ms, "
        f"{len(latency.seconds)} findings."
    )
    days = NATION / loads[1].rate / DAY
    console.print(f"The nation's half-yearly refresh at this rate, extrapolated: {days:.1f} days on this machine.")


def _print_rest(rest: Rest) -> None:
    table = Table("", "with the services", "servers alone", title="At rest, in percent of one core")
    for name, share in rest.running.items():
        alone = rest.servers_alone.get(name)
        table.add_row(name, f"{100 * share:.2f}", "" if alone is None else f"{100 * alone:.2f}")
    console = Console(width=120)
    console.print(table)
    console.print(
        f"At rest the services use {100 * rest.services:.1f} % of one core "
        f"and cause {100 * rest.caused:.1f} % in the servers."
    )


if __name__ == "__main__":
    raise SystemExit(main())
