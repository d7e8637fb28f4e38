#!/usr/bin/python3
"""Writes the stored numbers that tests/parity_test.cpp compares with; run once, with PyTorch on the CPU.

    python3 tests/golden/make_golden.py [FOLDER]
    python3 tests/golden/make_golden.py --maps [FOLDER]   # adds the attention maps to the files that are there

One safetensors file for each variant: a narrow net's parameters and running statistics ("model.PATH"), a batch
("pixels" as [N, H, W, 3], "labels"), its logits in evaluation ("eval_logits") and training ("train_logits"),
the gradients of the training loss ("gradient.PATH"), the running statistics after that pass ("after.PATH") and
the losses of ten steps of Nesterov SGD on that batch ("losses"), and for the first image what each attention
module computes in evaluation ("mask.PATH", "trunk.PATH", "merged.PATH"; not of all variants). The weights are f32
numbers; the rest is computed in f64 from them, so it is the truth for every precision. Seeds are tried until no ReLU
and no max-pool sits on an edge where the rounding of f32 would decide, for there a gradient jumps.
"""
import copy
import itertools
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from fovea_torch import (
    AttentionModule,
    PreActResNet,
    ResidualAttentionNetwork,
    Settings,
    fovea_name,
    read_safetensors,
    write_safetensors,
)

NARROW = Settings(classes=5, stem=8, channels=(8, 16, 16), modules=(1, 1, 1))
WIDE = replace(NARROW, stem_bn=True, modules=(1, 2, 1), mask_depth=(2, 1, 0), closing_unit=False,
               tail=(32, 32), extra_adds=True)
ONE_MODULE = replace(NARROW, modules=(1, 0, 0))
# Also in tests/parity_test.cpp, by name.
VARIANTS = {
    "mixed": NARROW,
    "channel": replace(ONE_MODULE, attention="channel"),
    "spatial": replace(ONE_MODULE, attention="spatial"),
    "naive": replace(ONE_MODULE, merge="naive"),
    "naive-channel": replace(ONE_MODULE, merge="naive", attention="channel"),
    "naive-spatial": replace(ONE_MODULE, merge="naive", attention="spatial"),
    "local": replace(ONE_MODULE, mask="local"),
    "deep": replace(NARROW, modules=(0, 0, 1), mask_depth=(1, 1, 2), p=2, t=3, r=2),
    "wide": WIDE,
    "imagenet": replace(WIDE, stem_kind="conv7x7_pool", channels=(8, 16), modules=(1, 1), extra_adds=False,
                        tail_stride=2),
    "preact": None,
}
WITH_MAPS = ("mixed", "channel", "spatial", "naive")
BATCH, SIZE, STEPS = 4, 16, 10
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.02, 0.9, 5e-4
EDGE = 1e-5  # for numbers of size 1
# Relative, of each parameter's gradient as a whole. Sums in another order have errors up to 8 times as large, most so
# in the deepest net.
F32_GRADIENT_ERROR, F32_GRADIENT_ERROR_DEEP = 2e-5, 1e-5


def images_of(pixels):
    """Exact in every precision."""
    return pixels.double() / 64 - 2


def channels_last(tensor):
    """[N, C, H, W] images and [K, C, R, S] filters to Fovea's order."""
    return tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor


def exported(prefix, named_tensors):
    result = {}
    for name, tensor in named_tensors:
        path = fovea_name(name)
        if path is not None:
            result[prefix + path] = channels_last(tensor.detach()).float().clone()
    return result


def build(settings):
    return ResidualAttentionNetwork(settings) if settings else PreActResNet(5, 8, (8, 16, 16), 2)


def randomise(net):
    """Batch norms away from 1 and 0, so that an exchanged or forgotten one shows; all values exact in f32."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.normal_(1, 0.2)
            module.bias.data.normal_(0, 0.2)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    return net.double()


def train(net, images, labels):
    """The losses of ten steps, and the first step's logits, gradients and running statistics."""
    net = copy.deepcopy(net).train()
    optimiser = torch.optim.SGD(net.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True)
    losses, first = [], {}
    for step in range(STEPS):
        logits = net(images)
        loss = F.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            first["train_logits"] = logits.detach()
            first.update(exported("gradient.", ((n, p.grad) for n, p in net.named_parameters())))
            first.update(exported("after.", net.named_buffers()))
        optimiser.step()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64), first


def edge_distance(net, images):
    """How near the nearest ReLU is to 0, and the nearest max-pool to choosing another element."""
    distances = []
    relu, max_pool = F.relu, F.max_pool2d

    def watched_relu(x, **options):
        distances.append(x.abs().min().item())
        return relu(x, **options)

    def watched_max_pool(x, window, stride, padding, *rest, **options):
        windows = F.unfold(F.pad(x, [padding] * 4, value=-1e9), window, stride=stride)
        first, second = windows.view(len(x), x.shape[1], window * window, -1).topk(2, dim=2).values.unbind(2)
        gaps = first - second
        distances.append(gaps[gaps > 0].min().item())  # equal numbers are equal in every precision
        return max_pool(x, window, stride, padding, *rest, **options)

    with patch.object(F, "relu", watched_relu), patch.object(F, "max_pool2d", watched_max_pool), torch.no_grad():
        copy.deepcopy(net).train()(images)
    return min(distances)


def f32_gradient_error(net, images, labels):
    gradients = []
    for dtype in (torch.float64, torch.float32):
        twin = copy.deepcopy(net).train().to(dtype)
        F.cross_entropy(twin(images.to(dtype)), labels).backward()
        gradients.append([parameter.grad.double() for parameter in twin.parameters()])
    return max((b - a).norm().item() / a.norm().item() for a, b in zip(*gradients))


def draw(name, settings):
    """A net and a batch whose gradients f32 can follow."""
    size = 2 * SIZE if name == "imagenet" else SIZE
    largest_error = F32_GRADIENT_ERROR_DEEP if name == "deep" else F32_GRADIENT_ERROR
    for seed in itertools.count():
        torch.manual_seed(seed)
        net = randomise(build(settings))
        pixels, labels = torch.randint(256, (BATCH, 3, size, size)), torch.randint(5, (BATCH,))
        images = images_of(pixels)
        if edge_distance(net, images) > EDGE and f32_gradient_error(net, images, labels) < largest_error:
            return net, pixels.byte(), labels


def attention_maps(net, images):
    """Mask, trunk and merged features of every attention module, [N, H, W, C] under their paths in Fovea."""
    maps = {}
    for name, module in net.named_modules():
        if not isinstance(module, AttentionModule):
            continue
        path = fovea_name(name + ".mask.norm1.weight").removesuffix(".mask.norm1.weight")

        def keep(kind, tensor, path=path):
            maps[f"{kind}.{path}"] = channels_last(tensor.detach()).float()

        module.mask.register_forward_hook(lambda _, __, y, m=module, keep=keep: keep("mask", m.normalise(y)))
        module.trunk.register_forward_hook(lambda _, __, y, keep=keep: keep("trunk", y))
        module.after.register_forward_pre_hook(lambda _, x, keep=keep: keep("merged", x[0]))
    net.eval()(images)
    return maps


def channels_first(tensor):
    return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor


def add_maps(path, settings):
    tensors, metadata = read_safetensors(path)
    net = build(settings)
    state = {name: channels_first(tensors["model." + fovea_name(name)])
             for name in net.state_dict() if fovea_name(name) is not None}
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected and all(fovea_name(name) is None for name in missing), (missing, unexpected)
    net = net.double()
    images = channels_first(images_of(tensors["pixels"]))
    distance = (net.eval()(images) - tensors["eval_logits"]).abs().max().item()
    assert distance < 1e-9, f"{path}: the logits are {distance} from those stored"
    write_safetensors(path, {**tensors, **attention_maps(net, images[:1])}, metadata)


def golden(name, settings):
    net, pixels, labels = draw(name, settings)
    images = images_of(pixels)
    tensors = exported("model.", net.state_dict().items())
    tensors["pixels"], tensors["labels"] = channels_last(pixels), labels.int()
    tensors["eval_logits"] = net.eval()(images).detach()
    tensors["losses"], first = train(net, images, labels)
    if name in WITH_MAPS:
        tensors.update(attention_maps(net, images[:1]))
    return {**tensors, **first}


def main():
    only_maps = "--maps" in sys.argv[1:]
    folder = Path(next((a for a in sys.argv[1:] if a != "--maps"), Path(__file__).parent))
    if only_maps:
        for name in WITH_MAPS:
            add_maps(folder / f"{name}.safetensors", VARIANTS[name])
        return
    for name, settings in VARIANTS.items():
        tensors = golden(name, settings)
        path = folder / f"{name}.safetensors"
        write_safetensors(path, tensors, {"variant": name, "torch": torch.__version__})
        losses = tensors["losses"].tolist()
        print(f"{path.name:26s} {path.stat().st_size:7d} bytes, loss {losses[0]:.4f} to {losses[-1]:.4f}")


if __name__ == "__main__":
    main()
