#include <unroll/models/data/symbol_table.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/ranges.h>

#include <unroll/models/data/utf8.h>

namespace unroll::inline UNROLL_ISA {

SymbolTable::SymbolTable(std::vector<std::string> names) : names_(std::move(names)) {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    detail::for_each_character<ValueError>(names_[i], "symbols: " + names_[i], [](std::string_view, std::size_t) {});
    require<ValueError>(ids_.emplace(names_[i], static_cast<std::int32_t>(i)).second, "symbols: '{}' is there twice",
                        names_[i]);
  }
}

SymbolTable SymbolTable::words(SymbolCounts counts, Index least, Index limit) {
  counts.erase(std::string(unknown));
  std::vector<std::pair<std::string, Index>> sorted(counts.begin(), counts.end());
  std::erase_if(sorted, [&](const auto& word) { return word.second < least; });
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  if (limit > 0 && static_cast<Index>(sorted.size()) >= limit) sorted.resize(static_cast<std::size_t>(limit - 1));
  std::vector<std::string> names{std::string(unknown)};
  for (auto& word : sorted) names.push_back(std::move(word.first));
  return SymbolTable(std::move(names));
}

SymbolTable SymbolTable::labels(const SymbolCounts& counts) {
  std::vector<std::string> names;
  for (const auto& label : counts) names.push_back(label.first);
  return SymbolTable(std::move(names));
}

std::optional<std::int32_t> SymbolTable::find(std::string_view name) const {
  const auto found = ids_.find(name);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::int32_t SymbolTable::id(std::string_view name) const {
  if (const auto found = find(name)) return *found;
  const auto other = find(unknown);
  if (other) return *other;
  constexpr std::ptrdiff_t few = 12;
  const auto some = names_.begin() + std::min(few, std::ssize(names_));
  throw IndexError(fmt::format("symbols: '{}' is not among the {} known: {}{}", name, size(),
                               fmt::join(names_.begin(), some, ", "), some == names_.end() ? "" : ", ..."));
}

const std::string& SymbolTable::name(Index id) const {
  require<IndexError>(id >= 0 && id < size(), "symbols: id {} is outside 0 .. {}", id, size() - 1);
  return names_[static_cast<std::size_t>(id)];
}

nlohmann::json SymbolTable::to_json() const { return names_; }

SymbolTable SymbolTable::from_json(const nlohmann::json& json) {
  return SymbolTable(json.get<std::vector<std::string>>());
}

}  // namespace unroll::inline UNROLL_ISA
