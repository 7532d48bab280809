"""The process's counts as Prometheus metrics.

They are registered with prometheus_client's own registry, which the LangGraph server shows at
`/metrics` together with its queue and HTTP figures; `gems.app.http` shows the same page elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from .. import tally


class TallyCollector(Collector):
    """Hands the counts of `gems.tally` to Prometheus, read at each scrape."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yields one family for each counter; those without labels are there from the start."""
        values = tally.snapshot()
        for counter in tally.COUNTERS:
            family = CounterMetricFamily(
                f"gems_{counter.name}", counter.help, labels=list(counter.labels)
            )
            if not counter.labels:
                family.add_metric([], values.get((counter, ()), 0.0))
            else:
                for (which, labels), value in sorted(values.items()):
                    if which == counter:
                        family.add_metric(list(labels), value)
            yield family

    def describe(self) -> Iterator[CounterMetricFamily]:
        """Yields the names, so that registering does not have to collect."""
        return self.collect()


REGISTRY.register(TallyCollector())


def page() -> tuple[bytes, str]:
    """Returns the metrics in Prometheus' text format, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
