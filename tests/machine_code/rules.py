"""What the machine code of a kernel must look like. A rule yields messages of what is wrong."""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Family:
    """Kernels of which the same is demanded."""

    pattern: str              # of the readable name, from its beginning
    loads: int = 0            # full-width loads that are issued before the first of them is used, or, in a loop
    #                           with products, that are under way while it multiplies
    reason: str = ""          # whence their number
    where: str = "loop"       # that is asked of: the first innermost loop with full-width loads, or the "kernel"
    later: int = 0            # the same of the loops behind it; 0: as many
    budget: int = 0           # most instructions of the hot loop, or of the whole kernel; 0: any number.
    #                           About a twentieth above what there are, so that a scalar fall-back shows
    narrow: dict = field(default_factory=dict)  # opcodes of accesses that may be narrower -> reason
    local: str = ""           # why it may have local memory, whose size the table of resources keeps
    has_winners: bool = False  # it has an array of bytes, too: a pack of them is 8 bytes where there are 8

    def allows(self, opcode, name):
        """Whether a kernel with this name may have accesses that are narrower than 16 bytes."""
        of_winners = "E.64" if "_kernel<8, " in name else "E"
        return opcode in self.narrow or (self.has_winners and opcode.split(".", 1)[1] == of_winners)


_WIDE = r"<[48], "  # the width of a pack: of 16-bit, of f32

FAMILIES = [
    # Tensor cores: nothing is asked of memory that the step itself waits for. The loop has the end of a tile, too.
    Family(r"forward_kernel<b?f16, 32>", loads=3, reason="a pack of x, the weights and the residual", budget=370),
    Family(r"forward_kernel<b?f16, 64>", loads=4, reason="a pack of x and the weights, 2 of the residual", budget=475),
    Family(r"forward_kernel<b?f16, 128>", loads=7, reason="a pack of x, 2 of the weights, 4 of the residual",
           budget=755),
    Family(r"input_gradient_kernel<b?f16, 32>", loads=4, reason="a pack of the gradient, the weights, x and other",
           budget=310),
    Family(r"input_gradient_kernel<b?f16, 64>", loads=6, reason="a pack of the gradient and the weights, 2 of x and "
           "other", budget=500),
    Family(r"backward_kernel<b?f16, (128, 128|256, 64), true>", loads=3, reason="copies of 64 rows of dy, y and x",
           budget=1700),
    Family(r"backward_kernel<b?f16, \d+, \d+, (true|false)>", loads=3, reason="copies of dy, y and x", budget=1010),
    # Columns: kAtOnce rows, times the arrays of which a row is read.
    Family(rf"column_sums_kernel{_WIDE}SumTerms<", loads=4, reason="4 rows of x", budget=150),
    Family(rf"column_sums_kernel{_WIDE}MomentTerms<", loads=4, reason="4 rows of x", budget=200),
    Family(rf"column_sums_kernel{_WIDE}BackwardTerms<", loads=4, reason="2 rows of dy and x", budget=270),
    Family(rf"map_columns_kernel{_WIDE}ForwardMap<", loads=4, reason="4 rows of x", budget=400),
    Family(rf"map_columns_kernel{_WIDE}BackwardMap<", loads=4, reason="2 rows of dy and x", budget=262),
    Family(rf"map_columns_kernel{_WIDE}BackwardAddMap<", loads=3, reason="a row of dy, x and the other",
           budget=165),
    Family(rf"map_columns_kernel{_WIDE}SpreadMap<", reason="a column is read once, and written many times"),
    # Elements: two packs of each input.
    Family(r"map_elements_kernel<[48], Merged, ", loads=4, reason="2 packs of two inputs", budget=312),
    Family(r"attention_merge_backward_kernel<[48], ", loads=5, reason="2 packs of dy, m and t but one, for which "
           "64 registers do not suffice", budget=435),
    # Pools and resampling.
    Family(r"max_pool_forward_kernel<[48], 3, ", loads=9, reason="a window of 3x3", where="kernel", budget=700,
           has_winners=True),
    Family(r"max_pool_forward_kernel<[48], 0, ", reason="a window of any size, one input after the other",
           has_winners=True),
    Family(r"max_pool_backward_tile_kernel<[48], 3, 2, ", loads=4, reason="dy of 2x2 windows", where="kernel",
           has_winners=True),
    Family(r"max_pool_backward_tile_kernel<[48], 2, 2, ", loads=1, reason="dy of a window", where="kernel",
           has_winners=True),
    Family(r"max_pool_backward_gather_kernel<[48], ", reason="windows of any size, one after the other",
           has_winners=True),
    Family(r"average_pool_kernel<[48], ", reason="a rectangle of any size, one input after the other"),
    Family(r"upsample_forward_kernel<[48], true, ", loads=5, reason="4 of x, one of skip", where="kernel", budget=275),
    Family(r"upsample_forward_kernel<[48], false, ", loads=4, reason="4 of x", where="kernel", budget=250),
    Family(r"upsample_backward_gather_kernel<[48], ", loads=4, reason="4 neighbours of dy"),
    # Others, of which something differs.
    Family(r"gather_batch_kernel<", where="kernel", reason="elements of any number of channels, one by one",
           narrow={opcode: "bytes and single numbers" for opcode in (
               "LDG.E", "LDG.E.64", "LDG.E.U8", "STG.E", "STG.E.U16")},
           local="one thread of a block draws numbers, of which the generator has four at a time"),
]
# Kernels of these must be in a family.
_KNOWN = re.compile(r"(column_sums|map_columns|max_pool_\w+|average_pool|upsample_\w+)_kernel<[48],")


def family_of(kernel):
    return next((family for family in FAMILIES if re.match(family.pattern, kernel.name)), None)


def families_without_kernel(kernels):
    met = [family_of(kernel) for kernel in kernels]
    return [family for family in FAMILIES if family not in met]


def is_product(instruction):
    return instruction.name == "HMMA"


def is_wide_load(instruction):
    return instruction.is_global_load and instruction.is_full_width


def product_loops(kernel):
    """The innermost loops around products, but those inside others of them."""
    loops = kernel.innermost_loops(is_product)
    return [loop for loop in loops if not any(loop.body < other.body for other in loops)]


def hot_loops(kernel, family=None):
    """The loops with products of the tensor cores; else the innermost ones with full-width loads."""
    loops = product_loops(kernel)
    if not loops and (family is None or family.where == "loop"):
        loops = kernel.innermost_loops(is_wide_load)
    return sorted(loops, key=lambda loop: loop.first)


class _Pending:
    """Registers that are being loaded; for each the guards under which they have been overwritten since."""

    def __init__(self, registers, guards=frozenset()):
        self.registers, self.guards = frozenset(registers), guards  # guards: {(register, guard)}

    def is_used_by(self, instruction):
        return any((register, instruction.predicate) not in self.guards
                   for register in instruction.reads & self.registers)

    def after(self, instruction):
        registers, guards = self.registers, self.guards
        changed = instruction.changed_predicates
        if changed:
            guards = frozenset((r, guard) for r, guard in guards if guard.lstrip("!") not in changed)
        if instruction.predicate:
            guards |= {(r, instruction.predicate) for r in instruction.writes & registers}
        else:
            registers -= instruction.writes
        return _Pending(registers, guards)

    @property
    def key(self):
        return self.registers, self.guards


def _early_uses(kernel, loop, load):
    """The instructions that wait for what `load` has asked memory for before the step has multiplied, or the
    next step. A warp issues in order: the first instruction that reads what is loaded waits for it, and so does
    all behind it. Between the two must lie all products of a step; or none, if both are behind them."""
    instructions, found, seen = kernel.instructions, set(), set()
    products = [index for index in loop.body if is_product(instructions[index])]
    # Whether all products of a step lie ahead: so it is from the loop's beginning to the first of them.
    waiting = [(load, _Pending(instructions[load].writes), load < min(products), False)]
    while waiting:
        index, pending, sees_all, is_next_step = waiting.pop()
        for after in kernel.successors[index]:
            goes_back = after == loop.first
            sees, is_next = sees_all or goes_back, is_next_step or goes_back
            state = (after, pending.key, sees, is_next)
            if after not in loop.body or state in seen:
                continue
            seen.add(state)
            if pending.is_used_by(instructions[after]):
                if after < max(products) or is_next:
                    found.add(after)
            elif not (after == max(products) and sees):  # else all has been multiplied in between
                left = pending.after(instructions[after])
                if left.registers:
                    waiting.append((after, left, sees, is_next))
    return sorted(found)


def early_uses(kernel):
    """[(load, use)] of the loops with products."""
    return [(load, use) for loop in product_loops(kernel) for load in loop.indices
            if kernel.instructions[load].is_global_load for use in _early_uses(kernel, loop, load)[:1]]


def waits_before_multiply(kernel, family):
    """A step reads what it has asked memory for behind its last product."""
    found = early_uses(kernel)
    if found:
        load, use = (kernel.instructions[index] for index in found[0])
        yield (f"waits for {len(found)} loads of its own step before it has multiplied: the first is "
               f"{load}, used by {use}")


def _waits_for_copies(instructions, loop):
    """[(commit, wait)] where a step of a loop waits for a group of copies into shared memory (cp.async), and no
    step has been multiplied since it was asked for. A wait leaves the last groups under way that its number says."""
    products = [index for index in loop.body if is_product(instructions[index])]
    copies = [index for index in loop.indices if instructions[index].name == "LDGSTS"]
    commits = [index for index in loop.indices if instructions[index].name == "LDGDEPBAR"]
    waits = [index for index in loop.indices if instructions[index].opcode == "DEPBAR.LE"]
    for wait in waits if commits else []:
        left = int(instructions[wait].operands.split(",")[1], 0)
        before = sum(commit < wait for commit in commits) - left - 1  # which commit of this step, or before it
        steps_ago, commit = -(before // len(commits)), commits[before % len(commits)]
        asked = max((copy for copy in copies if copy < commit), default=commit)
        asked_before, waits_behind = asked < min(products), max(products) < wait
        is_multiplied_since = ((asked_before and waits_behind) if steps_ago == 0 else
                               (asked_before or waits_behind or steps_ago > 1))
        if not is_multiplied_since:
            yield commit, wait


def waits_for_copies(kernel, family):
    """The same of copies into shared memory, which go around the registers."""
    for loop in product_loops(kernel):
        for commit, wait in _waits_for_copies(kernel.instructions, loop):
            yield (f"waits for copies before a step has been multiplied since they were asked for: "
                   f"{kernel.instructions[wait]} for those before {kernel.instructions[commit]}")


def under_way(kernel, loop):
    """The full-width loads and copies that a step of a loop with products has under way while it multiplies."""
    instructions = kernel.instructions
    first = min(index for index in loop.body if is_product(instructions[index]))
    copies = sum(instructions[index].name == "LDGSTS" and instructions[index].is_full_width for index in loop.body)
    if list(_waits_for_copies(instructions, loop)):
        copies = 0
    return copies + sum(is_wide_load(instructions[index]) and not _early_uses(kernel, loop, index)
                        for index in loop.body if index < first)


def loads_together(kernel, indices):
    """The most full-width loads that are issued, in the order of the code, before the first of them is used."""
    most, count, pending = 0, 0, set()
    for index in indices:
        instruction = kernel.instructions[index]
        if instruction.reads & pending:
            count, pending = 0, set()
        pending -= instruction.writes
        if is_wide_load(instruction):
            count += 1
            pending |= instruction.writes
            most = max(most, count)
    return most


def _regions(kernel, family):
    if family.where == "kernel":
        return [range(len(kernel.instructions))]
    return [loop.indices for loop in hot_loops(kernel, family)]


def too_few_loads_together(kernel, family):
    """Loads are under way together, as many as the family says."""
    if family is None or family.loads == 0:
        return
    products = product_loops(kernel)
    for loop in products:
        if under_way(kernel, loop) < family.loads:
            yield (f"has {under_way(kernel, loop)} full-width loads under way while it multiplies, "
                   f"wanted {family.loads} ({family.reason})")
    if products:
        return
    regions = _regions(kernel, family)
    if not regions:
        yield f"has no loop with full-width loads, wanted one with {family.loads} ({family.reason})"
    for number, region in enumerate(regions):
        wanted = family.later if number > 0 and family.later > 0 else family.loads
        together = loads_together(kernel, region)
        if together < wanted:
            yield (f"issues {together} full-width loads before it uses the first, wanted {wanted} ({family.reason})"
                   + (f", in its loop {number + 1}" if number > 0 else ""))


def local_memory(kernel, family):
    """No spills, and no arrays that are indexed at run time."""
    found = [i for i in kernel.instructions if i.name in ("LDL", "STL")]
    if found and not (family is not None and family.local):
        yield f"has {len(found)} accesses of local memory, wanted none: the first is {found[0]}"


def narrow_accesses(kernel, family):
    """Accesses are of 16 bytes in hot loops, or in the whole of a kernel; what is beside them, such as sums of
    channels, is of any width."""
    if family is None:
        return
    found = {}
    for region in _regions(kernel, family):
        for index in region:
            instruction = kernel.instructions[index]
            if instruction.name not in ("LD", "LDG", "LDGSTS", "ST", "STG") or instruction.is_full_width:
                continue
            opcode = re.sub(r"\.(CONSTANT|STRONG|GPU|SYS|NA|EF|EL)\b", "", instruction.opcode)
            if not family.allows(opcode, kernel.name):
                found.setdefault(opcode, []).append(instruction)
    for opcode, instructions in sorted(found.items()):
        yield (f"has {len(instructions)} accesses {opcode} where only .128 are wanted: "
               f"the first is {instructions[0]}")


def over_budget(kernel, family):
    """The hot loop has no more instructions than the family says."""
    if family is None or family.budget == 0:
        return
    size = len(next(iter(_regions(kernel, family)), []))
    if size > family.budget:
        where = "all" if family.where == "kernel" else "its hot loop"
        yield f"has {size} instructions in {where}, wanted {family.budget} at most"


def unknown(kernel, family):
    """A kernel of which something should be demanded is in a family."""
    if family is None and (_KNOWN.match(kernel.name) or any(map(is_product, kernel.instructions))):
        yield "is in no family: add to FAMILIES in tests/machine_code/rules.py how many loads it has under way"


RULES = {"wait": waits_before_multiply, "copy": waits_for_copies, "loads": too_few_loads_together,
         "local": local_memory, "width": narrow_accesses, "budget": over_budget, "family": unknown}


def check(kernel):
    """[(rule, message)]"""
    family = family_of(kernel)
    return [(name, message) for name, rule in RULES.items() for message in rule(kernel, family)]
