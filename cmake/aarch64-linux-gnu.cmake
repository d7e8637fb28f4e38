# A toolchain file for 64-bit ARM on an x86-64 Linux: Debian's g++-aarch64-linux-gnu, and qemu-user for the tests.
# FOVEA_SYSROOT is a folder with the libraries' development files for arm64; tests/hygiene/aarch64.sh makes one.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/aarch64-linux-gnu)

set(FOVEA_SYSROOT "" CACHE PATH "A folder with the libraries' development files for arm64")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FOVEA_SYSROOT)
set(CMAKE_FIND_ROOT_PATH ${FOVEA_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(FOVEA_NATIVE OFF CACHE BOOL "Tune for the processor of this machine; the result may not run on another")
