#pragma once

#include <span>
#include <string>

#include <unroll/autograd/tensor/isa.h>

namespace unroll::inline UNROLL_ISA {

/// Throws FileError unless a file of that name can be written, before there is work that could be lost, and where it is
/// one of those that are read. An empty name is no file.
void check_output(const char* command, const std::string& path, std::span<const std::string> read = {});
/// The same of a model's file, which is replaced as a whole and so cannot be a stream.
void check_model_output(const char* command, const std::string& path, std::span<const std::string> read = {});

}  // namespace unroll::inline UNROLL_ISA
