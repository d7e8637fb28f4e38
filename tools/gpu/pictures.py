"""CIFAR-10's .bin files as lossless pictures, 97 MiB instead of 176, and back, bit for bit.

A record of a .bin file is a label and the planes of a 32x32 image: 1 + 3 * 1024 bytes. A picture is a mosaic of up to
2,000 images in rows of 40, as WebP; the labels and the SHA-256 of every .bin file are in pictures.json. Needs Pillow.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib

BATCHES = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
NAMES = "batches.meta.txt"
MANIFEST = "pictures.json"
SIDE, COLUMNS, IMAGES = 32, 40, 2000
PLANE = SIDE * SIDE
RECORD = 1 + 3 * PLANE


class DataError(Exception):
    """What is wrong with images, and what to do."""


def pillow():
    try:
        from PIL import Image, features
    except ImportError:
        raise DataError("pictures need Pillow, which this Python lacks: `python3 -m pip install pillow`, or Debian's "
                        "python3-pil and /usr/bin/python3") from None
    if not features.check("webp"):
        raise DataError("pictures need a Pillow with WebP, which this one is built without: "
                        "`python3 -m pip install pillow`")
    return Image


def find_batches(folder):
    """The folder with the .bin files: that one, or its child; None if neither has them."""
    for place in (pathlib.Path(folder), pathlib.Path(folder, "cifar-10-batches-bin")):
        if (place / BATCHES[-1]).is_file():
            return place
    return None


def find_data(data):
    """Where CIFAR-10 is: in the folder named, or $FOVEA_DATA, or the cache folder."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "fovea")
    places = [data] if data else [place for place in (os.environ.get("FOVEA_DATA"), cache) if place]
    for place in places:
        if found := find_batches(place):
            return found
    raise DataError(f"CIFAR-10 is not in {' or '.join(map(str, places))}: there is no test_batch.bin, there or in "
                    "cifar-10-batches-bin; name its folder with --data, or get it with `cifar_trainer fetch cifar10`")


def draw(Image, records, path):
    """Writes records as one picture."""
    count = len(records) // RECORD
    size = (SIDE * min(count, COLUMNS), SIDE * -(-count // COLUMNS))
    planes = []
    for channel in range(3):
        plane = Image.new("L", size)
        for i in range(count):
            begin = i * RECORD + 1 + channel * PLANE
            image = Image.frombytes("L", (SIDE, SIDE), records[begin:begin + PLANE])
            plane.paste(image, (i % COLUMNS * SIDE, i // COLUMNS * SIDE))
        planes.append(plane)
    Image.merge("RGB", planes).save(path, "WEBP", lossless=True, quality=75, method=4, exact=True)


def read(Image, path, labels):
    """The records of a picture."""
    with Image.open(path) as picture:
        planes = picture.convert("RGB").split()
    parts = []
    for i, label in enumerate(labels):
        left, top = i % COLUMNS * SIDE, i // COLUMNS * SIDE
        parts.append(bytes([int(label)]))
        parts += [plane.crop((left, top, left + SIDE, top + SIDE)).tobytes() for plane in planes]
    return b"".join(parts)


def write_pictures(source, folder, images=IMAGES):
    """Writes all .bin files of `source` as pictures into `folder`, with what read_pictures needs: names in order."""
    Image = pillow()
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"names": pathlib.Path(source, NAMES).read_text(encoding="utf-8"), "files": {}}
    work = []
    for batch in BATCHES:
        data = pathlib.Path(source, batch).read_bytes()
        labels = data[::RECORD]
        if not data or len(data) % RECORD or max(labels) > 9:
            raise DataError(f"{pathlib.Path(source, batch)} is no batch of CIFAR-10: {len(data)} bytes, wanted "
                            f"records of {RECORD} bytes that begin with a label from 0 to 9")
        pictures = []
        for first in range(0, len(labels), images):
            name = f"{batch.removesuffix('.bin')}-{first // images:02}.webp"
            pictures.append({"name": name, "labels": "".join(map(str, labels[first:first + images]))})
            work.append((data[first * RECORD:(first + images) * RECORD], folder / name))
        manifest["files"][batch] = {"sha256": hashlib.sha256(data).hexdigest(), "pictures": pictures}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda records_and_path: draw(Image, *records_and_path), work))
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return [path.name for _, path in work]


def read_pictures(folders, out):
    """Rebuilds the .bin files in `out` from pictures that lie in `folders`, and compares their SHA-256."""
    folders = [pathlib.Path(folder) for folder in folders]
    manifests = [folder / MANIFEST for folder in folders if (folder / MANIFEST).is_file()]
    if not manifests:
        raise DataError(f"there is no {MANIFEST} in {' or '.join(map(str, folders))}: carry the halves of the pictures")
    Image = pillow()
    manifest = json.loads(manifests[0].read_text(encoding="utf-8"))

    def place_of(name):
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
        raise DataError(f"the picture {name} is missing in {' and '.join(map(str, folders))}: carry both halves")

    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        parts = {batch: [pool.submit(read, Image, place_of(picture["name"]), picture["labels"])
                         for picture in entry["pictures"]] for batch, entry in manifest["files"].items()}
        for batch, entry in manifest["files"].items():
            data = b"".join(part.result() for part in parts[batch])
            found = hashlib.sha256(data).hexdigest()
            if found != entry["sha256"]:
                raise DataError(f"{batch} has SHA-256 {found} after unpacking, wanted {entry['sha256']}: the pictures "
                                "were changed on their way; pack and carry them again")
            (out / batch).write_bytes(data)
    (out / NAMES).write_text(manifest["names"], encoding="utf-8")
