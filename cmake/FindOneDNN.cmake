# oneDNN: OneDNN_FOUND, OneDNN_VERSION, OneDNN_CPU_RUNTIME (OMP, SEQ, TBB, ...) and the target DNNL::dnnl. OneDNN_ROOT is
# searched first, then where dnnl_DIR says that oneDNN's own configuration lies. Debian's own configuration is not asked:
# it stops with an error where the OpenCL loader's development files are missing, which nobody needs to link oneDNN.
find_path(OneDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp HINTS ${dnnl_ROOT} ${dnnl_DIR}/../../.. ${dnnl_DIR}/../../../..
          PATH_SUFFIXES include)
find_library(OneDNN_LIBRARY NAMES dnnl HINTS ${dnnl_ROOT} ${dnnl_DIR}/../../.. PATH_SUFFIXES lib lib64)
set(OneDNN_VERSION "")
set(OneDNN_CPU_RUNTIME "")
if(OneDNN_INCLUDE_DIR)
  set(folder ${OneDNN_INCLUDE_DIR}/oneapi/dnnl)
  file(STRINGS ${folder}/dnnl_version.h lines REGEX "#define DNNL_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCH ([0-9]+).*" "\\1.\\2.\\3" OneDNN_VERSION "${lines}")
  file(STRINGS ${folder}/dnnl_config.h lines REGEX "^#define DNNL_CPU_RUNTIME DNNL_RUNTIME_")
  string(REGEX REPLACE ".*DNNL_RUNTIME_([A-Z]+).*" "\\1" OneDNN_CPU_RUNTIME "${lines}")
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OneDNN REQUIRED_VARS OneDNN_LIBRARY OneDNN_INCLUDE_DIR
                                  VERSION_VAR OneDNN_VERSION)
if(OneDNN_FOUND AND NOT TARGET DNNL::dnnl)
  add_library(DNNL::dnnl UNKNOWN IMPORTED)
  set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION ${OneDNN_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${OneDNN_INCLUDE_DIR})
endif()
mark_as_advanced(OneDNN_INCLUDE_DIR OneDNN_LIBRARY)
