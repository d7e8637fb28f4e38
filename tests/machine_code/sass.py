"""Machine code as `nvdisasm -c` prints it: kernels, instructions with the registers they read and write, the
paths between them, and loops."""

import re
from dataclasses import dataclass, field
from functools import cached_property

_SECTION = re.compile(r"^\s*\.section\s+\.text\.(\S+?),")
_LABEL = re.compile(r"^(\S+):\s*$")
_INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]+)\*/\s+(?:@(!?U?P\w+)\s+)?([A-Z]\w*(?:\.\w+)*)\s*(.*?)\s*;")
_BYTES = 16  # of an instruction
_REGISTER = re.compile(r"(?<![\w.])R(\d+)\b(\.64)?")
_TARGET = re.compile(r"`\(([^)]+)\)")
_PREDICATE = re.compile(r"!?U?P(\d|T)$")
_BARRIER_REGISTER = re.compile(r"\bB\d+\b")

# Instructions whose registers are all sources.
_WITHOUT_RESULT = {
    "ST", "STG", "STS", "STL", "RED", "LDGSTS", "ISETP", "FSETP", "DSETP", "HSETP2", "PLOP3", "PSETP", "R2P",
    "FCHK", "BRA", "BRX", "JMP", "CALL", "RET", "EXIT", "BSSY", "BSYNC", "BAR", "WARPSYNC", "NOP", "MEMBAR", "CCTL",
    "LDGDEPBAR", "DEPBAR",
}
_DOUBLE = {"DADD", "DMUL", "DFMA"}


def _width(opcode):
    """Registers of the data that an instruction moves."""
    parts = opcode.split(".")
    if "128" in parts:
        return 4
    return 2 if "64" in parts else 1


def _result_width(opcode):
    """Registers that an instruction writes from its first one on."""
    name, *parts = opcode.split(".")
    if name == "HMMA":
        return 4 if "F32" in parts else 2
    if name == "LDSM":
        return int(parts[-1]) if parts[-1].isdigit() else 1
    if name == "CS2R":
        return 1 if "32" in parts else 2
    if name in _DOUBLE or "WIDE" in parts or (parts and parts[0] == "F64"):
        return 2
    return _width(opcode) if name.startswith(("LD", "ATOM")) else 1


def _source_widths(opcode, count):
    """Registers that each of `count` operands behind the result names, where no suffix says so itself."""
    name, *parts = opcode.split(".")
    widths = [1] * count
    if name == "HMMA":
        widths[:3] = [4, 2, 4] if parts[0] == "16816" else [2, 1, 4]
    elif name in _DOUBLE:
        widths = [2] * count
    elif "WIDE" in parts and count >= 3:
        widths[2] = 2
    elif name in ("ST", "STG", "STS", "STL") and count >= 2:
        widths[1] = _width(opcode)
    return widths


@dataclass
class Instruction:
    address: int
    predicate: str  # of the guard, or ""
    opcode: str
    operands: str

    @cached_property
    def name(self):
        return self.opcode.split(".")[0]

    @cached_property
    def _registers(self):
        operands = re.split(r",\s*", self.operands) if self.operands else []
        while len(operands) > 1 and _PREDICATE.match(operands[0]) and self.name not in _WITHOUT_RESULT:
            operands.pop(0)
        writes, reads = set(), set()
        if operands and self.name not in _WITHOUT_RESULT:
            result = re.match(r"R(\d+)\b|RZ\b", operands[0])
            if result:
                operands.pop(0)
                if result.group(1):
                    first = int(result.group(1))
                    writes.update(range(first, first + _result_width(self.opcode)))
        while operands and writes and _PREDICATE.match(operands[0]):  # a second result, such as a carry
            operands.pop(0)
        for operand, width in zip(operands, _source_widths(self.opcode, len(operands))):
            in_address = "[" in operand
            for number, pair in _REGISTER.findall(operand):
                count = 2 if pair else 1 if in_address else width
                reads.update(range(int(number), int(number) + count))
        return frozenset(reads), frozenset(writes)

    @property
    def reads(self):
        return self._registers[0]

    @property
    def writes(self):
        return self._registers[1]

    @cached_property
    def changed_predicates(self):
        """Predicates that stand where an instruction has its results."""
        return {operand for operand in re.split(r",\s*", self.operands)[:2] if re.match(r"P\d$", operand)}

    @property
    def is_global_load(self):
        return self.name in ("LDG", "LD")

    @property
    def is_full_width(self):
        return "128" in self.opcode.split(".")

    def __str__(self):
        guard = f"@{self.predicate} " if self.predicate else ""
        return f"/*{self.address:04x}*/ {guard}{self.opcode} {self.operands}".rstrip()


@dataclass
class Loop:
    first: int       # index of the instruction to which its branches go back
    body: frozenset  # of the indices of all instructions on a path from `first` to one of these branches

    @property
    def indices(self):
        return sorted(self.body)


@dataclass
class Kernel:
    mangled: str
    name: str = ""  # readable
    source: str = ""  # file that it was compiled from, without suffix
    instructions: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)  # name -> index of the instruction behind it

    @cached_property
    def successors(self):
        """For each instruction the indices of those that may be executed next, in this kernel."""
        count, result, reconverging = len(self.instructions), [], {}
        for index, instruction in enumerate(self.instructions):
            name, after = instruction.name, [index + 1] if index + 1 < count else []
            target = _TARGET.search(instruction.operands)
            where = [self.labels[target.group(1)]] if target and target.group(1) in self.labels else []
            where = [i for i in where if i < count]
            barrier = _BARRIER_REGISTER.search(instruction.operands)
            is_certain = not instruction.predicate and not re.match(r"!?U?P\d", instruction.operands)
            if name in ("BRA", "JMP"):
                is_certain = is_certain and "DIV" not in instruction.opcode
                result.append(where if is_certain else where + after)
            elif name == "BSSY":
                reconverging[barrier.group()] = where
                result.append(after)
            elif name == "BSYNC":
                result.append(reconverging.get(barrier.group(), after))
            elif name in ("EXIT", "RET", "BRX"):
                result.append([] if is_certain else after)
            else:  # a call comes back
                result.append(after)
        return result

    @cached_property
    def predecessors(self):
        result = [[] for _ in self.instructions]
        for index, after in enumerate(self.successors):
            for successor in after:
                result[successor].append(index)
        return result

    @cached_property
    def loops(self):
        """All loops, the smaller before the larger."""
        bodies = {}
        for index, instruction in enumerate(self.instructions):
            if instruction.name not in ("BRA", "JMP"):
                continue
            for first in self.successors[index]:
                if first > index or (first == index and not instruction.predicate):
                    continue  # no loop, or the trap behind the last instruction
                body, waiting = {first, index}, [index] if first != index else []
                while waiting:
                    for before in self.predecessors[waiting.pop()]:
                        if before not in body and first <= before:
                            body.add(before)
                            waiting.append(before)
                bodies[first] = bodies.get(first, frozenset()) | body
        return sorted((Loop(*loop) for loop in bodies.items()), key=lambda loop: len(loop.body))

    def innermost_loops(self, wanted):
        """The smallest loop around each instruction for which wanted(instruction) holds, each once."""
        found = []
        for index, instruction in enumerate(self.instructions):
            if wanted(instruction):
                loop = next((loop for loop in self.loops if index in loop.body), None)
                if loop is not None and loop not in found:
                    found.append(loop)
        return found


def parse(text):
    """The kernels in the output of `nvdisasm -c`. ValueError where an instruction is not understood."""
    kernels, kernel = [], None
    for line in text.splitlines():
        if line.lstrip().startswith(".section"):
            section = _SECTION.match(line)
            kernel = Kernel(section.group(1)) if section else None
            if kernel is not None:
                kernels.append(kernel)
        elif kernel is None:
            continue
        elif match := _INSTRUCTION.match(line):
            address, predicate, opcode, operands = match.groups()
            if int(address, 16) != _BYTES * len(kernel.instructions):
                raise ValueError(f"no instruction is understood before: {line.strip()} in {kernel.mangled}")
            kernel.instructions.append(Instruction(int(address, 16), predicate or "", opcode, operands))
        elif match := _LABEL.match(line):
            kernel.labels[match.group(1)] = len(kernel.instructions)
    return kernels
