#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// A tree in brackets, as the Penn Treebank writes them: a node is (label word) or (label node node ...).
struct BracketedTree {
  struct Node {
    std::string label;
    Index parent = -1;          // -1: the root
    Index first = 0, last = 0;  // its words are first .. last - 1
    bool leaf = true;
  };
  std::vector<Node> nodes;  // each before its children, these in their order
  std::vector<std::string> words;

  /// Words are as they read: brackets written as -LRB-, slashes as \/ and quotes as `` are (, / and ". Throws
  /// ValueError with the column for what is no tree, or goes on behind its end.
  static BracketedTree parse(std::string_view text);
};

}  // namespace unroll::inline UNROLL_ISA
