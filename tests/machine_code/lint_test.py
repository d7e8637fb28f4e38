#!/usr/bin/env python3
"""That the lint finds what it looks for: machine code with a fault, and the same without it."""

import tempfile
import unittest
import unittest.mock
from pathlib import Path

import code_tools
import rules
import sass


def kernel(name, code):
    """A kernel with this name; `code` has one instruction or label a line."""
    lines = [".section\t.text._Z1k,\"ax\",@progbits", "_Z1k:"]
    address = 0
    for line in (line.strip() for line in code.strip().splitlines()):
        if line.endswith(":"):
            lines.append(line)
        elif line:
            lines.append(f"        /*{address:04x}*/   {line} ;")
            address += 16
    (result,) = sass.parse("\n".join(lines))
    result.name = name
    return result


def broken(name, code, among=rules.RULES):
    """The rules, among these, that it breaks."""
    return [rule for rule, _ in rules.check(kernel(name, code)) if rule in among]


FORWARD = "forward_kernel<bf16, 32>"
# A step as it should be: asks for the next tiles, multiplies, puts them into shared memory.
STEP = """
.L_x_0:
  ISETP.GE.AND P4, PT, R3, R8, PT
  @!P4 LDG.E.128 R16, desc[UR6][R10.64]
  @!P4 LDG.E.128 R20, desc[UR6][R12.64]
  @!P4 LDG.E.128 R64, desc[UR6][R14.64]
  LDSM.16.M88.4 R44, [R50]
  LDSM.16.MT88.4 R32, [R49]
  HMMA.16816.F32.BF16 R24, R44.reuse, R32, R24
  HMMA.16816.F32.BF16 R28, R44, R34, R28
  PRMT R60, R16, 0x7610, R60
  STS.128 [R52], R20
  BAR.SYNC.DEFER_BLOCKING 0x0
  @P5 BRA `(.L_x_0)
  EXIT
"""


class Instructions(unittest.TestCase):
    def registers(self, line):
        (instruction,) = kernel("k", line).instructions
        return sorted(instruction.reads), sorted(instruction.writes)

    def test_registers(self):
        for line, reads, writes in [
            ("LDG.E.128 R32, desc[UR6][R32.64+0x10]", [32, 33], [32, 33, 34, 35]),
            ("@!P4 LDG.E.64.CONSTANT R8, desc[UR6][R2.64]", [2, 3], [8, 9]),
            ("LDG.E.U16 R8, desc[UR6][R2.64]", [2, 3], [8]),
            ("STG.E.128 desc[UR6][R2.64], R4", [2, 3, 4, 5, 6, 7], []),
            ("STS.128 [R40+0x1400], R32", [32, 33, 34, 35, 40], []),
            ("LDSM.16.MT88.4 R32, [R49+0x500]", [49], [32, 33, 34, 35]),
            ("HMMA.16816.F32 R24, R44.reuse, R32, R24", [24, 25, 26, 27, 32, 33, 44, 45, 46, 47], [24, 25, 26, 27]),
            ("IMAD.WIDE R32, R2, R19, R32", [2, 19, 32, 33], [32, 33]),
            ("IMAD.WIDE.U32 R32, P0, R2, R19, R40", [2, 19, 40, 41], [32, 33]),
            ("IADD3 R32, P0, R36, UR8, RZ", [36], [32]),
            ("IADD3.X R33, R37, UR9, RZ, P0, !PT", [37], [33]),
            ("ISETP.GE.OR P0, PT, R32, R19, P1", [19, 32], []),
            ("LOP3.LUT P0, RZ, R7, 0x3, RZ, 0xc0, !PT", [7], []),
            ("SHFL.BFLY PT, R5, R4, 0x10, 0x1f", [4], [5]),
            ("FADD R3, |R4|, -R5.reuse", [4, 5], [3]),
            ("CS2R R26, SRZ", [], [26, 27]),
            ("DFMA R2, R4, R6, R8", [4, 5, 6, 7, 8, 9], [2, 3]),
            ("R2UR UR4, R9", [9], []),
        ]:
            with self.subTest(line):
                self.assertEqual(self.registers(line), (reads, writes))

    def test_loops_are_found_by_the_branches_back(self):
        code = """
            .L_x_0:
              MOV R0, R1
            .L_x_1:
              FADD R2, R3, R4
              @P0 BRA `(.L_x_1)
              @P1 BRA `(.L_x_0)
              EXIT
            .L_x_9:
              BRA `(.L_x_9)
        """
        self.assertEqual([sorted(loop.body) for loop in kernel("k", code).loops], [[1, 2], [0, 1, 2, 3]])

    def test_a_loop_that_goes_back_in_two_places(self):
        code = """
            .L_x_0:
              @P0 BRA `(.L_x_0)
              MOV R0, R1
              @P1 BRA `(.L_x_0)
              EXIT
        """
        self.assertEqual([sorted(loop.body) for loop in kernel("k", code).loops], [[0, 1, 2]])

    def test_a_loop_of_products_in_another(self):
        product = "HMMA.16816.F32.BF16 R24, R44, R32, R24"
        code = [".L_x_0:", product, ".L_x_1:", product, "@P0 BRA `(.L_x_1)", "@P1 BRA `(.L_x_0)", "EXIT"]
        (loop,) = rules.product_loops(kernel("k", "\n".join(code)))
        self.assertEqual(sorted(loop.body), [0, 1, 2, 3])
        (loop,) = rules.product_loops(kernel("k", "\n".join(["NOP" if line == product and index == 1 else line
                                                               for index, line in enumerate(code)])))
        self.assertEqual(sorted(loop.body), [1, 2])

    def test_code_behind_an_exit_is_not_in_a_loop(self):
        code = """
            .L_x_0:
              @P0 BRA `(.L_x_1)
              EXIT
            .L_x_1:
              @P1 BRA `(.L_x_0)
              EXIT
        """
        self.assertEqual([sorted(loop.body) for loop in kernel("k", code).loops], [[0, 2]])

    def test_a_branch_that_meets_again_goes_on_behind_the_barrier(self):
        code = """
              BSSY B0, `(.L_x_1)
              BSYNC B0
              EXIT
            .L_x_1:
              EXIT
        """
        self.assertEqual(kernel("k", code).successors, [[1], [3], [], []])

    def test_kernels_are_split(self):
        text = ".section\t.text._Z1a,\"ax\"\n /*0000*/ EXIT ;\n.section .nv.info\n.section\t.text._Z1b,\"ax\"\n"
        self.assertEqual([(k.mangled, len(k.instructions)) for k in sass.parse(text)], [("_Z1a", 1), ("_Z1b", 0)])


    def test_an_instruction_that_is_not_understood(self):
        text = ".section\t.text._Z1a,\"ax\"\n /*0000*/ ??? ;\n /*0010*/ EXIT ;\n"
        self.assertRaisesRegex(ValueError, "before: /.0010./ EXIT ; in _Z1a", sass.parse, text)


class Waits(unittest.TestCase):
    def check(self, code, *expected):
        self.assertEqual(broken(FORWARD, code, ["wait"]), list(expected))

    def test_loads_that_are_used_behind_the_multiply(self):
        self.assertEqual(broken(FORWARD, STEP), [])

    def test_a_use_before_the_multiply(self):
        self.check(STEP.replace("LDSM.16.M88.4", "PRMT R61, R19, 0x7632, R61\n LDSM.16.M88.4"), "wait")

    def test_a_use_in_the_middle_of_the_multiply(self):
        self.check(STEP.replace("HMMA.16816.F32.BF16 R28", "MOV R61, R23\n HMMA.16816.F32.BF16 R28"), "wait")

    def test_the_message_names_load_and_use(self):
        code = STEP.replace("LDSM.16.M88.4", "PRMT R61, R19, 0x7632, R61\n LDSM.16.M88.4")
        (message,) = [message for rule, message in rules.check(kernel(FORWARD, code)) if rule == "wait"]
        self.assertIn("waits for 1 loads of its own step", message)
        self.assertIn("@!P4 LDG.E.128 R16, desc[UR6][R10.64], used by /*0040*/ PRMT R61", message)

    def test_a_use_on_one_path_alone(self):
        code = STEP.replace("LDSM.16.M88.4", "@P6 BRA `(.L_x_1)\n MOV R61, R16\n .L_x_1:\n LDSM.16.M88.4")
        self.check(code, "wait")

    def test_registers_that_have_other_numbers_meanwhile(self):
        self.check(STEP.replace("LDSM.16.M88.4", "MOV R16, R7\n MOV R61, R16\n LDSM.16.M88.4"))

    def test_registers_that_have_other_numbers_under_the_same_guard(self):
        self.check(STEP.replace("LDSM.16.M88.4", "@P2 MOV R16, R7\n @P2 MOV R61, R16\n LDSM.16.M88.4"))
        self.check(STEP.replace("LDSM.16.M88.4", "@P2 MOV R16, R7\n @!P2 MOV R61, R16\n LDSM.16.M88.4"), "wait")
        self.check(STEP.replace("LDSM.16.M88.4", "@P2 MOV R16, R7\n ISETP.NE.AND P2, PT, R1, R2, PT\n"
                                "@P2 MOV R61, R16\n LDSM.16.M88.4"), "wait")

    def test_loads_at_the_end_that_the_next_step_waits_for(self):
        code = STEP.replace("BAR.SYNC", "LDG.E.128 R16, desc[UR6][R10.64]\n BAR.SYNC")
        self.check(code.replace("LDSM.16.M88.4", "MOV R61, R7\n LDSM.16.M88.4"))
        early = code.replace("@!P4 LDG.E.128 R16, desc[UR6][R10.64]", "MOV R61, R16")
        self.check(early, "wait")

    def test_loads_of_a_step_that_the_one_after_next_uses(self):
        code = STEP.replace("PRMT R60, R16, 0x7610, R60", "NOP").replace(
            "@!P4 LDG.E.128 R16, desc[UR6][R10.64]", "MOV R61, R16\n @!P4 LDG.E.128 R16, desc[UR6][R10.64]")
        self.check(code)

    def test_loads_that_are_waited_for_behind_the_multiply(self):
        self.check(STEP.replace("BAR.SYNC", "LDG.E.128 R72, desc[UR6][R10.64]\n MOV R60, R72\n BAR.SYNC"))

    def test_loads_under_way_while_it_multiplies(self):
        load = "@!P4 LDG.E.128 R64, desc[UR6][R14.64]"
        self.assertEqual(broken(FORWARD, STEP.replace(load, "NOP")), ["loads"])
        self.assertEqual(broken(FORWARD, STEP.replace(load, load.replace("128", "64"))), ["loads", "width"])
        behind = STEP.replace(load, "NOP").replace("BAR.SYNC", f"{load}\n BAR.SYNC")
        self.assertEqual(broken(FORWARD, behind), ["loads"])
        self.assertEqual(broken(FORWARD, STEP.replace("LDSM.16.M88.4", "MOV R7, R64\n LDSM.16.M88.4")),
                         ["wait", "loads"])


class Copies(unittest.TestCase):
    """Into shared memory, around the registers."""

    ASK = [*3 * ["@!P0 LDGSTS.E.BYPASS.128 [R21], desc[UR6][R14.64]"], "LDGDEPBAR"]
    WAIT = "DEPBAR.LE SB0, 0x{}"
    MULTIPLY = ["HMMA.16816.F32 R4, R8, R22, R4", "HMMA.16816.F32 R4, R8, R22, R4"]

    def check(self, lines, *expected):
        self.assertEqual(broken(FORWARD, loop_of(*lines)), list(expected))

    def test_three_stages(self):
        self.check([self.WAIT.format(1), *self.ASK, *self.MULTIPLY])

    def test_two_stages(self):
        self.check([self.WAIT.format(0), *self.ASK, *self.MULTIPLY])
        self.check([*self.ASK, self.WAIT.format(1), *self.MULTIPLY])
        self.check([*self.ASK, *self.MULTIPLY, self.WAIT.format(0)])

    def test_a_step_waits_for_its_own_copies(self):
        self.check([*self.ASK, self.WAIT.format(0), *self.MULTIPLY], "copy", "loads")
        self.check([*self.ASK, self.MULTIPLY[0], self.WAIT.format(0), self.MULTIPLY[1]], "copy", "loads")

    def test_a_step_waits_for_what_the_one_before_asked_for_at_its_end(self):
        self.check([self.WAIT.format(0), *self.MULTIPLY, *self.ASK], "copy", "loads")
        self.check([self.WAIT.format(1), *self.MULTIPLY, *self.ASK])
        self.check([*self.MULTIPLY, *self.ASK, self.WAIT.format(0)], "copy", "loads")

    def test_two_groups_a_step(self):
        self.check([*self.ASK, *self.ASK, self.WAIT.format(2), *self.MULTIPLY])
        self.check([*self.ASK, *self.ASK, self.WAIT.format(1), *self.MULTIPLY], "copy", "loads")

    def test_a_group_that_is_closed_in_the_middle_of_the_multiply(self):
        self.check([self.WAIT.format(0), *self.ASK[:-1], self.MULTIPLY[0], self.ASK[-1], self.MULTIPLY[1]])

    def test_narrow_ones(self):
        self.check([self.WAIT.format(1), self.ASK[0].replace(".128", ""), *self.ASK, *self.MULTIPLY], "width")


MOMENTS = "column_sums_kernel<8, MomentTerms<bf16, 8>>"
ROWS = [f"@!P{u} LDG.E.128 R{16 + 4 * u}, desc[UR6][R10.64]" for u in range(4)]
TERMS = [f"@!P{u} FADD R2, R2, R{16 + 4 * u}" for u in range(4)]


def loop_of(*lines):
    return "\n".join([".L_x_0:", *lines, "@P6 BRA `(.L_x_0)", "EXIT"])


class Loads(unittest.TestCase):
    def test_together(self):
        self.assertEqual(broken(MOMENTS, loop_of(*ROWS, *TERMS)), [])

    def test_one_after_the_other(self):
        one_by_one = [line for pair in zip(ROWS, TERMS) for line in pair]
        self.assertEqual(broken(MOMENTS, loop_of(*one_by_one)), ["loads"])
        self.assertEqual(broken(MOMENTS, loop_of(*ROWS[:3], TERMS[0], ROWS[3], *TERMS[1:])), ["loads"])

    def test_none(self):
        self.assertEqual(broken(MOMENTS, loop_of(*TERMS)), ["loads"])

    def test_later_loops(self):
        name = "column_sums_kernel<8, BothTerms<bf16, 8>>"
        family = rules.Family(r"column_sums_kernel<8, BothTerms<", loads=4, reason="4 rows", later=2)
        joins = [line.replace("L_x_0", "L_x_1") for line in loop_of(*ROWS[:2], *TERMS[:2]).splitlines()]
        with unittest.mock.patch.object(rules, "FAMILIES", [family]):
            code = loop_of(*ROWS, *TERMS).replace("EXIT", "")
            self.assertEqual(broken(name, "\n".join([*code.splitlines(), *joins])), [])
            one_by_one = [joins[0], joins[1], joins[3], joins[2], *joins[4:]]
            self.assertEqual(broken(name, "\n".join([*code.splitlines(), *one_by_one])), ["loads"])

    def test_a_whole_kernel(self):
        name, lines = "max_pool_forward_kernel<8, 3, bf16>", []
        for tap in range(9):
            lines.append(f"LDG.E.128 R{16 + 4 * tap}, desc[UR6][R10.64]")
        uses = [f"FMNMX R2, R2, R{16 + 4 * tap}, !PT" for tap in range(9)]
        self.assertEqual(broken(name, "\n".join([*lines, *uses, "EXIT"])), [])
        self.assertEqual(broken(name, "\n".join([*lines[:8], *uses[:8], lines[8], uses[8], "EXIT"])), ["loads"])

    def test_a_kernel_that_is_in_no_family(self):
        self.assertEqual(broken("column_sums_kernel<8, NewTerms<bf16, 8>>", "EXIT"), ["family"])
        self.assertEqual(broken("new_kernel<bf16>", "HMMA.16816.F32.BF16 R24, R44, R32, R24\n EXIT"), ["family"])
        self.assertEqual(broken("new_kernel<bf16>", "EXIT"), [])
        self.assertEqual(broken("column_sums_kernel<1, NewTerms<bf16, 1>>", "EXIT"), [])

    def test_a_family_without_a_kernel(self):
        (family,) = [f for f in rules.families_without_kernel([]) if "MomentTerms" in f.pattern and f.loads == 4]
        self.assertIn(family, rules.families_without_kernel([kernel(FORWARD, "EXIT")]))
        self.assertNotIn(family, rules.families_without_kernel([kernel(MOMENTS, "EXIT")]))


class Others(unittest.TestCase):
    def test_local_memory(self):
        code = "STL [R1], R2\n LDL R2, [R1]\n EXIT"
        self.assertEqual(broken("relu_kernel", code), ["local"])
        self.assertEqual(broken("gather_batch_kernel<bf16>", code), [])

    def test_width(self):
        store = "STG.E.128 desc[UR6][R2.64], R4"
        self.assertEqual(broken(MOMENTS, loop_of(*ROWS, *TERMS, store)), [])
        self.assertEqual(broken(MOMENTS, loop_of(*ROWS, *TERMS, store.replace("128", "64"))), ["width"])
        self.assertEqual(broken(MOMENTS, loop_of(*ROWS, *TERMS, "LDG.E.CONSTANT R6, desc[UR6][R2.64]")), ["width"])
        winners = "STG.E.64 desc[UR6][R2.64], R4"
        for name, rules_broken in [("max_pool_forward_kernel<8, 0, bf16>", []), ("max_pool_forward_kernel<4, 0, float>",
                                                                                 ["width"])]:
            self.assertEqual(broken(name, loop_of(ROWS[0], TERMS[0], winners)), rules_broken)

    def test_budget(self):
        family = rules.family_of(kernel(FORWARD, "EXIT"))
        self.assertGreater(family.budget, 0)
        padding = STEP.replace("BAR.SYNC", "NOP\n" * family.budget + "BAR.SYNC")
        self.assertEqual(broken(FORWARD, padding), ["budget"])


class Tools(unittest.TestCase):
    def test_names(self):
        for mangled, name in [
            ("_ZN5fovea7kernels4cuda59_GLOBAL__N__a9059573_26_preactivation_pointwise_cu_a3e8f4a022"
             "backward_weight_kernelINS_3f16ELi128ELi32EEEvNS2_7ExtentsENS2_14BackwardWeightIT_EE",
             "backward_weight_kernel<f16, 128, 32>"),
            ("_ZN5fovea7kernels4cuda18column_sums_kernelILi4ENS1_12PairSumTermsILi4EEEEEvNS1_7ColumnsET0_",
             "column_sums_kernel<4, PairSumTerms<4>>"),
        ]:
            self.assertEqual(code_tools.demangle([mangled]), [name])

    def test_found_in_a_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            tool = Path(folder) / "nvdisasm"
            with self.assertRaisesRegex(code_tools.ToolError, f"{folder} has no nvdisasm of CUDA 13"):
                code_tools.find("nvdisasm", folder, folder)
            for release, is_found in [("12.4", False), ("13.0", True)]:
                tool.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}.1'\n")
                if is_found:
                    self.assertEqual(code_tools.find("nvdisasm", folder, folder), tool.resolve())
                else:
                    self.assertRaises(code_tools.ToolError, code_tools.find, "nvdisasm", folder, folder)

    def test_missing_tools_skip_a_test_where_they_are_not_required(self):
        missing = code_tools.MissingTool("no nvdisasm")
        with unittest.mock.patch("sys.stderr"), unittest.mock.patch.dict("os.environ", clear=True) as environment:
            self.assertEqual(code_tools.report(missing), code_tools.SKIPPED)
            self.assertEqual(code_tools.report(code_tools.ToolError("does not compile")), 2)
            environment["FOVEA_REQUIRE_MACHINE_CODE"] = "1"
            self.assertEqual(code_tools.report(missing), 2)


if __name__ == "__main__":
    unittest.main()
