# cpack --preset package: Debian's packages of a build with the preset `package`, a component each. The packager's name is
# taken from DEBFULLNAME and DEBEMAIL, as Debian's own tools take it.
set(CPACK_PACKAGE_NAME fovea)
set(CPACK_PACKAGE_VENDOR "The Fovea developers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL runtime library development)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(packager "The Fovea developers")
set(address root@localhost)
if(DEFINED ENV{DEBFULLNAME})
  set(packager $ENV{DEBFULLNAME})
endif()
if(DEFINED ENV{DEBEMAIL})
  set(address $ENV{DEBEMAIL})
endif()
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${packager} <${address}>")
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# The time of the last commit, or SOURCE_DATE_EPOCH, so that the same sources give the same packages.
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
  execute_process(COMMAND git log -1 --format=%ct WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} ERROR_QUIET
                  OUTPUT_VARIABLE commit_time OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(commit_time)
    set(ENV{SOURCE_DATE_EPOCH} ${commit_time})
  endif()
endif()
string(TIMESTAMP FOVEA_DEBIAN_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
set(FOVEA_DEBIAN_VERSION ${PROJECT_VERSION})

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libfovea${FOVEA_SOVERSION})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
# CPack writes a postinst and a postrm that call ldconfig, unless it is given others: what is not there is left out.
set(extra_files triggers postinst postrm)
file(WRITE ${PROJECT_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
list(TRANSFORM extra_files PREPEND ${PROJECT_BINARY_DIR}/debian/ OUTPUT_VARIABLE CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION "Residual Attention Networks in C++20 - shared library
Fovea has tensors, automatic differentiation, layers, the Residual Attention
Networks, and their training.

This package has the library for programs that are linked with it.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libfovea-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(development_depends "libfovea${FOVEA_SOVERSION} (= ${FOVEA_DEBIAN_VERSION})" zlib1g-dev)
if(FOVEA_HAS_ONEDNN)
  list(APPEND development_depends libdnnl-dev)
endif()
if(FOVEA_HAS_ONNX)
  list(APPEND development_depends libonnx-dev libprotobuf-dev)
endif()
list(JOIN development_depends ", " CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "Residual Attention Networks in C++20 - development files
Fovea has tensors, automatic differentiation, layers, the Residual Attention
Networks, and their training.

This package has the headers, the static library, and what CMake and
pkg-config need to find them.")

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME fovea-tools)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION science)
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION "Residual Attention Networks in C++20 - programs
cifar_trainer trains Residual Attention Networks on CIFAR and on pictures of
one's own, and uses them; fovea_bench and fovea_step_time measure how fast
Fovea is.

This package has the programs, their recipes, and trained networks.")
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "${CPACK_DEBIAN_LIBRARY_DESCRIPTION}")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "${CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION}")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "${CPACK_DEBIAN_RUNTIME_DESCRIPTION}")

foreach(name copyright changelog)
  configure_file(${PROJECT_SOURCE_DIR}/tools/debian/${name}.in ${PROJECT_BINARY_DIR}/debian/${name} @ONLY)
endforeach()
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_BINARY_DIR}/debian/stage.cmake)
configure_file(${PROJECT_SOURCE_DIR}/cmake/debian_stage.cmake.in ${PROJECT_BINARY_DIR}/debian/stage.cmake @ONLY)
include(CPack)
