foreach(folder IN LISTS UNROLL_PUBLIC_FOLDERS)
  install(DIRECTORY ${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/unroll/${folder}
          FILES_MATCHING PATTERN "*.h")
endforeach()
install(TARGETS unroll unroll_models EXPORT unrollTargets)
install(EXPORT unrollTargets NAMESPACE unroll:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unroll)

set(UNROLL_NEEDS_DNNL 0)
if(UNROLL_ONEDNN AND UNROLL_ONEDNN_LINKS AND NOT BUILD_SHARED_LIBS)
  set(UNROLL_NEEDS_DNNL 1)  # a static library passes what it links on to its users
endif()
configure_package_config_file(cmake/unrollConfig.cmake.in ${PROJECT_BINARY_DIR}/unrollConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unroll)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/unrollConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/unrollConfig.cmake ${PROJECT_BINARY_DIR}/unrollConfigVersion.cmake
        cmake/onednn.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/unroll)
