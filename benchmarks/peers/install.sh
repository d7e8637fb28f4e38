#!/usr/bin/env bash
# Makes a virtual environment with the newest PyTorch, ONNX Runtime, OpenVINO and what exports a model to them: for the
# CPU alone.
# usage: benchmarks/peers/install.sh DIR [PYTHON]
#
# Packages come from the index that pip is set up with. Where that has only PyTorch's CUDA build, the gigabytes of CUDA
# libraries stay away: CUDA's runtime is installed, and stub_cuda.py stands in for the rest. Then give --python
# DIR/bin/python to compare_torch.py.
set -euo pipefail

usage() { sed -n 's/^# usage: /usage: /p' "${BASH_SOURCE[0]}"; }
case "${1:-}" in
  -h | --help) usage; exit 0 ;;
  '' | -*) usage >&2; exit 2 ;;
esac
folder=$1
interpreter=${2:-python3}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# torch.compile builds C++.
for program in "$interpreter" c++ cc readelf; do
  command -v "$program" >/dev/null || { echo "install: there is no $program" >&2; exit 1; }
done
"$interpreter" -m venv "$folder"
python=$folder/bin/python
pip=("$python" -m pip install --quiet --disable-pip-version-check)

"${pip[@]}" --no-deps --upgrade torch
# What torch asks for: first what is no CUDA, then of CUDA what only the real library can do.
mapfile -t wanted < <("$python" - <<'PYTHON'
import importlib.metadata
import re

needs = [need for need in importlib.metadata.requires("torch") or [] if "extra ==" not in need]
cuda = re.compile(r"(cuda|nvidia|triton)")
for need in needs:
    name, _, condition = need.partition(";")
    if not cuda.match(name):
        print(need)
    elif name.startswith("cuda-toolkit["):
        print("cuda-toolkit[cudart,cufile,cupti]" + name.partition("]")[2] + ";" + condition)
    elif re.match(r"nvidia-(cuda-runtime|cuda-cupti|cufile)", name):
        print(need)
PYTHON
)
# pip complains that torch misses the rest, so that is not shown.
"${pip[@]}" "${wanted[@]}" numpy onnx onnxscript onnxruntime openvino \
  2> >(grep -vE '^torch .* which is not installed|dependency resolver' >&2)
"$python" "$here/stub_cuda.py"

"$python" - <<'PYTHON'
import onnxruntime
import openvino
import torch

product = torch.ones(8, 8) @ torch.ones(8, 8)
assert product.sum().item() == 512, product
print(f"PyTorch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}, OpenVINO {openvino.__version__} are there")
PYTHON
echo "next: benchmarks/peers/compare_torch.py --python $python --quick"
