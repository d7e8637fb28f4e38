# fovea_install_program(cifar_trainer "what it is"): installs a program, if it was built, with a manual page made of its
# own --help. A program that this machine cannot run, built for another, has none.
include(GNUInstallDirs)
function(fovea_install_program program what)
  install(TARGETS ${program} RUNTIME COMPONENT runtime OPTIONAL)
  if(NOT PROJECT_IS_TOP_LEVEL OR (CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR))
    return()
  endif()
  set(page ${PROJECT_BINARY_DIR}/man/${program}.1)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/man)
  set(script ${PROJECT_SOURCE_DIR}/tools/man_page.sh)
  add_custom_command(OUTPUT ${page}
    COMMAND ${script} $<TARGET_FILE:${program}> "${what}" ${PROJECT_VERSION} ${page}
    DEPENDS ${program} ${script} VERBATIM)
  add_custom_target(${program}_man ALL DEPENDS ${page})
  install(CODE "
    if(EXISTS \"$<TARGET_FILE:${program}>\" AND EXISTS \"${page}\")
      set(folder \"${CMAKE_INSTALL_MANDIR}/man1\")
      cmake_path(ABSOLUTE_PATH folder BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\")
      file(INSTALL TYPE FILE DESTINATION \"\${folder}\" FILES \"${page}\")
    endif()" COMPONENT runtime)
endfunction()
