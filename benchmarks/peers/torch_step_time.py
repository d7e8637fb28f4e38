"""Times training steps or inference of one model in PyTorch: the twin of fovea_step_time.

Prints one line of JSON with the same keys, and "layout". Started by compare_torch.py.
"""
import argparse
import json
import os
import pathlib
import resource
import sys
import time

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="attention-nano")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--mode", choices=["train", "inference"], default="train")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--layout", choices=["channels-last", "contiguous"], default="channels-last")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # read when torch is imported
    import torch
    sys.path.insert(0, str(GOLDEN))
    import residual_attention_torch

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    layout = torch.channels_last if arguments.layout == "channels-last" else torch.contiguous_format
    model = residual_attention_torch.build(arguments.model).to(memory_format=layout)
    images = torch.randn(arguments.batch, 3, 32, 32).to(memory_format=layout)
    labels = torch.randint(0, 10, (arguments.batch,))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def train():
        optimiser.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimiser.step()
        return loss.item()

    def inference():
        with torch.no_grad():
            return model(images)[0, 0].item()

    model.train(arguments.mode == "train")
    run = train if arguments.mode == "train" else inference
    seconds = []
    for step in range(arguments.warmup + arguments.steps):
        begin = time.perf_counter()
        run()
        if step >= arguments.warmup:
            seconds.append(time.perf_counter() - begin)
    print(json.dumps({
        "model": arguments.model, "mode": arguments.mode, "batch": arguments.batch, "threads": arguments.threads,
        "layout": arguments.layout, "seconds": seconds,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "torch": torch.__version__,
    }))


if __name__ == "__main__":
    main()
