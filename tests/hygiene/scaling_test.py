#!/usr/bin/env python3
"""Tests benchmarks/scaling.py: its formula against its simulation, and both at their edges.
usage: scaling_test.py BENCHMARKS_FOLDER"""
import dataclasses
import pathlib
import sys
import unittest

sys.path.insert(0, sys.argv.pop(1))
import scaling

PAPER = pathlib.Path(scaling.__file__).parents[1] / "docs" / "scaling.md"


class Scaling(unittest.TestCase):
    """Every network on every link that the tables have."""

    def each(self):
        """What the tables are of, and numbers of ranks that are powers of two, as the simulation wants them."""
        for network in (scaling.ATTENTION56, scaling.WIDE, scaling.WIDE_APART):
            for link in (scaling.GIGABIT, scaling.TEN_GIGABIT, scaling.NVLINK):
                for ranks in (1, 2, 4, 8, 16, 64):
                    with self.subTest(network=network.name, link=link.name, ranks=ranks):
                        yield network, link, ranks

    def test_the_formula_is_the_simulation_where_all_ranks_are_equally_fast(self):
        for network, link, ranks in self.each():
            self.assertAlmostEqual(scaling.simulated_seconds(network, link, ranks, 512),
                                   scaling.step_seconds(network, link, ranks, 512),
                                   delta=1e-9 * scaling.step_seconds(network, link, ranks, 512))

    def test_a_simulation_by_hand(self):
        # 3 s of work in two parts; a gather of 16 bytes and 1 s of latency after each: 17 s; two times half of the
        # gradients' 8 bytes and a second: 10 s.
        network = scaling.Network("", 8, 1, 1, 3.0)
        self.assertEqual(scaling.Simulation(scaling.Link("", 1, 1), 2).step(network, 2), 3 + 2 * 17 + 10)

    def test_late_ranks_cost_more_where_norms_wait_for_them(self):
        for network, link, ranks in self.each():
            if ranks == 1:
                continue
            even = scaling.simulated_seconds(network, link, ranks, 512)
            self.assertGreater(scaling.simulated_seconds(network, link, ranks, 512, jitter=0.05), even)

    def test_a_link_without_cost_gives_the_full_speed(self):
        free = scaling.Link("free", 0, float("inf"))
        whole = dataclasses.replace(scaling.WIDE, fixed_seconds=0)
        self.assertAlmostEqual(scaling.efficiency(whole, free, 64, 512), 1)
        self.assertEqual(scaling.most_useful_ranks(whole, free, 512), 512)
        self.assertEqual(scaling.least_batch(whole, free, 8), 8)
        self.assertIsNone(scaling.least_batch(whole, scaling.Link("none", 1e9, 1), 8))

    def test_the_tables_of_the_documentation_are_what_it_prints(self):
        text = PAPER.read_text(encoding="utf-8")
        for network, link, batches, ranks in scaling.TABLES:
            lines = scaling.table(network, link, batches, ranks).splitlines()
            for line in (*lines, scaling.limits(network, link, batches[1], ranks[-1])):
                self.assertIn(line, text)


if __name__ == "__main__":
    unittest.main()
