"""The networks of models/ in PyTorch (1.13 or later): what Fovea's are compared with, in numbers and in speed.

`build(name)` builds each model of the zoo. Images are [N, 3, H, W] here; `fovea_name` turns a name of the
state dict into the path of the same parameter or buffer in Fovea.
"""
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Settings:
    """As ResidualAttentionSettings in models/residual_attention.h."""

    classes: int = 10
    stem_kind: str = "conv3x3"  # or conv7x7_pool
    stem: int = 16
    stem_bn: bool = False
    channels: tuple[int, ...] = (64, 128, 256)
    modules: tuple[int, ...] = (2, 2, 2)
    mask_depth: tuple[int, ...] = (3, 2, 1)
    closing_unit: bool = True
    tail: tuple[int, ...] = ()
    tail_stride: int = 1
    p: int = 1
    t: int = 2
    r: int = 1
    attention: str = "mixed"  # or channel, spatial
    merge: str = "residual"  # or naive
    mask: str = "down-up"  # or local
    extra_adds: bool = False


def conv(c, k, kernel, stride=1):
    layer = nn.Conv2d(c, k, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    return layer


class NormRelu(nn.BatchNorm2d):
    def forward(self, x):
        return F.relu(super().forward(x), inplace=True)


class Unit(nn.Module):
    """Pre-activation bottleneck; where shapes differ, the shortcut is a projection of the activated input."""

    def __init__(self, c, k, stride=1):
        super().__init__()
        self.norm1, self.reduce = NormRelu(c), conv(c, k // 4, 1)
        self.norm2, self.conv = NormRelu(k // 4), conv(k // 4, k // 4, 3, stride)
        self.norm3, self.expand = NormRelu(k // 4), conv(k // 4, k, 1)
        self.project = conv(c, k, 1, stride) if c != k or stride != 1 else None

    def forward(self, x):
        a = self.norm1(x)
        y = self.conv(self.norm2(self.reduce(a)))
        return self.expand(self.norm3(y)) + (x if self.project is None else self.project(a))


def units(c, count):
    return nn.Sequential(*(Unit(c, c) for _ in range(count)))


class SoftMask(nn.Module):
    """The mask branch up to its logits. A local one has all its units in the middle, at full size."""

    def __init__(self, c, depth, s):
        super().__init__()
        is_local = s.mask == "local"
        inner = max(depth - 1, 0)
        self.poolings, self.extra_adds = (0 if is_local else depth), s.extra_adds
        levels = range(0 if is_local else inner)
        self.down = nn.ModuleList(units(c, s.r) for _ in levels)
        self.skip = nn.ModuleList(Unit(c, c) for _ in levels)
        self.middle = units(c, 2 * s.r + (inner * (2 * s.r + 1) if is_local else 0))
        self.up = nn.ModuleList(units(c, s.r) for _ in levels)
        self.norm1, self.conv1 = NormRelu(c), conv(c, c, 1)
        self.norm2, self.conv2 = NormRelu(c), conv(c, c, 1)

    def forward(self, x, trunk):
        kept, y = [], x
        for down in self.down:
            y = down(F.max_pool2d(y, 3, 2, 1))
            kept.append(y)
        y = self.middle(F.max_pool2d(y, 3, 2, 1) if self.poolings else y)
        for i in reversed(range(len(kept))):
            y = self.upsample(y, kept[i]) + self.skip[i](kept[i])
            y = self.up[i](y + kept[i] if self.extra_adds else y)
        if self.poolings:
            y = self.upsample(y, x)
            y = y + trunk if self.extra_adds else y
        return self.conv2(self.norm2(self.conv1(self.norm1(y))))

    @staticmethod
    def upsample(y, like):
        return F.interpolate(y, size=like.shape[2:], mode="bilinear", align_corners=True)


class AttentionModule(nn.Module):
    def __init__(self, c, depth, s):
        super().__init__()
        self.attention, self.merge = s.attention, s.merge
        self.before, self.trunk = units(c, s.p), units(c, s.t)
        self.mask, self.after = SoftMask(c, depth, s), units(c, s.p)

    def normalise(self, x):
        if self.attention == "channel":
            return x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)
        if self.attention == "spatial":
            centred = x - x.mean((2, 3), keepdim=True)
            x = centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
        return torch.sigmoid(x)

    def forward(self, x):
        x = self.before(x)
        trunk = self.trunk(x)
        mask = self.normalise(self.mask(x, trunk))
        return self.after((1 + mask if self.merge == "residual" else mask) * trunk)


class Stage(nn.Module):
    def __init__(self, c, k, stride, count, depth, s):
        super().__init__()
        self.unit = Unit(c, k, stride)
        self.attention_modules = nn.Sequential(*(AttentionModule(k, depth, s) for _ in range(count)))
        self.closing = Unit(k, k) if s.closing_unit else nn.Identity()

    def forward(self, x):
        return self.closing(self.attention_modules(self.unit(x)))


class ResidualAttentionNetwork(nn.Module):
    def __init__(self, s):
        super().__init__()
        is_large = s.stem_kind == "conv7x7_pool"
        self.stem = conv(3, s.stem, 7, 2) if is_large else conv(3, s.stem, 3)
        self.stem_norm = NormRelu(s.stem) if s.stem_bn else nn.Identity()
        self.pool = nn.MaxPool2d(3, 2, 1) if is_large else nn.Identity()
        self.stages, c = nn.Sequential(), s.stem
        for i, (k, count, depth) in enumerate(zip(s.channels, s.modules, s.mask_depth)):
            self.stages.append(Stage(c, k, 1 if i == 0 else 2, count, depth, s))
            c = k
        self.tail = nn.Sequential()
        for i, k in enumerate(s.tail):
            self.tail.append(Unit(c, k, s.tail_stride if i == 0 else 1))
            c = k
        self.norm, self.linear = NormRelu(c), nn.Linear(c, s.classes)

    def forward(self, x):
        y = self.tail(self.stages(self.pool(self.stem_norm(self.stem(x)))))
        return self.linear(self.norm(y).mean((2, 3)))


class PreActResNet(nn.Module):
    def __init__(self, classes=10, stem=16, channels=(64, 128, 256), count=18):
        super().__init__()
        self.stem, self.stages, c = conv(3, stem, 3), nn.Sequential(), stem
        for i, k in enumerate(channels):
            self.stages.append(nn.Sequential(Unit(c, k, 1 if i == 0 else 2), *units(k, count - 1)))
            c = k
        self.norm, self.linear = NormRelu(c), nn.Linear(c, classes)

    def forward(self, x):
        return self.linear(self.norm(self.stages(self.stem(x))).mean((2, 3)))


PAPER = Settings()
WIDE = Settings(stem=32, stem_bn=True, channels=(128, 256, 512), modules=(1, 2, 3), mask_depth=(2, 1, 0),
                closing_unit=False, tail=(1024, 1024, 1024), extra_adds=True)
IMAGENET = Settings(classes=1000, stem_kind="conv7x7_pool", stem=64, stem_bn=True, channels=(256, 512, 1024),
                    closing_unit=False, tail=(2048, 2048, 2048), tail_stride=2)
ZOO = {
    "attention-nano": replace(PAPER, channels=(32, 64, 128), modules=(1, 1, 1)),
    "attention56": replace(PAPER, modules=(1, 1, 1)),
    "attention92": PAPER,
    "attention128": replace(PAPER, modules=(3, 3, 3)),
    "attention164": replace(PAPER, modules=(4, 4, 4)),
    "attention236": replace(PAPER, modules=(6, 6, 6)),
    "attention452": replace(PAPER, modules=(6, 6, 6), p=2, t=4, r=3),
    "attention92-wide": WIDE,
    "attention56-imagenet": replace(IMAGENET, modules=(1, 1, 1)),
    "attention92-imagenet": replace(IMAGENET, modules=(1, 2, 3)),
}


def build(name, **options):
    """The model that make_model(name) builds; options as in Settings, for example classes=100."""
    if name == "preact-resnet164":
        return PreActResNet(**options)
    return ResidualAttentionNetwork(replace(ZOO[name], **options))


def fovea_name(name):
    """The path in Fovea of a parameter or buffer; None for what Fovea does not keep."""
    if name.endswith("num_batches_tracked"):
        return None
    return name.replace("attention_modules.", "modules.").replace("running_var", "running_variance")
