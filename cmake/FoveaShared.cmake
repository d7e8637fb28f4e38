# libfovea.so beside libfovea.a, where FOVEA_SHARED asks for it. Both are made of the same objects, compiled once, with
# hidden symbols. What a public header declares stands there between `#pragma GCC visibility push(default)` and `pop`: so
# it is exported, and what is beside it in the same namespaces is not. That cannot be told from a name, so that a version
# script alone would not do; a macro before each of some thousand declarations would say the same less legibly. The script
# keeps back what std's templates, which are never hidden, make of Fovea's types, and gives the symbols their version.
#
# The tests, the programs and fovea_bench use internals, and link the static library; the examples link what users do.
configure_file(${PROJECT_SOURCE_DIR}/cmake/exports.map.in ${PROJECT_BINARY_DIR}/exports.map)
set(FOVEA_SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})  # until 1.0 each minor version breaks

# fovea_forms(fovea_onnx onnx LIBRARIES a b): the static library `fovea_onnx` is fovea::onnx_static, and fovea::onnx is
# libfovea_onnx.so of the same objects with FOVEA_SHARED, which links a and b; otherwise it is the static one, too.
# Without LIBRARIES it links what the static library does.
function(fovea_forms target name)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "LIBRARIES")
  add_library(fovea::${name}_static ALIAS ${target})
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
                        CUDA_VISIBILITY_PRESET hidden)
  if(NOT FOVEA_SHARED)
    add_library(fovea::${name} ALIAS ${target})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
    return()
  endif()
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name}_static)
  set(shared ${target}_shared)
  set(source ${PROJECT_BINARY_DIR}/${shared}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "// All of lib${target}.so is in lib${target}.a.\n")
  add_library(${shared} SHARED ${source})
  add_library(fovea::${name} ALIAS ${shared})
  if(arg_LIBRARIES)
    target_sources(${shared} PRIVATE $<TARGET_OBJECTS:${target}>)
    target_link_libraries(${shared} PRIVATE ${arg_LIBRARIES})
  else()
    target_link_libraries(${shared} PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,${target}>)
  endif()
  target_compile_features(${shared} PUBLIC cxx_std_20)
  target_include_directories(${shared} PUBLIC $<BUILD_INTERFACE:${FOVEA_INCLUDE_DIR}> $<INSTALL_INTERFACE:include>)
  set(script ${PROJECT_BINARY_DIR}/exports.map)
  set_target_properties(${shared} PROPERTIES OUTPUT_NAME ${target} EXPORT_NAME ${name} LINK_DEPENDS ${script}
                        CXX_VISIBILITY_PRESET hidden VERSION ${PROJECT_VERSION} SOVERSION ${FOVEA_SOVERSION})
  if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
    set_target_properties(${shared} PROPERTIES INSTALL_RPATH $ORIGIN)  # libfovea_onnx.so finds libfovea.so beside it
  endif()
  target_link_options(${shared} PRIVATE -Wl,--version-script=${script})
  if(NOT FOVEA_SANITIZE)
    target_link_options(${shared} PRIVATE -Wl,-z,defs)  # a sanitizer's functions are the program's
  endif()
endfunction()
