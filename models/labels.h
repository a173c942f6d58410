#pragma once

#include <unroll/models/data/symbol_table.h>
#include <unroll/models/metrics/classification.h>
#include <unroll/models/supervised_task.h>

// What tasks have in common that tell one label from another.

namespace unroll::inline UNROLL_ISA {

/// The symbols of a task that has no others than its labels.
struct LabelSymbols {
  SymbolTable labels;

  nlohmann::json to_json() const { return {{"labels", labels.to_json()}}; }
  static LabelSymbols from_json(const nlohmann::json& json) { return {SymbolTable::from_json(json.at("labels"))}; }
  /// Of examples with a `label`.
  template <class Example>
  static LabelSymbols of(const std::vector<Example>& examples) {
    SymbolCounts counts;
    for (const Example& e : examples) ++counts[e.label];
    return {SymbolTable::labels(counts)};
  }
};

/// The `target` of each example.
template <class Example>
std::vector<std::int32_t> targets_of(std::span<const Example* const> examples) {
  std::vector<std::int32_t> targets;
  for (const Example* e : examples) targets.push_back(e->target);
  return targets;
}

/// The class of the largest of a model's logits(tape, examples) [examples, classes], for each example.
template <class Example, class Model>
std::vector<std::int32_t> likeliest_classes(const Model& model, std::span<const Example> examples) {
  return map_batches(examples, 64, [&](Tape<>& tape, std::span<const Example* const> batch) {
    const Var<> logits = model.logits(tape, batch);
    const View<const float> x = values(logits);
    std::vector<std::int32_t> classes;
    for (Index i = 0; i < x.rows; ++i)
      classes.push_back(static_cast<std::int32_t>(std::max_element(x.row(i), x.row(i) + x.cols) - x.row(i)));
    return classes;
  });
}

/// These beside what is true.
template <class Example, class Model>
ConfusionMatrix confusion(const Model& model, std::span<const Example> examples, Index classes,
                          std::int32_t Example::*target = &Example::target) {
  std::vector<std::int32_t> truth;
  for (const Example& e : examples) truth.push_back(e.*target);
  return {classes, truth, likeliest_classes(model, examples)};
}

/// The class of the largest of a model's logits of one example, and its probability.
template <class Example, class Model>
std::pair<std::int32_t, float> likeliest_class(const Model& model, const Example& example) {
  Tape<> tape = Tape<>::inference();
  const Example* const one = &example;
  const Tensor<float> p = softmax(model.logits(tape, std::span(&one, 1))).value();
  const auto best = std::max_element(p.begin(), p.end());
  return {static_cast<std::int32_t>(best - p.begin()), *best};
}

}  // namespace unroll::inline UNROLL_ISA
