# What `cmake --install` brings, in components: `runtime` (programs, recipes, trained networks, manual pages), `library`
# (libfovea.so alone, for programs that are linked with it), `development` (headers, archives, find_package, pkg-config).
# The programs are linked with the static library, and are installed where they are made: tools/cifar_trainer and
# benchmarks. All paths are relative to where a file is found, so that a prefix can be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(documentation ${CMAKE_INSTALL_DATAROOTDIR}/doc/fovea)
foreach(component runtime library development)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${documentation} COMPONENT ${component})
endforeach()
install(FILES README.md CHANGELOG.md CITATION.cff docs/environment.md docs/third_party.md
        DESTINATION ${documentation} COMPONENT runtime)
install(FILES docs/guide.md DESTINATION ${documentation} COMPONENT development)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fovea)
set(libraries fovea)
if(FOVEA_HAS_ONNX)
  list(APPEND libraries fovea_onnx)
endif()
if(FOVEA_HAS_MPI)
  list(APPEND libraries fovea_mpi)
endif()
if(FOVEA_HAS_NCCL)
  list(APPEND libraries fovea_nccl)
endif()
install(TARGETS ${libraries} EXPORT fovea-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT fovea-targets NAMESPACE fovea:: DESTINATION ${package_dir} COMPONENT development)
if(FOVEA_SHARED)
  list(TRANSFORM libraries APPEND _shared OUTPUT_VARIABLE shared_libraries)
  install(TARGETS ${shared_libraries} EXPORT fovea-shared-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
          COMPONENT library NAMELINK_COMPONENT development)
  install(EXPORT fovea-shared-targets NAMESPACE fovea:: DESTINATION ${package_dir} COMPONENT development)
endif()
get_property(headers GLOBAL PROPERTY FOVEA_HEADERS)
get_property(details GLOBAL PROPERTY FOVEA_DETAILS)
foreach(header ${headers} ${details})
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fovea/${folder}
          COMPONENT development)
endforeach()
install(FILES ${FOVEA_INCLUDE_DIR}/fovea/config.h ${FOVEA_INCLUDE_DIR}/fovea/fovea.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fovea COMPONENT development)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/fovea-config.cmake.in
                              ${PROJECT_BINARY_DIR}/fovea-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fovea-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fovea-config.cmake ${PROJECT_BINARY_DIR}/fovea-config-version.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindCUDNN.cmake ${PROJECT_SOURCE_DIR}/cmake/FindNCCL.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindOneDNN.cmake
        DESTINATION ${package_dir} COMPONENT development)

# fovea.pc and fovea_onnx.pc, fovea_mpi.pc, fovea_nccl.pc. What a static library needs is private where there is a shared
# one, which brings its own.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE libdir)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE includedir)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
           OUTPUT_VARIABLE prefix_from_pc)
set(private_libraries ${OpenMP_CXX_FLAGS} -pthread)
set(private_files)
if(FOVEA_HAS_ONEDNN)
  list(APPEND private_files ${OneDNN_LIBRARY})
endif()
if(FOVEA_HAS_CUDA)
  list(APPEND private_files ${CUDNN_LIBRARY} ${CUDA_cublasLt_LIBRARY} ${CUDA_cudart_static_LIBRARY})
endif()
foreach(file ${private_files})
  cmake_path(GET file PARENT_PATH folder)
  if(NOT folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
    list(APPEND private_libraries -L${folder})
  endif()
  cmake_path(GET file STEM library)
  string(REGEX REPLACE "^lib" "-l" library ${library})
  list(APPEND private_libraries ${library})
endforeach()
list(REMOVE_DUPLICATES private_libraries)
if(FOVEA_HAS_CUDA)
  list(APPEND private_libraries -ldl -lrt)
endif()
list(JOIN private_libraries " " private_libraries)
set(private_onnx_libraries "-lonnx -lonnx_proto")
list(JOIN MPI_CXX_LIBRARIES " " private_mpi_libraries)
set(private_nccl_libraries ${NCCL_LIBRARY})
set(private .private)
if(NOT FOVEA_SHARED)
  set(private "")
  set(public_libraries " ${private_libraries}")
  set(public_onnx_libraries " ${private_onnx_libraries}")
  set(public_mpi_libraries " ${private_mpi_libraries}")
  set(public_nccl_libraries " ${private_nccl_libraries}")
endif()
foreach(library ${libraries})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${library}.pc.in ${PROJECT_BINARY_DIR}/${library}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${library}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
endforeach()

# The emulator of CUDA needs nothing else of Fovea: `cmake --install BUILD --component cuda_emulator` is all of it.
if(FOVEA_EMULATOR)
  install(TARGETS fovea_cuda_emulator fovea_cuda_portable EXPORT fovea-cuda-emulator-targets
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT cuda_emulator)
  if(TARGET fovea_emulated_device)
    install(TARGETS fovea_emulated_backend fovea_emulated_device EXPORT fovea-targets
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
  endif()
  install(EXPORT fovea-cuda-emulator-targets NAMESPACE fovea:: DESTINATION ${package_dir} COMPONENT cuda_emulator)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/tests/emulator/include/fovea/cuda_emulator
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fovea COMPONENT cuda_emulator)
  install(FILES ${PROJECT_SOURCE_DIR}/core/check.h ${PROJECT_SOURCE_DIR}/core/printable.h
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fovea/core COMPONENT cuda_emulator)
  install(FILES ${PROJECT_BINARY_DIR}/fovea-config.cmake ${PROJECT_BINARY_DIR}/fovea-config-version.cmake
                ${PROJECT_SOURCE_DIR}/cmake/FoveaCudaEmulator.cmake
          DESTINATION ${package_dir} COMPONENT cuda_emulator)
endif()
