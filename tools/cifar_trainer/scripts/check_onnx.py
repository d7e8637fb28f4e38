#!/usr/bin/env python3
"""Computes a file of ONNX in ONNX Runtime, and compares: cifar_trainer export --onnx runs this.

usage: check_onnx.py FILE.onnx FOLDER

FOLDER has images.npy, bytes as f32 [N, H, W, 3], and for every output of the file its numbers as NAME.npy, those of
masks as [N, H, W, C]. Prints JSON. Exit code 3: ONNX Runtime is not here.
"""

import json
import sys
from pathlib import Path

try:
    import numpy as np
    import onnxruntime
except ImportError as error:
    print(error)
    sys.exit(3)


def compare(file: str, folder: Path) -> dict:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    images = np.load(folder / "images.npy")
    taken = session.get_inputs()[0]
    if taken.type == "tensor(uint8)":
        images = images.astype(np.uint8)
    else:
        images = (images / np.float32(255)).transpose(0, 3, 1, 2)
    names = [output.name for output in session.get_outputs()]
    difference, other_classes = 0.0, 0
    for name, found in zip(names, session.run(names, {taken.name: images})):
        wanted = np.load(folder / f"{name}.npy")
        if wanted.ndim == 4:
            wanted = wanted.transpose(0, 3, 1, 2)
        if found.shape != wanted.shape:
            raise ValueError(f"{name} is {list(found.shape)}, wanted {list(wanted.shape)}")
        difference = max(difference, float(np.abs(found - wanted).max() / np.abs(wanted).max()))
        if wanted.ndim == 2:
            other_classes = int((found.argmax(1) != wanted.argmax(1)).sum())
    return {"version": onnxruntime.__version__, "difference": difference, "other_classes": other_classes}


print(json.dumps(compare(sys.argv[1], Path(sys.argv[2]))))
