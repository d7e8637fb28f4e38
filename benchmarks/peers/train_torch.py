#!/usr/bin/env python3
"""Trains a network of the zoo in PyTorch on CIFAR-10 by Fovea's quick recipe, to compare accuracies.

Batch 128, Nesterov SGD 0.9, weight decay 5e-4, label smoothing none; the learning rate rises linearly to 0.3 in
the first quarter and falls linearly to zero. Zero padding 4, random crop, random flip; normalised by the training
set's mean and deviation. Writes the columns of a run's metrics.csv. Needs python3-torch and python3-numpy.

  benchmarks/peers/train_torch.py --model attention56 --epochs 5 --data DIR --out torch-attention56.csv
"""
import argparse
import csv
import os
import pathlib
import statistics
import sys
import time

import numpy
import torch
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import fovea_torch

COLUMNS = ["epoch", "step", "learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy",
           "images_per_second", "seconds"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="attention-nano")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=int, default=0, help="training images; 0: all")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="the folder with the .bin files")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="a CSV file")
    return parser.parse_args()


def read(files):
    """CIFAR-10's binary format: uint8 images [N, 3, 32, 32] and labels [N]."""
    records = numpy.concatenate([numpy.fromfile(file, numpy.uint8).reshape(-1, 3073) for file in files])
    return (torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()),
            torch.from_numpy(records[:, 0].astype(numpy.int64)))


def one_cycle(i, steps, peak):
    """As learning_rate in training/schedule.h, i = 0, 1, ..."""
    rising = round(steps / 4)
    return peak * ((i + 1) / rising if i < rising else (steps - i) / (steps - rising))


def augment(images):
    """Zero padding 4 (after normalisation), one random crop and flip for each image."""
    count = len(images)
    padded = F.pad(images, (4, 4, 4, 4))
    top, left = torch.randint(0, 9, (2, count, 1))
    flip = torch.rand(count, 1) < 0.5
    rows = top + torch.arange(32)
    columns = left + torch.arange(32)
    columns = torch.where(flip, columns.flip(1), columns)
    index = torch.arange(count)[:, None, None]
    return padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def evaluate(model, images, labels):
    model.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for x, y in zip(images.split(256), labels.split(256)):
            logits = model(x)
            loss += F.cross_entropy(logits, y, reduction="sum").item()
            correct += (logits.argmax(1) == y).sum().item()
    model.train()
    return loss / len(labels), correct / len(labels)


def main():
    arguments = parse_arguments()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    folder = arguments.data
    if (folder / "cifar-10-batches-bin").is_dir():
        folder = folder / "cifar-10-batches-bin"
    train_images, train_labels = read([folder / f"data_batch_{i}.bin" for i in range(1, 6)])
    test_images, test_labels = read([folder / "test_batch.bin"])
    if arguments.limit:
        train_images, train_labels = train_images[:arguments.limit], train_labels[:arguments.limit]
    pixels = train_images.double() / 255
    mean = pixels.mean((0, 2, 3)).float().view(3, 1, 1)
    deviation = pixels.std((0, 2, 3), unbiased=False).float().view(3, 1, 1)
    del pixels

    def normalise(images):
        return ((images.float() / 255 - mean) / deviation).to(memory_format=torch.channels_last)

    test_images = normalise(test_images)
    model = fovea_torch.build(arguments.model).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), lr=arguments.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    batches = len(train_images) // arguments.batch_size
    steps = batches * arguments.epochs
    begin, step = time.perf_counter(), 0
    with open(arguments.out, "w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, COLUMNS)
        rows.writeheader()
        for epoch in range(1, arguments.epochs + 1):
            order, loss_sum, correct, speeds = torch.randperm(len(train_images)), 0.0, 0, []
            for batch in range(batches):
                step_begin = time.perf_counter()
                for group in optimiser.param_groups:
                    group["lr"] = one_cycle(step, steps, arguments.lr)
                step += 1
                chosen = order[batch * arguments.batch_size:(batch + 1) * arguments.batch_size]
                x = augment(normalise(train_images[chosen])).contiguous(memory_format=torch.channels_last)
                y = train_labels[chosen]
                optimiser.zero_grad(set_to_none=True)
                logits = model(x)
                loss = F.cross_entropy(logits, y)
                loss.backward()
                optimiser.step()
                loss_sum += loss.item()
                correct += (logits.argmax(1) == y).sum().item()
                speeds.append(arguments.batch_size / (time.perf_counter() - step_begin))
            test_loss, test_accuracy = evaluate(model, test_images, test_labels)
            row = dict(zip(COLUMNS, [
                epoch, step, optimiser.param_groups[0]["lr"], loss_sum / batches,
                correct / (batches * arguments.batch_size), test_loss, test_accuracy, statistics.median(speeds),
                time.perf_counter() - begin]))
            rows.writerow(row)
            file.flush()
            print(row, file=sys.stderr)


if __name__ == "__main__":
    main()
