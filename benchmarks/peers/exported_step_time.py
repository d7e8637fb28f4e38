"""Times inference of one model in ONNX Runtime or OpenVINO on the CPU: the twin of fovea_step_time.

The model is the one that torch_step_time.py runs, with Fovea's weights, exported to ONNX for this one batch size. That
happens in another process, so that this one's memory is the runtime's. Prints one line of JSON with the same keys, and
"runtime", its version. Started by compare_torch.py; needs torch, onnx, onnxscript, numpy, and onnxruntime or openvino
(see install.sh).
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from answer import add_on_request, answer, peak_resident_bytes
from handover import HandedOver

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="attention-nano")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--mode", choices=["inference"], default="inference")
    parser.add_argument("--device", choices=["cpu"], default="cpu")
    parser.add_argument("--runtime", choices=["onnxruntime", "openvino"], default="onnxruntime")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32",
                        help="bf16: OpenVINO's hint, which it may take for what it has kernels for")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--replays", type=int, default=1, help="runs in a timed step")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    add_on_request(parser)
    parser.add_argument("--same-as", required=True, help="what fovea_step_time --hand-over has written: the weights, "
                        "the batch, and the logits that must come out")
    parser.add_argument("--export", help="only write the model there")
    return parser.parse_args()


def export(arguments):
    import torch
    sys.path.insert(0, str(TOOLS))
    import fovea_torch
    handed_over = HandedOver(arguments.same_as)
    model = fovea_torch.build(arguments.model).eval()
    handed_over.load(torch, model, fovea_torch.fovea_name)
    images = handed_over.torch(torch, "images").contiguous()
    torch.onnx.export(model, (images,), arguments.export, input_names=["images"], output_names=["logits"])


def exported(arguments, folder):
    path = os.path.join(folder, "model.onnx")
    subprocess.run([sys.executable, __file__, "--export", path, "--model", arguments.model, "--same-as",
                    arguments.same_as], stdout=sys.stderr, check=True)
    return path


def onnxruntime_of(arguments, path):
    """A function of images, and the version."""
    import onnxruntime
    if arguments.precision != "f32":
        sys.exit(f"ONNX Runtime computes in f32 on a CPU, wanted {arguments.precision}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0], onnxruntime.__version__


def openvino_of(arguments, path):
    """A function of images, and the version. One stream of requests, which all threads serve: each is a whole batch."""
    import openvino
    compiled = openvino.Core().compile_model(path, "CPU", {
        "INFERENCE_NUM_THREADS": arguments.threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": arguments.precision})
    request = compiled.create_infer_request()
    return lambda images: request.infer([images], share_inputs=True)[0], openvino.__version__.partition("-")[0]


def main():
    arguments = parse_arguments()
    if arguments.export:
        return export(arguments)
    import numpy
    with tempfile.TemporaryDirectory() as folder:
        make = openvino_of if arguments.runtime == "openvino" else onnxruntime_of
        infer, version = make(arguments, exported(arguments, folder))
    handed_over = HandedOver(arguments.same_as)
    _, shape, data = handed_over.read("images")
    images = numpy.ascontiguousarray(numpy.frombuffer(data, numpy.float32).reshape(shape).transpose(0, 3, 1, 2))

    def run():
        return infer(images)

    handed_over.agree("logits", run().ravel().tolist(), arguments.precision)
    for _ in range(arguments.warmup):
        run()

    def time_steps():
        seconds = []
        for _ in range(arguments.steps):
            begin = time.perf_counter()
            for _ in range(arguments.replays):
                run()
            seconds.append((time.perf_counter() - begin) / arguments.replays)
        return {"seconds": seconds, "peak_memory_bytes": peak_resident_bytes(), "runtime": version}

    answer(arguments, ["model", "mode", "batch", "device", "precision", "replays", "threads"], time_steps)


if __name__ == "__main__":
    main()
