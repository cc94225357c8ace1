"""What a scrape of a running gateway says, by name and labels."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.functional.kit import Gateway


@dataclass
class Scrape:
    """The samples of one scrape."""

    samples: list[Sample]

    def value(self, name: str, **labels: str) -> float:
        """Return the one sample of a name that has these labels, whatever others it has."""
        (found,) = self.all(name, **labels)
        return found.value

    def all(self, name: str, **labels: str) -> list[Sample]:
        return [
            sample
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}


async def scrape(running: Gateway) -> Scrape:
    """Read /metrics as Prometheus does."""
    text = (await running.admin("/metrics")).body.decode()
    families = text_string_to_metric_families(text)
    return Scrape([sample for family in families for sample in family.samples])
