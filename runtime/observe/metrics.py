"""The metrics of a service process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Metrics:
    """One registry per service process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        partition = ("consumer", "topic", "partition")

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"hutong_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"hutong_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> Histogram:
            return Histogram(f"hutong_{name}", text, labels, registry=registry, buckets=buckets)

        self.lag = gauge("cursor_lag", "Records of the log that the cursor has not passed", partition)
        self.outbox_rows = gauge("outbox_rows", "Events emitted and not yet published")
        self.outbox_age = gauge("outbox_oldest_seconds", "Age of the oldest event not yet published")
        self.coalesced_rows = gauge("coalesced_rows", "Snapshots that wait while more of a file comes")
        self.coalesced_age = gauge("coalesced_oldest_seconds", "How long the oldest of them has waited")
        self.published = counter("published_total", "Events the broker has acknowledged")
        self.relay_failures = counter("relay_failures_total", "Restarts of the relay with a new producer")
        self.relay_working = gauge("relay_working", "1 while this process runs the service's relay")
        self.events = counter("events_total", "Events applied", partition)
        self.emitted = counter("emitted_total", "Events emitted", ("consumer",))
        self.fenced = counter("fenced_records_total", "Records the cursor had passed already", partition)
        self.duplicates = counter("duplicates_total", "Sequence numbers that had been taken already", partition)
        self.out_of_order = counter("out_of_order_total", "Sequence numbers that came too early", partition)
        self.gaps = counter("gaps_total", "Offsets that the log jumped", partition)
        self.retries = counter("retries_total", "Transactions tried again", ("consumer", "cause"))
        self.parked_keys = gauge("parked_keys", "Keys that are parked", ("consumer",))
        self.parked_oldest = gauge("parked_oldest_seconds", "Age of the oldest parked key", ("consumer",))
        self.parked = counter("parked_total", "Keys parked", ("consumer",))
        self.dead_letters = counter("dead_letters_total", "Records that are no event", ("consumer",))
        self.halted = gauge("halted", "1 while a partition is halted", partition)
        self.batch_size = histogram("batch_events", "Events of a batch", _SIZES, ("consumer",))
        self.transaction = histogram("transaction_seconds", "Time of a batch's transaction", _SECONDS, ("consumer",))
        self.loop_lag = gauge("event_loop_lag_seconds", "How late the event loop was, last")
        self.rebalances = counter("rebalances_total", "Assignments received", ("consumer",))
        self.day = gauge("day_completed_timestamp_seconds", "Midnight of the last completed day", ("index",))
        self.pages = counter("day_pages_total", "Pages of days' work done")
