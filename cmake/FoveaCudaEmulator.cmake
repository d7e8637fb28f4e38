# fovea_emulate_cuda(TARGET): compiles the .cu files of a target as C++ against the emulator of CUDA, and links it. To be
# called where the project has no CUDA language; where it has, a target links fovea::cuda_portable instead.
function(fovea_emulate_cuda target)
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "\\.cu$")
  if(NOT sources)
    message(FATAL_ERROR "fovea_emulate_cuda: ${target} has no .cu file, wanted one to emulate")
  endif()
  get_target_property(folder ${target} SOURCE_DIR)
  set_source_files_properties(${sources} DIRECTORY ${folder} PROPERTIES
    LANGUAGE CXX COMPILE_OPTIONS "-x;c++;-Wno-unknown-pragmas")
  target_link_libraries(${target} PUBLIC fovea::cuda_emulator)
endfunction()
