# Cross compiles for 64-bit ARM with the distribution's packages and runs what was built under qemu-user:
#   cmake -B build-arm64 -DCMAKE_TOOLCHAIN_FILE=cmake/arm64.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CXX_FLAGS_INIT -Wno-psabi)  # notes on parameter passing, for every formula
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu
    -E LD_LIBRARY_PATH=/usr/lib/aarch64-linux-gnu:/usr/aarch64-linux-gnu/lib)
# Headers alone: those of this machine's own architecture serve.
file(GLOB xtensor_DIR /usr/lib/*/cmake/xtensor)
file(GLOB xsimd_DIR /usr/lib/*/cmake/xsimd)
