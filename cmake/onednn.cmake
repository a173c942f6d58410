# oneDNN as the target unroll::onednn, when its header and library are here. It is not looked for by its own CMake files:
# those of Debian fail, and the configuring project with them, where the headers of OpenCL are missing, and nothing here
# needs those.
find_path(UNROLL_ONEDNN_INCLUDE_DIR dnnl.h HINTS ${dnnl_ROOT} $ENV{dnnl_ROOT} PATH_SUFFIXES include)
find_library(UNROLL_ONEDNN_LIBRARY dnnl HINTS ${dnnl_ROOT} $ENV{dnnl_ROOT} PATH_SUFFIXES lib)
mark_as_advanced(UNROLL_ONEDNN_INCLUDE_DIR UNROLL_ONEDNN_LIBRARY)
if(UNROLL_ONEDNN_INCLUDE_DIR AND UNROLL_ONEDNN_LIBRARY AND NOT TARGET unroll::onednn)
  add_library(unroll::onednn UNKNOWN IMPORTED GLOBAL)
  set_target_properties(unroll::onednn PROPERTIES
    IMPORTED_LOCATION "${UNROLL_ONEDNN_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${UNROLL_ONEDNN_INCLUDE_DIR}")
endif()
