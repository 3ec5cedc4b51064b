"""What a service says about itself in figures."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Metrics:
    """One registry per service process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        lane = ("consumer", "topic", "partition")

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"hutong_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"hutong_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> Histogram:
            return Histogram(f"hutong_{name}", text, labels, registry=registry, buckets=buckets)

        self.lag = gauge("cursor_lag", "Records of the log that the cursor has not passed", lane)
        self.outbox_rows = gauge("outbox_rows", "Events said and not yet published")
        self.outbox_age = gauge("outbox_oldest_seconds", "Age of the oldest event not yet published")
        self.kept_back_rows = gauge("kept_back_rows", "Snapshots kept back while more of a file comes")
        self.kept_back_age = gauge("kept_back_oldest_seconds", "How long the oldest of them has been kept back")
        self.published = counter("published_total", "Events the broker has acknowledged")
        self.relay_failures = counter("relay_failures_total", "Times the relay began again with a new producer")
        self.relay_working = gauge("relay_working", "1 while this process holds the service's relay")
        self.events = counter("events_total", "Events applied", lane)
        self.said = counter("said_total", "Events said", ("consumer",))
        self.fenced = counter("fenced_records_total", "Records the cursor had passed already", lane)
        self.duplicates = counter("duplicates_total", "Numbers that had been taken already", lane)
        self.early = counter("early_total", "Numbers that came before their turn", lane)
        self.gaps = counter("gaps_total", "Offsets that the log jumped", lane)
        self.retries = counter("retries_total", "Transactions tried again", ("consumer", "cause"))
        self.parked_children = gauge("parked_children", "Keys that are parked", ("consumer",))
        self.parked_oldest = gauge("parked_oldest_seconds", "Age of the oldest parked key", ("consumer",))
        self.parked = counter("parked_total", "Keys parked", ("consumer",))
        self.dead_letters = counter("dead_letters_total", "Records that were no event", ("consumer",))
        self.halted = gauge("halted", "1 while a partition is halted", lane)
        self.batch_size = histogram("batch_events", "Events of a batch", _SIZES, ("consumer",))
        self.transaction = histogram("transaction_seconds", "Time of a batch's transaction", _SECONDS, ("consumer",))
        self.loop_lag = gauge("event_loop_lag_seconds", "How late the event loop was, last")
        self.rebalances = counter("rebalances_total", "Assignments received", ("consumer",))
        self.day = gauge("day_turned_timestamp_seconds", "Midnight of the last day that turned", ("index",))
        self.pages = counter("day_pages_total", "Pages of days' work done")
