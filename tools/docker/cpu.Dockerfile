# cifar_trainer for the CPU, from Debian's packages of Fovea, which are built in the first stage.
#   docker build -f tools/docker/cpu.Dockerfile -t fovea .
#   docker run --rm -v "$PWD:/work" fovea predict photo.jpg
FROM debian:13-slim AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /fovea
COPY tools/install_packages.sh tools/packages.sh tools/
RUN tools/install_packages.sh dpkg-dev file && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset package && cmake --build --preset package && cpack --preset package

FROM debian:13-slim
COPY --from=build /fovea/build/package/fovea-tools_*.deb /tmp/
# The versions are those of the Debian release that the image is.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates /tmp/fovea-tools_*.deb && \
    rm -rf /var/lib/apt/lists/* /tmp/fovea-tools_*.deb
WORKDIR /work
ENTRYPOINT ["cifar_trainer"]
CMD ["--help"]
