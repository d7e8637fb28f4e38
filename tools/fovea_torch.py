"""The networks of Fovea in PyTorch (1.13 or later), with weights that go both ways.

    model = fovea_torch.load("runs/first/best.safetensors")   # or what `cifar_trainer export` wrote
    probabilities = model(fovea_torch.images_of(pixels, model.card)).softmax(1)   # pixels: u8 [N, H, W, 3]

    fovea_torch.save(model, "mine.safetensors", card)         # for `cifar_trainer import mine.safetensors`

`build(name)` builds each model of the zoo with random weights. Images are [N, 3, H, W] here; `fovea_name` turns a name
of the state dict into the path of the same parameter or buffer in Fovea. Python 3.11 or later, for what reads files.
"""
import json
import math
import os
import struct
from dataclasses import dataclass, field, replace

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


@dataclass(frozen=True)
class Card:
    """What one must know of weights to use them."""

    model: str  # a name of the zoo
    classes: tuple[str, ...]  # their names, in the order of the logits
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of red, green and blue from 0 to 1
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    options: dict = field(default_factory=dict)  # of Settings, where the model has other values


def images_of(pixels, card):
    """Bytes [N, H, W, 3] as what the network wants: f32 [N, 3, H, W], (byte / 255 - mean) / deviation."""
    images = torch.as_tensor(pixels).permute(0, 3, 1, 2).float() / 255
    return (images - torch.tensor(card.mean).view(3, 1, 1)) / torch.tensor(card.deviation).view(3, 1, 1)


DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
          "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8}
SETTINGS, CLASS_NAMES = "info.cifar_trainer.settings", "info.cifar_trainer.class_names"
OPTIONS = ("p", "t", "r", "attention", "merge", "mask", "extra_adds")


def read_safetensors(path):
    """Its tensors and its texts, both by name. ValueError for a file that is damaged or of another kind."""
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else len(data)
    try:
        header = json.loads(data[8:8 + length])
        texts = header.pop("__metadata__", {})
        tensors = {}
        for name, entry in header.items():
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
            if end > len(data) or end - begin != math.prod(shape) * torch.empty((), dtype=dtype).element_size():
                raise ValueError(f"tensor {name} has bytes {begin} to {end} of {len(data)}, which is not {shape}")
            tensors[name] = (torch.frombuffer(bytearray(data[begin:end]), dtype=dtype) if end > begin
                             else torch.empty(0, dtype=dtype)).reshape(shape)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no whole safetensors file: {error}") from error
    return tensors, texts


def write_safetensors(path, tensors, texts):
    """The file whole or not at all: 8 bytes with the header's length, a JSON header, the tensors' bytes."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    header, parts, end = {"__metadata__": texts}, [], 0
    # The widest first, so that every tensor is aligned to its own width.
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [end, end + len(values)]}
        parts.append(values)
        end += len(values)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    part = f"{path}.part"
    with open(part, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def card_of(texts, where):
    """The card in a file's texts. ValueError where there is none."""
    import tomllib
    if SETTINGS not in texts:
        raise ValueError(f"{where} does not say which network it is of; wanted a file of cifar_trainer, or of save")
    settings = {key.replace("-", "_"): value for key, value in tomllib.loads(texts[SETTINGS]).items()}
    mean, deviation = (tuple(float(texts[f"normalisation.{kind}.{c}"]) for c in range(3))
                       for kind in ("mean", "deviation"))
    return Card(settings["model"], tuple(texts[CLASS_NAMES].splitlines()), mean, deviation,
                {key: settings[key] for key in OPTIONS if key in settings})


def load(path):
    """The network of a file that `cifar_trainer train` or `export` wrote, or `save` here, in evaluation mode and f32;
    `card` of it says its classes and the normalisation of its images. ValueError for any other file."""
    tensors, texts = read_safetensors(path)
    card = card_of(texts, path)
    model = build(card.model, classes=len(card.classes), **card.options)
    if texts.get("format") == "pt":
        given = {name: tensor for name, tensor in tensors.items() if fovea_name(name)}
    else:
        fovea = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
        names = {fovea_name(name): name for name in model.state_dict() if fovea_name(name)}
        given = {names.get(name, name): tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor
                 for name, tensor in fovea.items()}
    wanted = {name for name in model.state_dict() if fovea_name(name)}
    if wanted != set(given):
        missing, unexpected = sorted(wanted - set(given)), sorted(set(given) - wanted)
        raise ValueError(f"{path}: missing {missing[:3]}, unexpected {unexpected[:3]}")
    model.load_state_dict(given, strict=False)  # of what Fovea does not keep there may be nothing
    model.card = card
    return model.eval()


def save(model, path, card):
    """Writes a network of this file for `cifar_trainer import`, or for `load`."""
    lines = [f"model = {json.dumps(card.model)}"]
    lines += [f"{key.replace('_', '-')} = {json.dumps(value)}" for key, value in card.options.items() if key in OPTIONS]
    texts = {"format": "pt", SETTINGS: "\n".join(lines) + "\n", CLASS_NAMES: "".join(f"{c}\n" for c in card.classes)}
    for kind in ("mean", "deviation"):
        texts.update({f"normalisation.{kind}.{c}": repr(float(getattr(card, kind)[c])) for c in range(3)})
    write_safetensors(path, model.state_dict(), texts)
