#!/usr/bin/env bash
# Checks how a build with CUDA is put together: a program has one CUDA runtime, the static one, and every kernel is
# compiled with the lines of its source.
# usage: cuda_runtime.sh PROGRAM BUILD_FOLDER
set -euo pipefail
program=$1
build=$2
offences=0
offence() {
  echo "cuda_runtime: $*" >&2
  offences=$((offences + 1))
}

shared=$(readelf -d "$program" | sed -nE 's/.*\(NEEDED\).*\[(libcudart\.so[^]]*)\].*/\1/p')
[ -z "$shared" ] || offence "$program needs $shared, wanted the static CUDA runtime alone: link CUDA::cudart_static"
if [ -f "$build/build.ninja" ]; then
  if grep -nE '^ *LINK_LIBRARIES = .*(libcudart\.so|-lcudart( |$))' "$build/build.ninja" | cut -d: -f1 | grep .; then
    offence "$build/build.ninja links the shared CUDA runtime in the lines above, and CMake adds the static one:" \
      "link CUDA::cudart_static"
  fi
  grep -qE '^ *LINK_LIBRARIES = .*cudart_static' "$build/build.ninja" ||
    offence "$build/build.ninja links no CUDA runtime"
fi

kernels=$(grep -cE '"command": ".*nvcc.* -c ' "$build/compile_commands.json" || true)
[ "$kernels" -gt 0 ] || offence "$build/compile_commands.json compiles nothing with nvcc"
without=$(grep -E '"command": ".*nvcc.* -c ' "$build/compile_commands.json" | grep -cv -- ' -lineinfo ' || true)
[ "$without" -eq 0 ] || offence "$without of $kernels CUDA sources are compiled without -lineinfo, by which" \
  "compute-sanitizer names lines"

[ "$offences" -eq 0 ] || { echo "cuda_runtime: $offences offences" >&2; exit 1; }
echo "cuda_runtime: one runtime, $kernels CUDA sources with their lines"
