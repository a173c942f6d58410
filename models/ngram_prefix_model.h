#pragma once

#include <unroll/layers/decoding/prefix_model.h>
#include <unroll/models/ngram.h>

namespace unroll::inline UNROLL_ISA {

/// An n-gram model as decoders ask it.
class NGramPrefixModel : public PrefixModel {
 public:
  explicit NGramPrefixModel(const NGram& model) : model_(model) { restart(); }

  void restart() override { prefixes_.assign(1, {}); }
  Index extend(Index prefix, std::int32_t label) override {
    auto longer = prefixes_[static_cast<std::size_t>(prefix)];
    longer.push_back(label);
    if (static_cast<int>(longer.size()) >= model_.order()) longer.erase(longer.begin());
    prefixes_.push_back(std::move(longer));
    return static_cast<Index>(prefixes_.size()) - 1;
  }
  double log_probability(Index prefix, std::int32_t label) override {
    return std::log(model_.probability(prefixes_[static_cast<std::size_t>(prefix)], label));
  }

 private:
  const NGram& model_;
  std::vector<std::vector<std::int32_t>> prefixes_;  // their last order - 1 labels
};

}  // namespace unroll::inline UNROLL_ISA
