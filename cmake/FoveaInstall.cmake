# find_package(fovea) for others: headers, library, and a configuration that finds the same dependencies. The programs
# that were built are installed where they are made: tools/cifar_trainer and benchmarks.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md
        DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/fovea)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fovea)
install(TARGETS fovea EXPORT fovea-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(FOVEA_HAS_ONNX)
  install(TARGETS fovea_onnx EXPORT fovea-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
get_property(headers GLOBAL PROPERTY FOVEA_HEADERS)
get_property(details GLOBAL PROPERTY FOVEA_DETAILS)
foreach(header ${headers} ${details})
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fovea/${folder})
endforeach()
install(FILES ${FOVEA_INCLUDE_DIR}/fovea/config.h ${FOVEA_INCLUDE_DIR}/fovea/fovea.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fovea)
install(EXPORT fovea-targets NAMESPACE fovea:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/fovea-config.cmake.in
                              ${PROJECT_BINARY_DIR}/fovea-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fovea-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fovea-config.cmake ${PROJECT_BINARY_DIR}/fovea-config-version.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindCUDNN.cmake
        DESTINATION ${package_dir})
