# cmake -DSOURCE=FOLDER -DHEADER=FILE -P build_commit.cmake: writes the commit of a tree into a header, which stays as it
# is where it has that already. "-dirty" behind a commit: some tracked file differs from it.
find_program(GIT git)
set(commit)
if(GIT AND EXISTS ${SOURCE}/.git)
  execute_process(COMMAND ${GIT} -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT commit)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#define FOVEA_COMMIT \"${commit}\"\n" @ONLY)
