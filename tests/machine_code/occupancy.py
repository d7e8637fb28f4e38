"""Blocks of a kernel that fit on a multiprocessor, by NVIDIA's occupancy calculator."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Multiprocessor:
    shared: int  # bytes for blocks
    warps: int = 64
    blocks: int = 32
    registers: int = 65536
    register_unit: int = 256  # in which a warp gets them
    warp_unit: int = 4        # warps are shared out among so many parts of the registers
    shared_unit: int = 128
    reserved: int = 1024      # of shared memory, for each block


# CUDA C++ programming guide, technical specifications per compute capability.
MULTIPROCESSORS = {"sm_80": Multiprocessor(shared=164 * 1024), "sm_90": Multiprocessor(shared=228 * 1024)}


def _round_up(number, unit):
    return -(-number // unit) * unit


def blocks_that_fit(architecture, threads, registers, shared):
    """threads: of a block; registers: of a thread; shared: the block's own bytes of shared memory."""
    has = MULTIPROCESSORS[architecture]
    warps = -(-threads // 32)
    of_warp = _round_up(registers * 32, has.register_unit)
    warps_by_registers = has.registers // of_warp // has.warp_unit * has.warp_unit
    return min(has.blocks, has.warps // warps, warps_by_registers // warps,
               has.shared // _round_up(shared + has.reserved, has.shared_unit))
