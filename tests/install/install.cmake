# cmake -DBUILD=... -DPREFIX=... -DCONFIG=... -P install.cmake
file(REMOVE_RECURSE ${PREFIX})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX} --config "${CONFIG}"
                OUTPUT_QUIET RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "installing failed")
endif()
file(GLOB_RECURSE files RELATIVE ${PREFIX} ${PREFIX}/*)
list(LENGTH files count)
message(STATUS "${count} files are installed")
