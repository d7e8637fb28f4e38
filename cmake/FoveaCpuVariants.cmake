# The CPU's kernels, once for each variant of kernels/cpu_variant.h: FOVEA_CPU_VARIANT_LIST, of which the first is compiled
# as everything else is.
set(avx2_options -mavx2 -mfma -mbmi -mbmi2)
set(FOVEA_OPTIONS_avx2 ${avx2_options})
set(FOVEA_OPTIONS_avx512 ${avx2_options} -mavx512f -mavx512cd -mavx512bw -mavx512dq -mavx512vl)
set(FOVEA_OPTIONS_avx512_bf16 ${FOVEA_OPTIONS_avx512} -mavx512bf16)

if(FOVEA_CPU_VARIANTS STREQUAL "")
  set(FOVEA_CPU_VARIANTS AUTO)  # as a preset has it from an environment that does not say
endif()
if(FOVEA_NATIVE)
  set(FOVEA_CPU_VARIANT_LIST native)
elseif(FOVEA_CPU_VARIANTS STREQUAL "AUTO" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" AND NOT FOVEA_SANITIZE)
  set(FOVEA_CPU_VARIANT_LIST sse2 avx2 avx512 avx512_bf16)
elseif(FOVEA_CPU_VARIANTS MATCHES "^(AUTO|OFF)$")
  set(FOVEA_CPU_VARIANT_LIST generic)
else()
  set(FOVEA_CPU_VARIANT_LIST ${FOVEA_CPU_VARIANTS})
  foreach(variant ${FOVEA_CPU_VARIANT_LIST})
    if(NOT variant STREQUAL "sse2" AND NOT DEFINED FOVEA_OPTIONS_${variant})
      message(FATAL_ERROR "FOVEA_CPU_VARIANTS has ${variant}, wanted AUTO, OFF, or of sse2;avx2;avx512;avx512_bf16")
    endif()
  endforeach()
  list(GET FOVEA_CPU_VARIANT_LIST 0 first)
  if(NOT first STREQUAL "sse2")
    message(FATAL_ERROR "FOVEA_CPU_VARIANTS begins with ${first}, wanted sse2, which every processor can run")
  endif()
endif()
list(GET FOVEA_CPU_VARIANT_LIST 0 FOVEA_FIRST_CPU_VARIANT)
set(FOVEA_VISIT_CPU_VARIANTS)
foreach(variant ${FOVEA_CPU_VARIANT_LIST})
  string(APPEND FOVEA_VISIT_CPU_VARIANTS "visit(${variant}, __VA_ARGS__) ")
endforeach()
string(STRIP "${FOVEA_VISIT_CPU_VARIANTS}" FOVEA_VISIT_CPU_VARIANTS)

# Adds the sources that are listed as CPU to the library once more, compiled for a variant that not every processor can
# run. They become one object, in which everything is local but what stands in the variant's namespace: otherwise the
# linker would take inline functions of theirs, as of std::vector, for those of the whole library.
function(fovea_add_cpu_variant variant)
  get_property(sources GLOBAL PROPERTY FOVEA_CPU_SOURCES)
  add_library(fovea_cpu_${variant} OBJECT ${sources})
  target_compile_features(fovea_cpu_${variant} PRIVATE cxx_std_20)
  # GCC would make data of inline functions unique in the process, which cannot be made local.
  target_compile_options(fovea_cpu_${variant} PRIVATE ${FOVEA_OPTIONS_${variant}}
                         $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
  target_compile_definitions(fovea_cpu_${variant} PRIVATE EIGEN_DONT_PARALLELIZE)
  target_include_directories(fovea_cpu_${variant} PRIVATE ${FOVEA_INCLUDE_DIR})
  target_link_libraries(fovea_cpu_${variant} PRIVATE fovea_options Eigen3::Eigen OpenMP::OpenMP_CXX)
  set_target_properties(fovea_cpu_${variant} PROPERTIES POSITION_INDEPENDENT_CODE ON
                        CXX_VISIBILITY_PRESET hidden FOVEA_CPU_VARIANT ${variant})
  string(LENGTH ${variant} length)
  set(object ${PROJECT_BINARY_DIR}/fovea_cpu_${variant}.o)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CMAKE_LINKER} -r --force-group-allocation -o ${object} $<TARGET_OBJECTS:fovea_cpu_${variant}>
    COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=_ZN5fovea7kernels3cpu${length}${variant}* ${object}
    DEPENDS fovea_cpu_${variant} $<TARGET_OBJECTS:fovea_cpu_${variant}>
    COMMENT "Joining the CPU's kernels for ${variant}"
    COMMAND_EXPAND_LISTS VERBATIM)
  set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  target_sources(fovea PRIVATE ${object})
endfunction()

# All variants but the first.
function(fovea_add_cpu_variants)
  set(others ${FOVEA_CPU_VARIANT_LIST})
  list(POP_FRONT others)
  foreach(variant ${others})
    fovea_add_cpu_variant(${variant})
  endforeach()
endfunction()
