foreach(folder autograd layers optim)
  install(DIRECTORY ${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/unroll/${folder} FILES_MATCHING PATTERN "*.h")
endforeach()
install(TARGETS unroll EXPORT unrollTargets)
if(UNROLL_MODELS)
  install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/unroll/models
          FILES_MATCHING PATTERN "*.h" PATTERN tasks EXCLUDE PATTERN program EXCLUDE
          REGEX "${UNROLL_TASK_HEADERS}" EXCLUDE)
  install(TARGETS unroll_models EXPORT unrollTargets)
endif()
install(EXPORT unrollTargets NAMESPACE unroll:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unroll)

configure_package_config_file(cmake/unrollConfig.cmake.in ${PROJECT_BINARY_DIR}/unrollConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unroll)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/unrollConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/unrollConfig.cmake ${PROJECT_BINARY_DIR}/unrollConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unroll)
