#!/usr/bin/python3
"""Writes images.safetensors, what Pillow makes of images, with which tests/resize_test.cpp and tests/jpeg_test.cpp
compare; run once (Debian's python3-pil 9.4; with libjpeg-turbo 2.1).

    tests/golden/make_images.py [FOLDER]

"resized.HxW.HxW": `pattern` of the first size, resized to the second with BILINEAR. "cropped.HxW.N": what torchvision's
Resize(N) and CenterCrop(N) make of it. "jpeg.NAME.file" and "jpeg.NAME.pixels": a file, and the image in it after
exif_transpose.
"""
import io
import json
import struct
import sys
from pathlib import Path

from PIL import Image, ImageOps

RESIZED = [(37, 53, 8, 11), (100, 60, 32, 19), (5, 7, 9, 12), (64, 64, 32, 32), (1, 9, 3, 3), (33, 32, 32, 32),
           (20, 20, 20, 20), (9, 500, 9, 2), (3, 3, 1, 1)]
CROPPED = [(300, 211, 32), (480, 643, 32), (1000, 37, 32), (35, 33, 32), (32, 39, 32), (11, 17, 32), (1200, 1600, 24)]


def pattern(height, width):
    """Waves that become shorter to the right and downwards. Also in tests/resize_test.cpp."""
    return Image.frombytes("RGB", (width, height), bytes(
        (x * x * 7 + y * y * 13 + x * y * (3 + c) + 31 * c >> 3) & 255
        for y in range(height) for x in range(width) for c in range(3)))


def smooth(height, width):
    """Less than a JPEG file loses much of."""
    return Image.frombytes("RGB", (width, height), bytes(
        (x * 5 * (c + 1) + y * (11 - 4 * c) + 60 * c) // 2 % 400 * 5 // 8
        for y in range(height) for x in range(width) for c in range(3)))


def cropped(image, size):
    """As torchvision's functional.resize and functional.center_crop have it for Pillow's images."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    new_long = int(size * long / short)
    new_width, new_height = (size, new_long) if width <= height else (new_long, size)
    image = image.resize((new_width, new_height), Image.BILINEAR)
    top, left = round((new_height - size) / 2.0), round((new_width - size) / 2.0)
    return image.crop((left, top, left + size, top + size))


def jpeg(image, orientation=None, **options):
    if orientation is not None:
        exif = Image.Exif()
        exif[0x010F] = "Fovea"
        exif[0x0112] = orientation
        options["exif"] = exif.tobytes()
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def main():
    tensors = {}

    def add_image(name, image):
        image = image.convert("RGB")
        tensors[name] = ((image.height, image.width, 3), image.tobytes())

    for h, w, H, W in RESIZED:
        add_image(f"resized.{h}x{w}.{H}x{W}", pattern(h, w).resize((W, H), Image.BILINEAR))
    for h, w, size in CROPPED:
        add_image(f"cropped.{h}x{w}.{size}", cropped(pattern(h, w), size))
    image = smooth(19, 29)
    files = {"420": jpeg(image, quality=90, subsampling="4:2:0"), "444": jpeg(image, quality=95, subsampling="4:4:4"),
             "422": jpeg(image, quality=80, subsampling="4:2:2"),
             "progressive": jpeg(image, quality=90, progressive=True), "grey": jpeg(image.convert("L"), quality=90),
             "optimised": jpeg(image, quality=50, optimize=True)}
    files |= {f"exif{value}": jpeg(image.crop((0, 0, 16, 11)), value, quality=90) for value in range(1, 9)}
    for name, file in files.items():
        tensors[f"jpeg.{name}.file"] = ((len(file),), file)
        add_image(f"jpeg.{name}.pixels", ImageOps.exif_transpose(Image.open(io.BytesIO(file))))

    header, data = {}, b""
    for name, (shape, numbers) in tensors.items():
        header[name] = {"dtype": "U8", "shape": shape, "data_offsets": [len(data), len(data) + len(numbers)]}
        data += numbers
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    (folder / "images.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    main()
