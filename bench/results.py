"""What a run has measured, and the medians of it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from idle import Idle
from load import Sample

if TYPE_CHECKING:
    from brokers import Carried
    from crosstown import Crosstown
    from realtime import Realtime
    from scaling import Scaling


class Cell(NamedTuple):
    """One place in the tables."""

    server: str
    app: str
    mode: str
    connections: int


@dataclass
class Results:
    """All the samples of a run, one per round and cell, and what went wrong."""

    samples: dict[Cell, list[Sample]] = field(default_factory=dict)
    memory: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)  # (server, app) -> (cold, warm) KiB of PSS
    asleep: list[float] = field(default_factory=list)  # wake-ups a second of threads that only sleep, one per round
    faults: list[str] = field(default_factory=list)
    idle: Idle | None = None
    crosstown: Crosstown | None = None
    scaling: Scaling | None = None
    realtime: Realtime | None = None
    brokers: dict[str, Carried] = field(default_factory=dict)

    def add(self, cell: Cell, sample: Sample) -> None:
        """Keep one measurement and its faults."""
        self.samples.setdefault(cell, []).append(sample)
        self.faults += [f"{cell.server}, {cell.app}, {cell.mode}, {cell.connections} connections: {fault}" for fault in sample.faults]

    def all_samples(self) -> list[Sample]:
        """Return every sample."""
        return [sample for samples in self.samples.values() for sample in samples]

    def median(self, cell: Cell, name: str) -> float | None:
        """Return the median over the rounds of one field of Sample, or None if the cell was not measured."""
        values = [getattr(sample, name) for sample in self.samples.get(cell, ())]
        return statistics.median(values) if values else None

    def ratio(self, cell: Cell, other: str, name: str) -> float | None:
        """Return a cell's median divided by that of another server in the same place."""
        own, theirs = self.median(cell, name), self.median(cell._replace(server=other), name)
        return own / theirs if own is not None and theirs else None

    def spread(self, cell: Cell) -> float:
        """Return how far apart the rounds are: (largest - smallest) / median of the CPU per request."""
        values = [sample.cpu for sample in self.samples[cell]]
        return (max(values) - min(values)) / statistics.median(values)

    def pss(self, server: str, app: str, warm: bool = True) -> float | None:
        """Return the median PSS in MiB, after the load or before it."""
        values = [pair[warm] for pair in self.memory.get((server, app), ())]
        return statistics.median(values) / 1024 if values else None
