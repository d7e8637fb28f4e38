#!/usr/bin/env python3
"""Writes a small corpus for each fuzzer: seeds.py FOLDER makes FOLDER/PARSER/NAME."""
import gzip
import io
import json
import pathlib
import struct
import sys
import tarfile
import zlib


def safetensors(header, data=b""):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def checkpoint(evaluation="evaluation"):
    progress = {name: "1" for name in (
        "step", "epoch", "batch", "seed", "batch_size", "images", "loss_sum", "correct", "train_loss", "train_accuracy",
        "best_accuracy", "best_epoch", f"{evaluation}.loss", f"{evaluation}.accuracy", f"{evaluation}.images",
        f"{evaluation}.top5_accuracy")}
    metadata = {f"progress.{name}": text for name, text in progress.items()}
    for channel in range(3):
        metadata[f"normalisation.mean.{channel}"] = "0.5"
        metadata[f"normalisation.deviation.{channel}"] = "0.25"
    metadata |= {"format": "fovea-checkpoint-1", "info.a": "b", "settings.c": "d", "convolutions.made_for": "e",
                 "convolution.f": "g"}
    return safetensors({"__metadata__": metadata, "model.linear.weight": tensor("F32", [2, 1], 0, 8),
                        "optimiser.sgd.linear.weight": tensor("F16", [2], 8, 12)}, bytes(12))


def png(depth, colour, channels, interlace=0, side=5):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, interlace)
    row = b"\0" + bytes(range(1, 1 + (side * channels * depth + 7) // 8))
    palette = chunk(b"PLTE", bytes(3 << depth)) if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(row * side * 2)) + \
        chunk(b"IEND", b"")


def jpeg(process, channels, extra=b"", side=9):
    """Grey, every block in two bits (progressive: one)."""
    def marker(kind, data):
        return bytes([0xff, kind]) + struct.pack(">H", len(data) + 2) + data

    numbers = range(1, channels + 1)
    one_code = b"\1" + bytes(16)
    last = 0 if process == 0xc2 else 63
    return (b"\xff\xd8" + extra + marker(0xdb, b"\0" + b"\1" * 64) +
            marker(process, struct.pack(">BHHB", 8, side, side, channels) +
                   b"".join(bytes([n, 0x11, 0]) for n in numbers)) +
            marker(0xc4, b"\0" + one_code) + marker(0xc4, b"\x10" + one_code) +
            marker(0xda, bytes([channels]) + b"".join(bytes([n, 0]) for n in numbers) + bytes([0, last, 0])) +
            bytes(channels) + b"\xff\xd9")


EXIF = b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"


def npy(kind, shape, data, order="False"):
    text = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


def archive():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, size in (("a/c", 600), ("other", 10)):
            entry = tarfile.TarInfo(name)
            entry.size = size
            tar.addfile(entry, io.BytesIO(bytes(size)))
    return out.getvalue()[:4096]


IDX = struct.pack(">IIII", 0x803, 3, 5, 7) + bytes(105)
SETTINGS = """# A comment, caf\u00e9
model = "attention56"
milestones = [0.5, 30]  # and more
lr = 1e-1
flip = false
data = '''a
b'''
attention = \"\"\"mixed\"\"\"
"""



def pickle(rows=2, columns=3072):
    """As Python 2 writes CIFAR-10: labels, and an array of bytes."""
    def text(words):
        return (b"U" + bytes([len(words)]) if len(words) < 256 else b"T" + len(words).to_bytes(4, "little")) + words

    dtype = b"cnumpy\ndtype\nq\x04U\x02u1K\0K\1\x87Rq\x05(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    array = (b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\0\x85U\1b\x87Rq\x08(K\1K" +
             bytes([rows]) + b"M" + columns.to_bytes(2, "little") + b"\x86" + dtype + b"\x89" +
             text(bytes(rows * columns)) + b"tb")
    return (b"\x80\x02}q\1(" + text(b"labels") + b"]q\2(K\3K\7eh\2h\2NX\1\0\0\0aM\0\1J\0\0\0\1" +
            text(b"data") + array + b"u.")


SEEDS = {
    "safetensors": [
        safetensors({}),
        safetensors({"__metadata__": {"k": "v\u00e9\n"}, "a": tensor("I32", [2], 0, 8), "b": tensor("U8", [], 8, 9)},
                    bytes(9)),
        safetensors({"a": tensor("BF16", [0, 3], 0, 0), "b": tensor("BOOL", [3], 0, 3)}, bytes(3)),
        b"\x18" + bytes(7) + b'{"\\ud83d\\ude00":{"shape":' + bytes(4),
    ],
    "checkpoint": [checkpoint(), checkpoint("validation")],  # and as older files name it
    "cifar": [(b"\x03" + bytes(3072)) * 2, b"\x0b" + bytes(3072)],
    "pickle": [pickle(), pickle(2, 8), b"\x80\x02](K\1K\2e\x85\x88N\x87."],
    "idx": [IDX, gzip.compress(IDX, mtime=0), IDX[:20]],
    "npy": [npy("|u1", "(2, 2, 3, 3)", bytes(36)), npy("<i8", "(3,)", bytes(24)), npy("<u2", "(1,)", b"\1\0", "True"),
            npy("<f4", "(1, 1)", bytes(4))],
    "png": [png(8, 2, 3), png(8, 0, 1, 1), png(16, 6, 4, 1), png(4, 3, 1), png(1, 0, 1), png(16, 0, 1)],
    "jpeg": [jpeg(0xc0, 1), jpeg(0xc0, 3), jpeg(0xc2, 3), jpeg(0xc0, 1, EXIF), jpeg(0xc9, 1), b"RIFF\0\0\0\0WEBP"],
    "archive": [gzip.compress(archive(), mtime=0), archive()],
    "settings": [SETTINGS.encode(), b'a = "\\u00e9"\n[table]\nb = {c = 1979-05-27T07:32:00Z}'],
    "choices": [b'{"padded":true,"engine":12,"knobs":[[2,4],[0,1]]}', b'{"padded":false,"engine":null}'],
    "command_line": [b"train\n--lr\n0.1\n--no-flip\n--milestones\n[0.5, 30]", b"evaluate\n--checkpoint\na\n--json",
                     b"predict\n--checkpoint=a\nb.png", b"info\n--classes\n3", b"fetch\ncifar10\n--url\nx",
                     b"train\n--help",
                     b"trian"],
}


def main():
    for parser, seeds in SEEDS.items():
        folder = pathlib.Path(sys.argv[1]) / parser
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / f"seed{number}").write_bytes(seed)
    print(" ".join(SEEDS))


if __name__ == "__main__":
    main()
