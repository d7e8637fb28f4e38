# The packages that Fovea needs, by what they are for: Debian's names, which are Ubuntu's, too, and after colons Fedora's
# and Arch Linux's where those have others. install_packages.sh reads this file.
# shellcheck shell=bash disable=SC2034

# the build, and downloads
build_packages=(cmake ninja-build:ninja-build:ninja ccache g++:gcc-c++:gcc ca-certificates)
library_packages=(libeigen3-dev:eigen3-devel:eigen nlohmann-json3-dev:json-devel:nlohmann-json
  libxxhash-dev:xxhash-devel:xxhash zlib1g-dev:zlib-devel:zlib)
convolution_packages=(libdnnl-dev:onednn-devel:onednn)  # oneDNN, for the CPU
# The export to ONNX
onnx_packages=(libonnx-dev:onnx-devel:onnx libprotobuf-dev:protobuf-devel:protobuf)
# Tests, benchmarks, and the images of tools/gpu_check
test_packages=(catch2:catch-devel:catch2 libbenchmark-dev:google-benchmark-devel:benchmark
  pkg-config:pkgconf-pkg-config:pkgconf python3-pil:python3-pillow:python-pillow)
trainer_packages=(libcli11-dev:cli11-devel:cli11 libtomlplusplus-dev:tomlplusplus-devel:tomlplusplus
  libfmt-dev:fmt-devel:fmt libjpeg-dev:libjpeg-turbo-devel:libjpeg-turbo libpng-dev:libpng-devel:libpng
  libssl-dev:openssl-devel:openssl libcurl4-openssl-dev:libcurl-devel:curl libarchive-dev:libarchive-devel:libarchive
  libprotobuf-dev:protobuf-devel:protobuf protobuf-compiler:protobuf-compiler:protobuf
  libboost-dev:boost-devel:boost)  # the last three for --tensorboard alone
# Runs of several processes: mpirun, and MPI for the trainer
mpi_packages=(libopenmpi-dev:openmpi-devel:openmpi openmpi-bin:openmpi:openmpi)
fuzz_packages=(clang-19:clang:clang libclang-rt-19-dev:compiler-rt:compiler-rt)  # tests/fuzz; installed by .ci/run alone
debian_packages=(lintian dpkg-dev)  # tests/install/debian_packages.sh
