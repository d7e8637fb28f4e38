#!/usr/bin/env python3
"""That a worse figure is found, and that figures are read and computed rightly."""

import dataclasses
import unittest

import resources
from occupancy import blocks_that_fit
from resources import Usage

KERNEL = ("sgd: sgd_kernel", "sm_90")
USAGE = Usage(threads=256, wanted=2, registers=114, stack=0, shared=20480, blocks=2)


class Occupancy(unittest.TestCase):
    def test_blocks(self):
        # (architecture, threads, registers, shared) -> what limits it
        for arguments, blocks in [
            (("sm_90", 256, 32, 0), 8),        # threads
            (("sm_90", 32, 32, 0), 32),        # blocks
            (("sm_90", 256, 64, 0), 4),        # registers
            (("sm_90", 256, 65, 0), 3),        # registers of a warp are counted in 256s
            (("sm_90", 256, 80, 9216), 3),
            (("sm_90", 256, 128, 30720), 2),
            (("sm_90", 256, 129, 0), 1),
            (("sm_90", 1024, 64, 0), 1),
            (("sm_90", 96, 168, 0), 4),        # 12 warps fit: a multiple of 4
            (("sm_90", 256, 32, 48 * 1024), 4),   # 4 * 49 KiB of 228
            (("sm_80", 256, 32, 48 * 1024), 3),   # 3 * 49 KiB of 164
        ]:
            with self.subTest(arguments):
                self.assertEqual(blocks_that_fit(*arguments), blocks)


class Reading(unittest.TestCase):
    def test_launch_bounds(self):
        ptx = """
.visible .entry _Z1aPf(
	.param .u64 .ptr .align 1 _Z1aPf_param_0
)
.maxntid 256, 1, 1
.minnctapersm 3
{
	.reg .b64 	%rd<3>;
}
	// .globl	_Z1bv
.visible .entry _Z1bv()
{
	ret;
}
"""
        self.assertEqual(resources.launch_bounds(ptx), {"_Z1aPf": (256, 3), "_Z1bv": (256, 0)})

    def test_usage(self):
        text = """
Resource usage:
 Common:
  GLOBAL:0
 Function _Z1aPf:
  REG:114 STACK:8 SHARED:16384 LOCAL:4 CONSTANT[0]:712 TEXTURE:0 SURFACE:0 SAMPLER:0
 Function _Z9subroutine:
  REG:20 STACK:0 SHARED:0 LOCAL:0 CONSTANT[0]:0 TEXTURE:0 SURFACE:0 SAMPLER:0
"""
        bounds = {"_Z1aPf": (256, 2)}
        self.assertEqual(resources.parse_usage(text, "sm_90", bounds),
                         {"_Z1aPf": Usage(256, 2, 114, 12, 15360, 2)})
        of_other_code = resources.parse_usage(text, "sm_80", bounds)["_Z1aPf"]
        self.assertEqual((of_other_code.shared, of_other_code.wanted), (16384, 0))

    def test_what_is_written_is_read(self):
        table = {KERNEL: USAGE, ("sgd: a<1, 2>", "sm_80"): USAGE}
        heading, read = resources.read_table(resources.write_table(table, "CUDA 13.0"))
        self.assertEqual(read, table)
        self.assertIn("CUDA 13.0", heading[0])


class Comparing(unittest.TestCase):
    def compare(self, **changes):
        return resources.compare({KERNEL: dataclasses.replace(USAGE, **changes)}, {KERNEL: USAGE})

    def test_the_same(self):
        self.assertEqual(self.compare(), ([], []))

    def test_worse(self):
        for changes in ({"stack": 8}, {"shared": 30720}, {"blocks": 1, "wanted": 1}):
            with self.subTest(changes):
                worse, better = self.compare(**changes)
                name = next(iter(changes))
                self.assertEqual(len(worse), 1)
                self.assertIn(f"sgd: sgd_kernel on sm_90: {name} {changes[name]}, in the table", worse[0])
                self.assertEqual(better, [])

    def test_fewer_blocks_than_wanted(self):
        worse, _ = self.compare(wanted=3)
        self.assertEqual(worse, ["sgd: sgd_kernel on sm_90: 2 blocks fit, __launch_bounds__ wants 3"])

    def test_better_and_as_good(self):
        for changes in ({"shared": 0}, {"blocks": 3}, {"registers": 120}):
            with self.subTest(changes):
                worse, better = self.compare(**changes)
                self.assertEqual((worse, len(better)), ([], 1))

    def test_a_kernel_that_is_not_in_the_table(self):
        worse, _ = resources.compare({KERNEL: USAGE, ("sgd: new", "sm_90"): USAGE}, {KERNEL: USAGE})
        self.assertEqual(worse, ["sgd: new on sm_90: is not in the table"])

    def test_a_kernel_that_is_no_longer_there(self):
        table = {KERNEL: USAGE, ("sgd: old", "sm_90"): USAGE, ("relu: other", "sm_90"): USAGE}
        worse, better = resources.compare({KERNEL: USAGE}, table)
        self.assertEqual((worse, better), ([], ["sgd: old on sm_90: is in the table, and no longer built"]))


if __name__ == "__main__":
    unittest.main()
