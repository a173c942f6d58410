#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// How often names were met: what a SymbolTable is made of.
using SymbolCounts = std::map<std::string, Index>;

/// Names with ids 0 .. size - 1: the words, characters or labels of a task's data. (The symbols of a running text are a
/// Vocabulary.)
class SymbolTable {
 public:
  static constexpr std::string_view unknown = "<unk>";

  SymbolTable() = default;
  /// In this order. Throws ValueError when a name is there twice, or is not UTF-8.
  explicit SymbolTable(std::vector<std::string> names);
  /// `<unk>`, and the names that were met at least `least` times, the more frequent first, equally frequent ones in the
  /// order of their bytes; at most `limit` names, if that is not 0.
  static SymbolTable words(SymbolCounts counts, Index least = 1, Index limit = 0);
  /// All names, in the order of their bytes.
  static SymbolTable labels(const SymbolCounts& counts);

  Index size() const { return static_cast<Index>(names_.size()); }
  std::optional<std::int32_t> find(std::string_view name) const;
  /// The id of a name, or that of `<unk>`. Throws IndexError when there is neither.
  std::int32_t id(std::string_view name) const;
  /// Throws IndexError unless 0 <= id < size().
  const std::string& name(Index id) const;
  const std::vector<std::string>& names() const { return names_; }

  nlohmann::json to_json() const;
  /// Throws what the JSON library throws for what is no list of strings.
  static SymbolTable from_json(const nlohmann::json& json);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> ids_;
};

}  // namespace unroll::inline UNROLL_ISA
