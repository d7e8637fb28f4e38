"""Reads what `fovea_step_time --hand-over` has written, so that a peer does the same work, and shows that it does.

No library is needed here: numbers come as bytes, and what is compared are lists.
"""
import json
import math
import struct
import sys

STRUCT_CODES = {"F32": "f", "I32": "i"}
DISAGREES = 3  # exit status of a peer that gives other numbers
# Of the largest number; the last holds for all that follow. The weights and the batch are the same bits, but sums are
# rounded in another order. Networks that were never trained amplify that: in attention92 with running statistics of 0
# and 1, PyTorch's own layouts in f32 are 2e-4 from its f64. And where it moves a number across a ReLU's or a max-pool's
# edge its gradient jumps: after a step those layouts differ by 1e-4. The first loss of attention92-wide at batch 128 is
# 2.3032952 in f64, 2.3032949 by Fovea in f32, and 2.3032382 by PyTorch 1.13 and 2.15.
# Those of bf16 are for the other precisions that round factors, too: untrained networks put PyTorch's own bf16 up to
# 0.13 of the root mean square from its f32 (preact-resnet164).
TOLERANCES = {"f32": {"logits": [2e-3], "losses": [1e-4, 1e-3]}, "bf16": {"logits": [0.2], "losses": [0.02, 0.1]}}


class HandedOver:
    """The tensors of a safetensors file, each read when it is asked for, so that no memory is measured for the rest."""

    def __init__(self, path):
        self.file = open(path, "rb")
        (length,) = struct.unpack("<Q", self.file.read(8))
        self.entries = json.loads(self.file.read(length))
        self.entries.pop("__metadata__", None)
        self.begin = 8 + length

    def names(self):
        return list(self.entries)

    def read(self, name):
        """Its dtype ("F32", "I32"), its shape and its bytes."""
        entry = self.entries[name]
        begin, end = entry["data_offsets"]
        self.file.seek(self.begin + begin)
        return entry["dtype"], entry["shape"], bytearray(self.file.read(end - begin))

    def numbers(self, name):
        dtype, shape, data = self.read(name)
        return list(struct.unpack(f"<{math.prod(shape)}{STRUCT_CODES[dtype]}", data))

    def torch(self, torch, name):
        """As PyTorch has it: what is [N, H, W, C] here is [N, C, H, W] there."""
        dtype, shape, data = self.read(name)
        tensor = torch.frombuffer(data, dtype={"F32": torch.float32, "I32": torch.int32}[dtype]).reshape(shape)
        return tensor.permute(0, 3, 1, 2) if len(shape) == 4 else tensor

    def load(self, torch, model, fovea_name):
        """All parameters and buffers, no more and no less."""
        targets = {f"model.{fovea_name(name)}": tensor for name, tensor in model.state_dict().items()
                   if fovea_name(name)}
        given = {name for name in self.entries if name.startswith("model.")}
        if given != set(targets):
            sys.exit(f"handed over and in the model are not the same: {sorted(given ^ set(targets))[:4]}")
        with torch.no_grad():
            for name, target in targets.items():
                target.copy_(self.torch(torch, name))

    def agree(self, what, found, precision="f32"):
        """Ends the program unless these, computed in that precision, are the numbers of that name, which are f32's."""
        wanted, found = self.numbers(what), list(found)
        if len(found) != len(wanted):
            fail(f"{what}: {len(found)} numbers, Fovea has {len(wanted)}")
        tolerances, size = TOLERANCES["f32" if precision == "f32" else "bf16"][what], max(map(abs, wanted))
        for i, (a, b) in enumerate(zip(found, wanted)):
            tolerance = tolerances[min(i, len(tolerances) - 1)]
            if not abs(a - b) <= tolerance * size:
                fail(f"{what}[{i}] is {a:.7g}, Fovea's is {b:.7g}, wanted at most {tolerance:g} of {size:.3g} between")


def fail(message):
    print(message, file=sys.stderr)
    sys.exit(DISAGREES)
