# Turns `native` into a named instruction-set level, so that the flags the library exports mean the same
# on every machine and for every compiler that uses it.
include(CheckCXXSourceCompiles)

function(unroll_resolve_arch arch result)
  if(NOT arch STREQUAL "native")
    set(${result} "-march=${arch}" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -march=native -dM -E -x c++ /dev/null
                  OUTPUT_VARIABLE macros ERROR_QUIET RESULT_VARIABLE failed)
  if(failed OR NOT macros MATCHES "__x86_64__")
    set(${result} "" PARENT_SCOPE)  # the compiler's default: on 64-bit ARM it includes NEON
    return()
  endif()
  set(level x86-64)
  if(macros MATCHES "__SSE4_2__" AND macros MATCHES "__POPCNT__")
    set(level x86-64-v2)
    if(macros MATCHES "__AVX2__" AND macros MATCHES "__FMA__" AND macros MATCHES "__BMI2__")
      set(level x86-64-v3)
      if(macros MATCHES "__AVX512F__" AND macros MATCHES "__AVX512BW__" AND macros MATCHES "__AVX512DQ__"
         AND macros MATCHES "__AVX512VL__" AND macros MATCHES "__AVX512CD__")
        set(level x86-64-v4)
      endif()
    endif()
  endif()
  set(flags "-march=${level}")
  if(level STREQUAL "x86-64-v4")
    list(APPEND flags -mprefer-vector-width=512)
  endif()
  set(${result} "${flags}" PARENT_SCOPE)
endfunction()
