#!/usr/bin/env bash
# Gives the checks of this folder a small tree without an offence, then with one offence at a time: each must
# be found, and named.
# usage: checks_can_fail.sh COMPILER
set -euo pipefail
checks=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
compiler=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

fresh_tree() {
  rm -rf "${tree:?}"/*
  mkdir -p "$tree"/{core,kernels,layers,models,data,training,tests,benchmarks,include}
  ln -s "$tree" "$tree/include/fovea"
  printf '#pragma once\n#include <vector>\n' >"$tree/core/shape.h"
  printf '#pragma once\n#include "fovea/core/shape.h"\nstd::vector<int> f();\n' >"$tree/kernels/conv.h"
  touch "$tree"/{models,data,training}/CMakeLists.txt
  echo 'fovea_sources(HEADERS shape.h)' >"$tree/core/CMakeLists.txt"
  echo 'fovea_sources(HEADERS conv.h relu.h)' >"$tree/kernels/CMakeLists.txt"
  echo 'fovea_sources(HEADERS functional.h)' >"$tree/layers/CMakeLists.txt"
  echo 'fovea_test(relu)' >"$tree/tests/CMakeLists.txt"
  printf '%s\n' '#pragma once' 'struct Variable;' 'Variable relu(const Variable& x);' 'Variable add(const Variable& a);' \
    >"$tree/layers/functional.h"
  printf 'check_operation("relu", x);\ncheck_operation(\n    "add",\n    x);\n' >"$tree/tests/relu_test.cpp"
  printf '%s\n' '#pragma once' 'FOVEA_KERNEL(relu_forward, const Tensor& x, Tensor& y);' >"$tree/kernels/relu.h"
  echo 'measure(state, {8}, [&] { kernels::relu_forward(x, y); });' >"$tree/benchmarks/relu_bench.cpp"
  echo 'add_executable(fovea_bench relu_bench.cpp)' >"$tree/benchmarks/CMakeLists.txt"
  echo 'int main() {}' >"$tree/first.cpp"
  echo '  LINK_LIBRARIES = libfovea.a  libcudart_static.a  -lcudart_static' >"$tree/build.ninja"
  echo '"command": "/bin/nvcc -lineinfo -x cu -c relu.cu -o relu.cu.o",' >"$tree/compile_commands.json"
  printf '#!/bin/sh\necho "relu: gradient"\n' | tee "$tree/relu_test" >"$tree/device_tests"
  chmod +x "$tree/relu_test" "$tree/device_tests"
  printf '%s\n' '[core](core/shape.h)' '<!-- first.cpp -->' '```cpp' 'int main() {}' '```' >"$tree/README.md"
}

includes() { "$checks/includes.sh" "$tree"; }
sources() { "$checks/sources.sh" "$tree"; }
coverage() { "$checks/coverage.sh" "$tree"; }
timed() { "$checks/timed.sh" "$tree"; }
markdown() { "$checks/markdown.sh" "$tree"; }
headers() { "$checks/headers_compile_alone.sh" "$compiler" "$tree/include" core/shape.h kernels/conv.h; }
cuda_runtime() { "$checks/cuda_runtime.sh" "$(type -P true)" "$tree"; }
device_tests() { "$checks/device_tests.sh" "$tree/device_tests" relu; }

# expect CHECK WORDS: the check fails, and says WORDS.
expect() {
  local log
  if log=$("$1" 2>&1); then
    echo "checks_can_fail: $1 did not find: $2" >&2
    exit 1
  fi
  grep -qF -- "$2" <<<"$log" || { echo "checks_can_fail: $1 said '$log', wanted '$2'" >&2; exit 1; }
  fresh_tree
}

fresh_tree
for check in includes sources headers markdown coverage timed cuda_runtime device_tests; do $check; done

echo '#include "fovea/kernels/conv.h"' >>"$tree/core/shape.h"
expect includes 'core/shape.h includes "fovea/kernels/conv.h": core may include core'
echo '#include "conv.h"' >>"$tree/kernels/conv.h"
expect includes 'kernels/conv.h includes "conv.h": wanted'
echo '#include <Eigen/Core>' >>"$tree/core/shape.h"
expect includes 'core/shape.h is a public header and includes <Eigen/Core>'
echo 'fovea_sources(HEADERS x.h INTERNAL shape.h SOURCES x.cpp)' >"$tree/core/CMakeLists.txt"
expect includes 'kernels/conv.h is a public header and includes core/shape.h, which is internal'
echo '#include "fovea/core/shapes.h"' >>"$tree/kernels/conv.h"
expect includes 'there is no core/shapes.h'
printf 'namespace fovea {\n}  // namespace fovea\n' >>"$tree/core/shape.h"
expect includes "core/shape.h is a public header: wanted '#pragma GCC visibility push(default)'"
printf '#pragma GCC visibility push(default)\nnamespace fovea {\n}  // namespace fovea\n' >>"$tree/core/shape.h"
expect includes "core/shape.h is a public header: wanted '#pragma GCC visibility push(default)'"
mkdir "$tree/kernels/cpu" && echo '#pragma GCC visibility push(default)' >"$tree/kernels/cpu/rows.h"
expect includes 'kernels/cpu/rows.h is no public header, and exports'

touch "$tree/core/lost.cpp"
expect sources 'core/lost.cpp is in no CMakeLists.txt'
yes '' | head -400 >>"$tree/core/shape.h" || true
expect sources 'core/shape.h has 402 lines'
echo '// TO''DO: later' >>"$tree/core/shape.h"
expect sources 'core/shape.h has a TO''DO'
sed -i 1d "$tree/core/shape.h"
expect sources 'core/shape.h has no #pragma once'
mkdir "$tree/core/utils" && touch "$tree/core/utils/x.cpp"
expect sources 'core/utils/x.cpp: name the folder after what is in it'

sed -i '/include/d' "$tree/kernels/conv.h"
expect headers 'kernels/conv.h does not compile alone'
sed -i 1d "$tree/core/shape.h" && echo 'struct Shape {};' >>"$tree/core/shape.h"
expect headers 'core/shape.h does not compile alone'

echo '[lost](core/lost.h)' >>"$tree/README.md"
expect markdown './README.md links to core/lost.h'
echo 'int main() { return 1; }' >"$tree/first.cpp"
expect markdown './README.md shows another program than first.cpp'
rm "$tree/first.cpp"
expect markdown './README.md shows first.cpp, which is not there'

echo 'Variable softmax(const Variable& x);' >>"$tree/layers/functional.h"
expect coverage 'F::softmax has no case'
sed -i '/relu/d' "$tree/tests/relu_test.cpp"
expect coverage 'F::relu has no case'
: >"$tree/layers/functional.h"
expect coverage 'declares no operation'

sed -i 's/forward/backward/' "$tree/benchmarks/relu_bench.cpp"
expect timed 'no benchmarks/*_bench.cpp calls kernels::relu_forward'
rm "$tree/kernels/relu.h"
expect timed 'declare no kernel'

sed -i 's/libcudart_static.a/libcudart.so/' "$tree/build.ninja"
expect cuda_runtime 'links the shared CUDA runtime in the lines above'
echo '  LINK_LIBRARIES = libfovea.a' >"$tree/build.ninja"
expect cuda_runtime 'links no CUDA runtime'
sed -i 's/ -lineinfo//' "$tree/compile_commands.json"
expect cuda_runtime '1 of 1 CUDA sources are compiled without -lineinfo'
: >"$tree/compile_commands.json"
expect cuda_runtime 'compiles nothing with nvcc'

echo 'echo "relu: a NaN"' >>"$tree/relu_test"
expect device_tests 'has other tests of relu than relu_test'
printf '#!/bin/sh\n' >"$tree/relu_test"
expect device_tests 'relu_test lists no tests'
echo 'case $* in *--filenames-as-tags*) ;; *) echo "more" ;; esac' >>"$tree/device_tests"
expect device_tests 'has 2 tests, its subjects have 1'
echo "checks_can_fail: every offence was found"
