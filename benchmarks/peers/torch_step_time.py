"""Times training steps or inference of one model in PyTorch (1.13 or later): the twin of fovea_step_time.

Prints one line of JSON with the same keys, and "layout", "way", "torch" and "start_memory_bytes", which the process
took before it had a model. Started by compare_torch.py.

Ways: eager; compiled (torch.compile); frozen (torch.compile with the weights as constants, which may then be folded and
reordered; inference alone); graph (torch.compile in its mode reduce-overhead, which replays CUDA graphs of
the forward and the backward pass); captured (torch.compile, and the whole step, optimiser included, captured into one
CUDA graph).
"""
import argparse
import contextlib
import os
import pathlib
import sys
import time

from answer import add_on_request, answer, peak_resident_bytes
from handover import HandedOver

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
WAYS = ["eager", "compiled", "frozen", "graph", "captured"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="attention-nano")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--mode", choices=["train", "inference"], default="train")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16", "f16"], default="f32")
    parser.add_argument("--way", choices=WAYS, default="eager")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--replays", type=int, default=0, help="steps in a timed one; 0: 1 on the CPU, 20 on CUDA")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--layout", choices=["channels-last", "contiguous"], default="channels-last")
    add_on_request(parser)
    parser.add_argument("--same-as", help="what fovea_step_time --hand-over has written: the weights, the batch, "
                        "and what must come out; without it, random ones")
    return parser.parse_args()


class Work:
    """The model, a batch, and the step that is timed."""

    def __init__(self, torch, arguments):
        self.torch, self.training, self.way = torch, arguments.mode == "train", arguments.way
        self.precision = arguments.precision
        self.device = torch.device(arguments.device)
        self.is_cuda = self.device.type == "cuda"
        if self.is_cuda:
            torch.cuda.set_device(self.device)
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = arguments.precision == "tf32"
        torch.backends.cudnn.allow_tf32 = arguments.precision == "tf32"
        dtype = {"bf16": torch.bfloat16, "f16": torch.float16}.get(arguments.precision)
        self.autocast = (contextlib.nullcontext if dtype is None
                         else lambda: torch.autocast(self.device.type, dtype=dtype))

        import fovea_torch
        layout = torch.channels_last if arguments.layout == "channels-last" else torch.contiguous_format
        model = fovea_torch.build(arguments.model)
        self.same_as = HandedOver(arguments.same_as) if arguments.same_as else None
        if self.same_as:
            self.same_as.load(torch, model, fovea_torch.fovea_name)
            images, labels = self.same_as.torch(torch, "images"), self.same_as.torch(torch, "labels").long()
        else:
            images, labels = torch.randn(arguments.batch, 3, 32, 32), torch.randint(0, 10, (arguments.batch,))
        model.to(self.device, memory_format=layout).train(self.training)
        self.forward = self.compiled(model)
        self.images = images.to(self.device).contiguous(memory_format=layout)
        self.labels = labels.to(self.device)
        self.optimiser = self.make_optimiser(model.parameters())
        self.scaler = None
        if arguments.precision == "f16" and self.training and self.is_cuda:
            self.scaler = torch.cuda.amp.GradScaler()
        self.result = None

    def compiled(self, model):
        if self.way == "eager":
            return model
        if not hasattr(self.torch, "compile"):
            sys.exit(f"PyTorch {self.torch.__version__} has no torch.compile")
        if self.way in ("graph", "captured") and not self.is_cuda:
            sys.exit("CUDA graphs need a CUDA device")
        if self.way == "frozen":
            import torch._inductor.config  # noqa: F401  (an attribute from then on)
            self.torch._inductor.config.freezing = True
        return self.torch.compile(model, mode="reduce-overhead" if self.way == "graph" else "default")

    def make_optimiser(self, parameters):
        settings = {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
        parameters = list(parameters)
        if self.is_cuda:
            try:
                return self.torch.optim.SGD(parameters, fused=True, **settings)
            except (TypeError, RuntimeError):  # before PyTorch 2.3
                return self.torch.optim.SGD(parameters, foreach=True, **settings)
        return self.torch.optim.SGD(parameters, **settings)

    def train(self):
        with self.autocast():
            loss = self.torch.nn.functional.cross_entropy(self.forward(self.images), self.labels)
        if self.scaler is None:
            loss.backward()
            self.optimiser.step()
        else:
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimiser)
            self.scaler.update()
        return loss

    def once(self):
        """A step as a user writes it; the result stays on the device."""
        if self.way == "graph":
            self.torch.compiler.cudagraph_mark_step_begin()
        if self.training:
            self.optimiser.zero_grad(set_to_none=True)
            self.result = self.train().detach()
        else:
            with self.torch.no_grad(), self.autocast():
                self.result = self.forward(self.images)[0, 0]

    def check(self):
        """That it does what Fovea does: what is timed, not another form of it."""
        if self.training:
            losses = []
            for _ in self.same_as.numbers("losses"):
                self.once()
                losses.append(float(self.result))
            self.same_as.agree("losses", losses, self.precision)
        else:
            with self.torch.no_grad(), self.autocast():
                self.same_as.agree("logits", self.forward(self.images).flatten().tolist(), self.precision)

    def prepare(self, warmup):
        """Compiles, warms up, captures; sets `run`."""
        self.run = self.once
        if self.way != "captured":
            for _ in range(max(warmup, 5) if self.way == "graph" else warmup):
                self.once()
            return
        stream = self.torch.cuda.Stream()
        stream.wait_stream(self.torch.cuda.current_stream())
        with self.torch.cuda.stream(stream):
            for _ in range(max(warmup, 3)):
                self.once()
        self.torch.cuda.current_stream().wait_stream(stream)
        self.torch.cuda.synchronize()
        graph = self.torch.cuda.CUDAGraph()
        self.optimiser.zero_grad(set_to_none=True)
        with self.torch.cuda.graph(graph, stream=stream):
            if self.training:
                self.result = self.train().detach()
            else:
                self.once()
        self.run = graph.replay
        for _ in range(warmup):
            self.run()

    def wait(self):
        if self.is_cuda:
            self.torch.cuda.synchronize()

    def seconds_of(self, count):
        self.wait()
        begin = time.perf_counter()
        for _ in range(count):
            self.run()
        self.wait()
        return (time.perf_counter() - begin) / count

    def peak_memory_bytes(self):
        if self.is_cuda:
            return self.torch.cuda.max_memory_allocated()
        return peak_resident_bytes()


def main():
    arguments = parse_arguments()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # read when torch is imported
    import torch
    sys.path.insert(0, str(TOOLS))
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    start_memory_bytes = peak_resident_bytes()
    work = Work(torch, arguments)
    if work.same_as:
        work.check()
    replays = arguments.replays or (20 if work.is_cuda else 1)
    work.prepare(arguments.warmup)

    def time_steps():
        seconds = []
        for step in range(arguments.steps):
            seconds.append(work.seconds_of(replays))
            result = float(work.result)
            if result != result:
                sys.exit(f"timed step {step} gave {result}")
        return {"replays": replays, "seconds": seconds, "peak_memory_bytes": work.peak_memory_bytes(),
                "start_memory_bytes": start_memory_bytes, "torch": torch.__version__}

    answer(arguments, ["model", "mode", "batch", "device", "precision", "way", "layout", "threads"], time_steps)


if __name__ == "__main__":
    main()
