# The packages that Fovea needs, by what they are for: Debian's names, which are Ubuntu's, too, and after a colon
# Fedora's where that has another. install_packages.sh reads this file.
# shellcheck shell=bash disable=SC2034

build_packages=(cmake ninja-build ccache g++:gcc-c++ ca-certificates)  # the build, and downloads
library_packages=(libeigen3-dev:eigen3-devel nlohmann-json3-dev:json-devel libxxhash-dev:xxhash-devel
  zlib1g-dev:zlib-devel)
# oneDNN, for the CPU, and what its CMake files ask for
convolution_packages=(libdnnl-dev:onednn-devel ocl-icd-opencl-dev:ocl-icd-devel)
# The export to ONNX
onnx_packages=(libonnx-dev:onnx-devel libprotobuf-dev:protobuf-devel)
# Tests, benchmarks, and the images of tools/gpu_check
test_packages=(catch2:catch-devel libbenchmark-dev:google-benchmark-devel python3-pil:python3-pillow)
trainer_packages=(libcli11-dev:cli11-devel libtomlplusplus-dev:tomlplusplus-devel libfmt-dev:fmt-devel
  libjpeg-dev:libjpeg-turbo-devel libpng-dev:libpng-devel libssl-dev:openssl-devel libcurl4-openssl-dev:libcurl-devel
  libarchive-dev:libarchive-devel
  libprotobuf-dev:protobuf-devel protobuf-compiler libboost-dev:boost-devel)  # the last three for --tensorboard alone
fuzz_packages=(clang-19:clang libclang-rt-19-dev:compiler-rt)  # tests/fuzz; installed by .ci/run alone
