# The Debian packages that Fovea needs, by what they are for. install_packages.sh reads this file.
# shellcheck shell=bash disable=SC2034

build_packages=(cmake ninja-build ccache g++ ca-certificates)  # the build, and downloads
library_packages=(libeigen3-dev nlohmann-json3-dev libxxhash-dev zlib1g-dev)
convolution_packages=(libdnnl-dev ocl-icd-opencl-dev)  # oneDNN, for the CPU, and what its CMake files ask for
test_packages=(catch2 libbenchmark-dev python3-pil)  # tests, benchmarks, and the images of tools/gpu_check
trainer_packages=(libcli11-dev libtomlplusplus-dev libfmt-dev libpng-dev libssl-dev libcurl4-openssl-dev)
fuzz_packages=(clang-19 libclang-rt-19-dev)  # tests/fuzz; installed by .ci/run alone
