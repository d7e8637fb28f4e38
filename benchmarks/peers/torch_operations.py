"""PyTorch's way of doing what the kernels of fovea_bench do: torch_kernels.py times these.

`OPERATIONS` maps a name to an Operation: which benchmarks of fovea_bench do the same (several, where Fovea has passes
of their own for what is one call in PyTorch), and how to prepare the call for the benchmark's arguments.
"""
import pathlib
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import fovea_torch


class Maker:
    """Makes tensors for one call: random ones, images channels-last."""

    def __init__(self, device, dtype, arguments):
        self.device, self.dtype, self.arguments = device, dtype, arguments

    def of(self, *shape, dtype=None):
        tensor = torch.randn(*shape).to(self.device, dtype or self.dtype)
        return tensor.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else tensor

    def __getitem__(self, name):
        return self.arguments[name]

    def images(self, shrink=1):
        return self.of(self["N"], self["C"], self["H"] // shrink, self["W"] // shrink)

    def labels(self):
        return torch.randint(0, self["C"], (self["N"],)).to(self.device)


@dataclass
class Operation:
    """`forward(make)` gives a function and its inputs. A backward operation is the gradient of the function to those
    of its inputs that require one; `prepare` is for what is neither: it gives the call itself."""
    kernels: tuple[str, ...]
    forward: Callable = None
    is_backward: bool = False
    prepare: Callable = None


def residual_merge(m, t):
    return (1 + torch.sigmoid(m)) * t


def naive_merge(m, t):
    return torch.sigmoid(m) * t


def upsample(x):
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def upsample_add(x, skip):
    return upsample(x) + skip


def cross_entropy(logits, labels):
    return F.cross_entropy(logits, labels, label_smoothing=0.1)


def batch_norm_relu(make):
    channels = [make.of(make["C"], dtype=torch.float32) for _ in range(4)]
    running_mean, running_var = channels[2], channels[3].abs()

    def function(x, weight, bias):
        return F.relu(F.batch_norm(x, running_mean, running_var, weight, bias, training=True))
    return function, [make.images(), channels[0], channels[1]]


def channel_norm(x):
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)


def spatial_norm(x):
    centred = x - x.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()


def convolution(make):
    N, H, C, K, R = (make[name] for name in "NHCKR")
    return (lambda x, weight: F.conv2d(x, weight, padding=R // 2)), [make.of(N, C, H, H), make.of(K, C, R, R)]


def convolution_backward(which):
    """cuDNN's call for one of the two gradients alone."""
    def prepare(make):
        function, (x, weight) = convolution(make)
        dy, padding = torch.randn_like(function(x, weight)), [make["R"] // 2] * 2
        mask = [which == "input", which == "weight", False]
        return lambda: torch.ops.aten.convolution_backward(dy, x, weight, None, [1, 1], padding, [1, 1], False,
                                                           [0, 0], 1, mask)
    return prepare


def product(make):
    return (lambda a, b: a @ b.t()), [make.of(make["M"], make["K"]), make.of(make["N"], make["K"])]


def optimiser(kind, **settings):
    """One step over the parameters of the network that has so many, gradients and all in f32."""
    def prepare(make):
        for name in ("attention92", "attention92-wide"):
            model = fovea_torch.build(name)
            if sum(parameter.numel() for parameter in model.parameters()) == make["parameters"]:
                break
        else:
            raise ValueError(f"no network has {make['parameters']} parameters")
        model.to(make.device)
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        chosen = dict(settings)
        if make.device.type != "cuda":
            chosen = {key: value for key, value in settings.items() if key not in ("fused", "capturable")}
        return kind(model.parameters(), lr=1e-6, **chosen).step
    return prepare


def pair(name, function, inputs, benchmark=None):
    """The forward and the backward operation of a function."""
    name_of = benchmark or name
    return {f"{name} forward": Operation((f"{name_of}_forward",), lambda make: (function, inputs(make))),
            f"{name} backward": Operation((f"{name_of}_backward",), lambda make: (function, inputs(make)), True)}


def two_images(make):
    return [make.images(), make.images()]


def one_image(make):
    return [make.images()]


SGD = {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
OPERATIONS = {
    **pair("attention_merge", residual_merge, two_images),
    **pair("attention_merge_naive", naive_merge, two_images),
    **pair("upsample", upsample, lambda make: [make.images(shrink=2)]),
    "upsample_add forward": Operation(("upsample_add_forward",),
                                      lambda make: (upsample_add, [make.images(shrink=2), make.images()])),
    "batch_norm_relu forward": Operation(("batch_norm_statistics", "batch_norm_relu_forward"), batch_norm_relu),
    "batch_norm_relu backward": Operation(("batch_norm_relu_backward_reduce", "batch_norm_relu_backward_input"),
                                          batch_norm_relu, True),
    **pair("max_pool", lambda x: F.max_pool2d(x, 3, 2, 1), one_image),
    **pair("average_pool", lambda x: F.avg_pool2d(x, 3, 2, 1), one_image),
    **pair("softmax_cross_entropy", cross_entropy, lambda make: [make.of(make["N"], make["C"]), make.labels()]),
    **pair("relu", torch.relu, one_image),
    **pair("sigmoid", torch.sigmoid, one_image),
    **pair("channel_norm", channel_norm, one_image),
    **pair("spatial_norm", spatial_norm, one_image),
    **pair("global_average", lambda x: x.mean((2, 3)), one_image),
    "add": Operation(("add_forward",), lambda make: (torch.add, two_images(make))),
    "convolution": Operation(("conv_forward",), convolution),
    "convolution, input": Operation(("conv_backward_input",), prepare=convolution_backward("input")),
    "convolution, weight": Operation(("conv_backward_weight",), prepare=convolution_backward("weight")),
    "product": Operation(("matmul_forward",), product),
    "sgd, foreach": Operation(("sgd_step",), prepare=optimiser(torch.optim.SGD, foreach=True, **SGD)),
    "sgd, fused": Operation(("sgd_step",), prepare=optimiser(torch.optim.SGD, fused=True, **SGD)),
    "adamw, fused": Operation(("adamw_step",), prepare=optimiser(torch.optim.AdamW, fused=True, capturable=True)),
}


def call_of(operation, make, compile_function):
    """The call that is timed, after one warm-up."""
    if operation.prepare is not None:
        if compile_function is not None:
            raise ValueError("is one call of a library")
        call = operation.prepare(make)
        call()
        return call
    function, inputs = operation.forward(make)
    if compile_function is not None:
        function = compile_function(function)
    wanted = [x.requires_grad_(True) for x in inputs if operation.is_backward and x.is_floating_point()]
    y = function(*inputs)
    if not operation.is_backward:
        def call():
            with torch.no_grad():
                return function(*inputs)
    else:
        dy = torch.randn_like(y)

        def call():
            return torch.autograd.grad(y, wanted, dy, retain_graph=True)
    call()
    return call
