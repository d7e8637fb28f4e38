# cifar_trainer for the CPU and NVIDIA GPUs. Ubuntu's oneDNN and CMake are as new as Fovea wants them.
#   docker build -f tools/docker/cuda.Dockerfile -t fovea:cuda .
#   docker run --rm --gpus all -v "$PWD:/work" fovea:cuda train --config fast --out runs/first
ARG CUDA=13.0.2-cudnn
ARG UBUNTU=ubuntu24.04
FROM nvidia/cuda:${CUDA}-devel-${UBUNTU} AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /fovea
COPY tools/install_packages.sh tools/packages.sh tools/
RUN tools/install_packages.sh && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset cuda -DFOVEA_NATIVE=OFF -DFOVEA_BUILD_TESTS=OFF -DFOVEA_BUILD_EXAMPLES=OFF && \
    cmake --build --preset cuda && \
    cmake --install build/cuda --prefix /opt/fovea --component runtime --strip
# What the programs are linked with, but for CUDA's own libraries, which the next image has.
RUN ldd /opt/fovea/bin/* | sed -nE 's#.*=> (/usr)?/(lib/[^ ]+) .*#*/\2#p' | grep -vE '/lib(cudnn|cublas|cuda)' | sort -u | \
    xargs -r dpkg-query --search | sed 's/:.*//' | sort -u >/opt/fovea/packages

FROM nvidia/cuda:${CUDA}-runtime-${UBUNTU}
COPY --from=build /opt/fovea /opt/fovea
RUN apt-get update && \
    xargs -a /opt/fovea/packages apt-get install -y --no-install-recommends ca-certificates && \
    rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/fovea/bin:$PATH
WORKDIR /work
ENTRYPOINT ["cifar_trainer"]
CMD ["--help"]
