foreach(folder IN LISTS UNROLL_PUBLIC_FOLDERS)
  install(DIRECTORY ${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/unroll/${folder}
          FILES_MATCHING PATTERN "*.h" PATTERN tasks EXCLUDE PATTERN program EXCLUDE)
endforeach()
install(TARGETS unroll EXPORT unrollTargets)
if(UNROLL_MODELS)
  install(TARGETS unroll_models EXPORT unrollTargets)
endif()
install(EXPORT unrollTargets NAMESPACE unroll:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unroll)

configure_package_config_file(cmake/unrollConfig.cmake.in ${PROJECT_BINARY_DIR}/unrollConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unroll)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/unrollConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/unrollConfig.cmake ${PROJECT_BINARY_DIR}/unrollConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unroll)
