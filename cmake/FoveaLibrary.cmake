# The library fovea::fovea, to which each folder adds its sources with fovea_sources().

# <fovea/core/tensor.h> works in the tree as it does installed: build/include/fovea links to the folders.
set(FOVEA_INCLUDE_DIR ${PROJECT_BINARY_DIR}/include)
set(FOVEA_FOLDERS core kernels layers models data training)
file(MAKE_DIRECTORY ${FOVEA_INCLUDE_DIR}/fovea)
foreach(folder ${FOVEA_FOLDERS})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${folder} ${FOVEA_INCLUDE_DIR}/fovea/${folder} SYMBOLIC)
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/cmake/config.h.in ${FOVEA_INCLUDE_DIR}/fovea/config.h @ONLY)
include(FoveaShared)

add_library(fovea STATIC)
fovea_forms(fovea fovea)
target_compile_features(fovea PUBLIC cxx_std_20)
target_include_directories(fovea PUBLIC $<BUILD_INTERFACE:${FOVEA_INCLUDE_DIR}> $<INSTALL_INTERFACE:include>)

# Compile options of everything built here: the library, the tools, the tests and the benchmarks.
add_library(fovea_options INTERFACE)
set(cxx_options -Wall -Wextra -Wconversion -Wshadow -Wno-psabi -fno-math-errno -fno-trapping-math)
# A hand-written kernel that needs more registers than there are is slow: spills are warnings. With -lineinfo
# compute-sanitizer and Nsight Compute name lines of the source, at no cost in time.
set(cuda_options --expt-relaxed-constexpr -lineinfo -Xcompiler=-Wall,-Wextra -Xptxas=--warn-on-spills)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12's own AVX-512 header warns wherever its intrinsics are used (GCC bug 105593).
  list(APPEND cxx_options -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # A loop marked "omp simd" that it makes no vectors of is no fault, and libstdc++ 12's stable_sort uses what C++17
  # has deprecated. GCC joins products and sums across statements, for which the tolerances of the tests are.
  list(APPEND cxx_options -Wno-pass-failed -Wno-deprecated-declarations -ffp-contract=fast)
endif()
if(FOVEA_WERROR)
  list(APPEND cxx_options -Werror)
  list(APPEND cuda_options -Werror=all-warnings -Xcompiler=-Werror -Xptxas=--warning-as-error)
endif()
if(FOVEA_NATIVE)
  list(APPEND cxx_options -march=native)
endif()
# The namespace of what kernels/cpu compiles once for each variant; tests that include its headers have the first.
set(own_variant $<TARGET_PROPERTY:FOVEA_CPU_VARIANT>)
target_compile_definitions(fovea_options INTERFACE
  FOVEA_CPU_VARIANT=$<IF:$<BOOL:${own_variant}>,${own_variant},${FOVEA_FIRST_CPU_VARIANT}>)
target_compile_options(fovea_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${cxx_options}>"
                       "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_options}>")
if(FOVEA_SANITIZE)
  target_compile_options(fovea_options INTERFACE -fsanitize=${FOVEA_SANITIZE} -fno-sanitize-recover=all
                         -fno-omit-frame-pointer)
  target_link_options(fovea_options INTERFACE -fsanitize=${FOVEA_SANITIZE})
endif()

target_link_libraries(fovea PRIVATE
  $<BUILD_INTERFACE:fovea_options> $<BUILD_INTERFACE:Eigen3::Eigen> $<BUILD_INTERFACE:nlohmann_json::nlohmann_json>
  OpenMP::OpenMP_CXX Threads::Threads ZLIB::ZLIB)
# Fovea splits the work among threads itself, in parts that do not depend on their number.
target_compile_definitions(fovea PRIVATE EIGEN_DONT_PARALLELIZE)
target_include_directories(fovea SYSTEM PRIVATE ${XXHASH_INCLUDE_DIR})
if(FOVEA_HAS_ONEDNN)
  target_link_libraries(fovea PRIVATE DNNL::dnnl)
endif()
if(FOVEA_HAS_CUDA)
  # The runtime that CMake adds for CUDA sources, too: FoveaDependencies.cmake says which.
  target_link_libraries(fovea PRIVATE CUDA::cudart_static CUDA::cublasLt CUDNN::cudnn)
endif()

# fovea_sources(HEADERS a.h ... SOURCES a.cpp ...): adds files of the current folder to the library. HEADERS are public:
# installed, and in <fovea/fovea.h>. DETAILS are installed because public headers include them. INTERNAL ones stay here.
# A test compiles each of them alone. CPU names what is compiled once for each variant of kernels/cpu_variant.h. CUDA
# names what a build with CUDA has beside, and what the tests run under the emulator; CUDA_LIBRARIES what calls cuDNN and
# cuBLAS, for which the emulator has stand-ins.
function(fovea_sources)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "HEADERS;DETAILS;INTERNAL;SOURCES;CPU;CUDA;CUDA_LIBRARIES")
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE folder)
  foreach(kind HEADERS DETAILS INTERNAL)
    list(TRANSFORM arg_${kind} PREPEND ${folder}/)
    set_property(GLOBAL APPEND PROPERTY FOVEA_${kind} ${arg_${kind}})
  endforeach()
  list(TRANSFORM arg_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  list(TRANSFORM arg_CPU PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  list(TRANSFORM arg_CUDA PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  list(TRANSFORM arg_CUDA_LIBRARIES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  target_sources(fovea PRIVATE ${arg_SOURCES} ${arg_CPU})
  set_property(GLOBAL APPEND PROPERTY FOVEA_CPU_SOURCES ${arg_CPU})
  if(FOVEA_HAS_CUDA)
    target_sources(fovea PRIVATE ${arg_CUDA} ${arg_CUDA_LIBRARIES})
  endif()
  set_property(GLOBAL APPEND PROPERTY FOVEA_EMULATED_SOURCES ${arg_CUDA})
endfunction()

# <fovea/fovea.h>: all public headers.
function(fovea_write_umbrella_header)
  get_property(headers GLOBAL PROPERTY FOVEA_HEADERS)
  set(text "#pragma once\n\n// Generated from the lists of public headers: everything that Fovea offers.\n")
  foreach(header ${headers})
    string(APPEND text "#include \"fovea/${header}\"\n")
  endforeach()
  file(CONFIGURE OUTPUT ${FOVEA_INCLUDE_DIR}/fovea/fovea.h CONTENT "${text}" @ONLY)
endfunction()
