#pragma once

#include <string>

#include <unroll/autograd/tensor/isa.h>

namespace unroll::inline UNROLL_ISA {

/// Throws FileError unless a file of that name can be written, before there is work that could be lost. An empty name
/// is no file.
void check_output(const char* command, const std::string& path);

}  // namespace unroll::inline UNROLL_ISA
