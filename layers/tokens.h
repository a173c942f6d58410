#pragma once
#include <cstdint>
#include <vector>
#include <unroll/autograd/tensor/shape.h>
namespace unroll::inline UNROLL_ISA {
struct Tokens { Shape shape; std::vector<std::int32_t> ids; std::vector<Index> lengths; };
}
