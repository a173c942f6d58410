#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// The tokens of mteval-v13a, which sacreBLEU calls 13a, of a text of a Western language: four character references of
/// HTML are read, line ends are blanks or join a hyphened word, ASCII punctuation is set apart but for apostrophes and
/// hyphens, stops and commas between digits stay, and hyphens go only from digits before them. Throws ValueError for
/// text that is not UTF-8.
std::vector<std::string> tokenize_13a(std::string_view text);

}  // namespace unroll::inline UNROLL_ISA
