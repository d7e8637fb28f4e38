#!/usr/bin/env python3
"""How long a training step takes that several ranks share: a formula, and a simulation of the messages that it is
checked against (tests/hygiene/scaling_test.py). docs/scaling.md has its tables.

  benchmarks/scaling.py          prints them
"""
import argparse
import dataclasses
import math
import random


@dataclasses.dataclass(frozen=True)
class Network:
    """What a step of a network computes and sends; `cifar_trainer info` has the numbers."""
    name: str
    gradient_bytes: int
    norms: int            # batch norms whose statistics are taken over all ranks; 0: over each share
    norm_channels: int    # their channels, on average
    seconds_per_image: float
    fixed_seconds: float = 0.0  # of a step, whatever its batch
    number_bytes: int = 8       # of a moment: f64 on the CPU, f32 on a device

    def norm_bytes(self):
        """Of one message: mean and variance, or the sums for weight and bias."""
        return 2 * self.norm_channels * self.number_bytes


@dataclasses.dataclass(frozen=True)
class Link:
    """Between any two ranks, both ways at once."""
    name: str
    latency: float      # seconds until the first byte of a message is there
    bytes_per_second: float


def step_seconds(network, link, ranks, batch):
    """The formula: computing an equal share, two small gathers for each norm, and the sum of the gradients, in pieces:
    each rank gets its piece of all others, adds, and sends the sum to all. Nothing overlaps, and all are as fast."""
    compute = network.fixed_seconds + network.seconds_per_image * batch / ranks
    if ranks == 1:
        return compute
    others = ranks - 1
    # Gathered by doubling: in each round twice the bytes of the one before.
    gather = math.ceil(math.log2(ranks)) * link.latency + others * network.norm_bytes() / link.bytes_per_second
    pieces = 2 * others * (link.latency + network.gradient_bytes / ranks / link.bytes_per_second)
    return compute + 2 * network.norms * gather + pieces


def efficiency(network, link, ranks, batch):
    """The speed of `ranks`, as a part of `ranks` times that of one."""
    return step_seconds(network, link, 1, batch) / ranks / step_seconds(network, link, ranks, batch)


def most_useful_ranks(network, link, batch, most=1024):
    """The number, a power of two, from which on twice as many make a step no faster by a tenth."""
    ranks = 1
    while ranks < min(most, batch) and (step_seconds(network, link, 2 * ranks, batch)
                                        < 0.9 * step_seconds(network, link, ranks, batch)):
        ranks *= 2
    return ranks


def least_batch(network, link, ranks, wanted=0.8, most=1 << 20):
    """The smallest global batch, a power of two, at which that many ranks keep `wanted` of their speed; None: none."""
    batch = ranks
    while batch <= most:
        if efficiency(network, link, ranks, batch) >= wanted:
            return batch
        batch *= 2
    return None


class Simulation:
    """Clocks of ranks, a power of two, and messages, each of which leaves when its sender is ready."""

    def __init__(self, link, ranks, seed=1, jitter=0.0):
        self.link, self.jitter, self.random = link, jitter, random.Random(seed)
        self.clocks = [0.0] * ranks

    def compute(self, seconds):
        """On each rank so many seconds, or a little longer: jitter is the deviation, as a part of them."""
        for rank in range(len(self.clocks)):
            self.clocks[rank] += seconds * (1 + abs(self.random.gauss(0, self.jitter)))

    def exchange(self, partner_of, size):
        """Each rank sends `size` bytes to partner_of(rank), and goes on with what another sends it."""
        transfer = self.link.latency + size / self.link.bytes_per_second
        before = list(self.clocks)
        for rank, clock in enumerate(before):
            to = partner_of(rank)
            self.clocks[to] = max(self.clocks[to], before[to], clock + transfer)

    def gather(self, size):
        """All get what each has, by doubling."""
        distance = 1
        while distance < len(self.clocks):
            self.exchange(lambda rank, d=distance: rank ^ d, size * distance)
            distance *= 2

    def sum(self, size):
        """Pieces to those who add them, then the sums around a ring."""
        ranks = len(self.clocks)
        for shift in range(1, ranks):
            self.exchange(lambda rank, s=shift: (rank + s) % ranks, size / ranks)
        for _ in range(1, ranks):
            self.exchange(lambda rank: (rank + 1) % ranks, size / ranks)

    def step(self, network, batch):
        """The seconds of a step: parts of its work, a norm's message after each, then the gradients."""
        begin = max(self.clocks)
        parts = max(1, 2 * network.norms)
        work = network.fixed_seconds + network.seconds_per_image * batch / len(self.clocks)
        for _ in range(parts):
            self.compute(work / parts)
            if len(self.clocks) > 1 and network.norms > 0:
                self.gather(network.norm_bytes())
        if len(self.clocks) > 1:
            self.sum(network.gradient_bytes)
        return max(self.clocks) - begin


def simulated_seconds(network, link, ranks, batch, jitter=0.0, steps=5):
    """The mean over some steps."""
    simulation = Simulation(link, ranks, jitter=jitter)
    return sum(simulation.step(network, batch) for _ in range(steps)) / steps


def table(network, link, batches, all_ranks):
    """Markdown: parts of the full speed, and with work that takes 5% longer now and then."""
    lines = [f"{network.name}, {link.name}:", "", "| ranks | " + " | ".join(f"batch {b:,}" for b in batches) + " |",
             "| ---: |" + " ---: |" * len(batches)]
    for ranks in all_ranks:
        cells = []
        for batch in batches:
            if batch < ranks:
                cells.append("")
                continue
            one = step_seconds(network, link, 1, batch)
            noisy = one / ranks / simulated_seconds(network, link, ranks, batch, jitter=0.05)
            cells.append(f"{efficiency(network, link, ranks, batch):.2f} ({noisy:.2f})")
        lines.append(f"| {ranks} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def limits(network, link, batch, ranks):
    """A sentence: where more ranks stop paying at that batch, and the batch that so many ranks want."""
    least = least_batch(network, link, ranks)
    most = most_useful_ranks(network, link, batch)
    return (f"At a batch of {batch:,} twice as many ranks as {most} gain less than a tenth; "
            f"{ranks} keep 0.8 from a batch of {least:,} on.")


# Measured: the seconds of an image, in README.md and in results/2026-11-28-h100.md. Assumed: the links, and that a
# captured step on an H100 has half a millisecond that no smaller batch makes shorter.
ATTENTION56 = Network("attention56, f32, two cores a machine", 4 * 1030362, 106, 70, 1 / 404)
WIDE = Network("attention92-wide, bf16, H100", 2 * 12170730, 149, 205, 0.0328 / 512, 0.0005, 4)
WIDE_APART = dataclasses.replace(WIDE, name="the same with --sync-norm false", norms=0)
GIGABIT = Link("1 Gb/s, 50 us", 50e-6, 117e6)
TEN_GIGABIT = Link("10 Gb/s, 20 us", 20e-6, 1170e6)
NVLINK = Link("NVLink of 450 GB/s, 4 us", 4e-6, 450e9)


TABLES = ((WIDE, NVLINK, (512, 1024, 4096), (2, 4, 8)),
          (WIDE_APART, NVLINK, (512, 1024, 4096), (2, 4, 8)),
          (ATTENTION56, TEN_GIGABIT, (128, 512, 2048), (2, 8, 64)),
          (ATTENTION56, GIGABIT, (128, 512, 2048), (2, 8, 64)))


def main():
    """Prints the tables."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for network, link, batches, ranks in TABLES:
        print(table(network, link, batches, ranks) + "\n\n" + limits(network, link, batches[1], ranks[-1]) + "\n")


if __name__ == "__main__":
    main()
