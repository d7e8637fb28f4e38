#!/usr/bin/env python3
"""Runs `tools/gpu_check pack` with pretended programs: images there and back bit for bit, what is packed and how much
may travel, and what it says when it cannot go on.

usage: gpu_pack_test.py
"""
import json
import os
import pathlib
import shutil
import sys
import tarfile
import unittest
import zlib

sys.dont_write_bytecode = True
from gpu_pretended import Case, write_batches
from gpu import pack, pictures

DEBIAN = "/usr/bin/python3"  # whose packages have Pillow, where another Python is first in PATH


class Plain:
    """Stands in for Pillow where there is none: the same calls, and files of zlib's."""

    class Picture:
        def __init__(self, mode, size, data=None):
            self.mode, self.size = mode, size
            self.data = bytearray(data if data is not None else bytes(size[0] * size[1]))

        def paste(self, other, place):
            for row in range(other.size[1]):
                begin = (place[1] + row) * self.size[0] + place[0]
                self.data[begin:begin + other.size[0]] = other.data[row * other.size[0]:(row + 1) * other.size[0]]

        def crop(self, box):
            left, top, right, bottom = box
            rows = (self.data[y * self.size[0] + left:y * self.size[0] + right] for y in range(top, bottom))
            return Plain.Picture("L", (right - left, bottom - top), b"".join(rows))

        def tobytes(self):
            return bytes(self.data)

        def save(self, path, *_, **__):
            pathlib.Path(path).write_bytes(zlib.compress(json.dumps(self.size).encode() + b"\n" + self.data))

        def convert(self, _):
            return self

        def split(self):
            count = self.size[0] * self.size[1]
            return [Plain.Picture("L", self.size, self.data[i * count:(i + 1) * count]) for i in range(3)]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    new = frombytes = Picture
    merge = staticmethod(lambda mode, planes: Plain.Picture(mode, planes[0].size, b"".join(p.data for p in planes)))

    @staticmethod
    def open(path):
        size, _, data = zlib.decompress(pathlib.Path(path).read_bytes()).partition(b"\n")
        return Plain.Picture("RGB", json.loads(size), data)


def has_pillow():
    try:
        pictures.pillow()
        return True
    except pictures.DataError:
        return False


class Pictures(Case):
    def there_and_back(self):
        source, halves = self.folder / "source", [self.folder / "half-1", self.folder / "half-2"]
        write_batches(source)
        names = pictures.write_pictures(source, halves[1], images=3)
        self.assertEqual(len(names), 18)
        halves[0].mkdir()
        for name in names[:7]:
            (halves[1] / name).rename(halves[0] / name)
        pictures.read_pictures(halves, self.folder / "out")
        for name in [*pictures.BATCHES, pictures.NAMES]:
            self.assertEqual((source / name).read_bytes(), (self.folder / "out" / name).read_bytes(), name)
        # A picture that is another, and one that is not there.
        shutil.copy(halves[1] / names[10], halves[0] / names[0])
        with self.assertRaisesRegex(pictures.DataError, "data_batch_1.bin has SHA-256 .*, wanted"):
            pictures.read_pictures(halves, self.folder / "out")
        (halves[0] / names[0]).unlink()
        with self.assertRaisesRegex(pictures.DataError, f"{names[0]} is missing .* carry both halves"):
            pictures.read_pictures(halves, self.folder / "out")

    def test_with_a_pretended_pillow(self):
        real, pictures.pillow = pictures.pillow, lambda: Plain
        try:
            self.there_and_back()
        finally:
            pictures.pillow = real

    @unittest.skipUnless(has_pillow(), "no Python here has Pillow: install python3-pil")
    def test_with_pillow(self):
        self.there_and_back()

    def test_what_is_no_batch(self):
        source = self.folder / "source"
        write_batches(source)
        (source / pictures.BATCHES[2]).write_bytes(bytes(5000))
        real, pictures.pillow = pictures.pillow, lambda: Plain
        self.addCleanup(setattr, pictures, "pillow", real)
        with self.assertRaisesRegex(pictures.DataError, "data_batch_3.bin is no batch of CIFAR-10: 5000 bytes"):
            pictures.write_pictures(source, self.folder / "half")


class Pack(Case):
    def setUp(self):
        super().setUp()
        self.build, self.packed = self.folder / "build", self.folder / "packed"
        for program in pack.PROGRAMS:
            (self.build / program).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(shutil.which("true"), self.build / program)

    def pack(self, *words, **settings):
        return self.run_check("pack", self.packed, "--no-build", "--build", self.build, *words, **settings)

    def test_programs(self):
        said = self.pack("--without-data")
        with tarfile.open(self.packed / pack.ARCHIVE) as tar:
            names = tar.getnames()
        for program in ("cifar_trainer", "fovea_bench", "fovea_step_time", "device_tests"):
            self.assertIn(f"programs/{program}", names)
        self.assertFalse([name for name in names if "libc.so" in name])
        self.assertRegex(said, r"call 1 carries \d+\.\d MiB: tree \d+\.\d, programs.tar.xz \d+\.\d, half-1 0\.0")
        self.assertIn("call 3 carries", said)

    def test_limit(self):
        said = self.pack("--without-data", "--limit-mib", "0.5", status=2)
        self.assertRegex(said, r"gpu_check: call 1 carries .* MiB, .*call 3 carries .* MiB, wanted at most 0.5")

    def test_what_is_missing(self):
        said = self.pack("--data", self.folder, status=2)
        self.assertIn(f"CIFAR-10 is not in {self.folder}: there is no test_batch.bin", said)
        (self.build / pack.PROGRAMS[0]).unlink()
        self.assertIn("there is no", self.pack("--without-data", status=2))
        (self.packed / "mine").touch()
        self.assertIn("has mine, which is no part of a packed folder", self.pack("--without-data", status=2))

    def test_no_pillow(self):
        write_batches(self.folder / "data")
        (self.folder / "PIL.py").write_text("raise ImportError\n", encoding="utf-8")
        said = self.pack("--data", self.folder / "data", status=2, environment={"PYTHONPATH": str(self.folder)})
        self.assertIn("pictures need Pillow, which this Python lacks: `python3 -m pip install pillow`", said)

    def test_libraries(self):
        for name in ("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libcudnn.so.9", "libcublasLt.so.13"):
            self.assertTrue(pack.LEFT_TO_THE_MACHINE.match(name), name)
        for name in ("libstdc++.so.6", "libgcc_s.so.1", "libgomp.so.1", "libcurl.so.4", "libcrypto.so.3"):
            self.assertFalse(pack.LEFT_TO_THE_MACHINE.match(name), name)

    def test_halves(self):
        sizes = {name: 10 for name in "abcdefgh"}
        self.assertEqual(pack.share(sizes, sizes, ahead=0), list("abcd"))
        self.assertEqual(pack.share(sizes, sizes, ahead=20), list("abc"))
        self.assertEqual(pack.share(sizes, sizes, ahead=100), [])


if __name__ == "__main__":
    if not has_pillow() and sys.executable != DEBIAN and os.access(DEBIAN, os.X_OK):
        os.execv(DEBIAN, [DEBIAN, __file__, *sys.argv[1:]])
    unittest.main()
