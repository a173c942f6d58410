#include <unroll/layers/inspect.h>

#include <algorithm>
#include <cmath>

#include <unroll/autograd/ops/elementwise.h>
#include <unroll/autograd/ops/layout.h>
#include <unroll/autograd/ops/reduce.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// The mean over rows of what is summed up for each, by steps back from the row's last. Rows that end stand behind
/// those that go on.
class BySteps {
 public:
  explicit BySteps(std::vector<Index> alive) : alive_(std::move(alive)), sums_(alive_.size()), rows_(alive_.size()) {
    ends_.assign(alive_.empty() ? 0 : static_cast<std::size_t>(alive_[0]), 0);
    for (std::size_t t = 0; t < alive_.size(); ++t)
      for (std::size_t row = 0; row < static_cast<std::size_t>(alive_[t]); ++row) ends_[row] = t;
    for (std::size_t t = 0; t < alive_.size(); ++t)
      for (std::size_t row = 0; row < static_cast<std::size_t>(alive_[t]); ++row) rows_[ends_[row] - t] += 1;
  }
  template <Real T>
  void add_squares(std::size_t t, const Tensor<T>& g) {
    const std::size_t rows = static_cast<std::size_t>(alive_[t]);
    const std::size_t cols = rows == 0 ? 0 : g.size() / rows;
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t j = 0; j < cols; ++j) {
        const auto x = static_cast<double>(g.data()[row * cols + j]);
        sums_[ends_[row] - t] += x * x;
      }
  }
  std::vector<double> root_mean(double scale) const {
    std::vector<double> result(sums_.size());
    for (std::size_t k = 0; k < result.size(); ++k) result[k] = std::sqrt(sums_[k] / rows_[k] * scale);
    return result;
  }

 private:
  std::vector<Index> alive_;  // rows that have step t
  std::vector<double> sums_, rows_;
  std::vector<std::size_t> ends_;  // last step of each row
};

template <class Step>
std::vector<Index> rows_alive(const std::vector<Step>& steps) {
  std::vector<Index> alive;
  for (const Step& step : steps) alive.push_back(step.made[0].shape()[0]);
  return alive;
}

/// The gradients of a scalar; zeros for what no parameter led to.
template <Real T>
std::vector<Tensor<T>> gradients_of(Tape<T>& tape, Var<T> y, std::span<const Var<T>> of) {
  std::vector<Var<T>> wanted;
  for (const Var<T>& v : of)
    if (tape.checked(v, "inspect").grad != nullptr) wanted.push_back(v);
  auto found = tape.gradient(y, make_tensor<T>({}, T(1)), wanted);
  std::vector<Tensor<T>> all;
  std::size_t next = 0;
  for (const Var<T>& v : of)
    all.push_back(tape.node(v.index()).grad != nullptr ? std::move(found[next++]) : make_tensor<T>(v.shape(), T(0)));
  return all;
}

std::string bar(const GateValues& gate) {
  static constexpr std::array<const char*, 9> levels{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const auto most = std::max<std::int64_t>(1, std::ranges::max(gate.histogram));
  std::string text;
  for (const std::int64_t n : gate.histogram) text += levels[static_cast<std::size_t>(n == 0 ? 0 : 1 + n * 7 / most)];
  return text;
}

}  // namespace

Index LayerInspection::memory(double share) const {
  const double most = error.empty() ? 0 : std::ranges::max(error);
  Index reach = 0;
  for (std::size_t k = 0; k < error.size(); ++k)
    if (error[k] > 0 && error[k] >= share * most) reach = static_cast<Index>(k);
  return reach;
}

std::string Inspection::table() const {
  std::string text;
  for (const LayerInspection& layer : layers) {
    const std::size_t steps = layer.error.size();
    const Index memory = layer.memory();
    const bool whole = memory + 1 == static_cast<Index>(steps);
    text +=
        fmt::format("{}: {} steps, effective memory {}{} steps\n", layer.name, steps, whole ? "at least " : "", memory);
    text += "  steps back  error dL/dh  Jacobian\n";
    for (std::size_t k = 0; k < steps;) {
      text += fmt::format("  {:>10}  {:>11.3e}  {:>8.2e}\n", k, layer.error[k], layer.jacobian[k]);
      const std::size_t next = std::max(k + 1, k * 3 / 2);  // closer near the end, and the first step in any case
      k = k + 1 < steps && next >= steps ? steps - 1 : next;
    }
    if (!layer.gates.empty()) text += fmt::format("  {:<12}{:<22}{:>6} < 0.1 {:>5} > 0.9\n", "gate", "0 .. 1", "", "");
    for (const GateValues& gate : layer.gates)
      text += fmt::format("  {:<12}[{}]{:>10.1f} % {:>9.1f} %\n", gate.name, bar(gate), 100 * gate.share_closed(),
                          100 * gate.share_open());
  }
  return text;
}

std::string Inspection::csv() const {
  std::string text = "layer,quantity,at,value\n";
  for (const LayerInspection& layer : layers) {
    for (std::size_t k = 0; k < layer.error.size(); ++k)
      text += fmt::format("{},error,{},{:.9g}\n", layer.name, k, layer.error[k]);
    for (std::size_t k = 0; k < layer.jacobian.size(); ++k)
      text += fmt::format("{},jacobian,{},{:.9g}\n", layer.name, k, layer.jacobian[k]);
    for (const GateValues& gate : layer.gates)
      for (std::size_t i = 0; i < GateValues::bins; ++i)
        text += fmt::format("{},gate {},{:.3f},{:.9g}\n", layer.name, gate.name,
                            (static_cast<double>(i) + 0.5) / static_cast<double>(GateValues::bins),
                            static_cast<double>(gate.histogram[i]) / static_cast<double>(gate.count));
  }
  return text;
}

template <Real T>
void Inspector<T>::begin(const Place& layer) {
  std::string name = to_string(Place{layer.parameter_path, layer.inside, -1});
  name = name.starts_with("in ") ? name.substr(3) : "recurrent layer";
  const auto before = std::ranges::count_if(
      runs_, [&](const Run& run) { return run.name == name || run.name.starts_with(name + ", call "); });
  if (before > 0) name += fmt::format(", call {}", before + 1);
  runs_.push_back({std::move(name), {}, {}});
  running_ = true;
}

template <Real T>
Var<T> Inspector<T>::state(int k, Index, Var<T> v) {
  std::vector<Step>& steps = runs_.back().steps;
  if (k == 0) steps.emplace_back();
  // A copy of its own, which the next step alone reads: its gradient is that of the future, without other uses of v.
  const Var<T> copy = v * T(1);
  steps.back().made.push_back(v);
  steps.back().carried.push_back(copy);
  return copy;
}

template <Real T>
void Inspector<T>::gate(const char* name, std::span<const T> values) {
  if (!running_) return;
  auto& gates = runs_.back().gates;
  auto found = std::ranges::find(gates, name, &GateValues::name);
  if (found == gates.end()) {
    gates.emplace_back().name = name;
    found = gates.end() - 1;
  }
  constexpr auto bins = static_cast<double>(GateValues::bins);
  for (const T value : values) {
    const auto x = static_cast<double>(value);
    if (!(x >= 0 && x <= 1)) continue;
    ++found->histogram[static_cast<std::size_t>(std::min(bins - 1, std::floor(x * bins)))];
    ++found->count;
    found->closed += x < 0.1;
    found->open += x > 0.9;
  }
}

template <Real T>
Inspection Inspector<T>::look(Var<T> loss, const Options& options) {
  std::erase_if(runs_, [](const Run& run) { return run.steps.empty(); });
  require<TapeError>(!runs_.empty(), "inspect: no recurrent layer ran on this tape since the inspector was made");
  require<ValueError>(options.seeds > 0, "inspect: {} seeds", options.seeds);
  tape_.watch(nullptr);
  std::vector<Var<T>> outputs;
  for (const Run& run : runs_)
    for (const Step& step : run.steps) outputs.push_back(step.made[0]);
  const auto gradients = gradients_of<T>(tape_, loss, outputs);
  Inspection found;
  std::size_t at = 0;
  for (const Run& run : runs_) {
    BySteps squares(rows_alive(run.steps));
    for (std::size_t t = 0; t < run.steps.size(); ++t) squares.add_squares(t, gradients[at++]);
    found.layers.push_back({run.name, squares.root_mean(1), jacobian_of(run, options), run.gates});
  }
  runs_.clear();
  tape_.watch(this);
  return found;
}

template <Real T>
std::vector<double> Inspector<T>::jacobian_of(const Run& run, const Options& options) {
  BySteps squares(rows_alive(run.steps));
  std::vector<Var<T>> states;
  for (const Step& step : run.steps) states.insert(states.end(), step.carried.begin(), step.carried.end());
  double size = 0;
  for (const Var<T>& v : run.steps[0].carried) size += static_cast<double>(v.shape().cols());
  Rng rng(options.seed);
  for (int s = 0; s < options.seeds; ++s) {
    // The product of the seed with each row's last state, as one number.
    Var<T> product;
    for (std::size_t t = 0; t < run.steps.size(); ++t)
      for (const Var<T>& v : run.steps[t].carried) {
        const Index ends = t + 1 == run.steps.size() ? 0 : run.steps[t + 1].carried[0].shape()[0];
        if (ends == v.shape()[0]) continue;
        const Var<T> last = slice(v, 0, ends, v.shape()[0]);
        Tensor<T> seed = make_tensor<T>(last.shape());
        for (T& x : seed) x = static_cast<T>(rng.normal());
        const Var<T> part = unroll::sum(last * tape_.constant(seed));
        product = product.empty() ? part : Var<T>(product + part);
      }
    const auto gradients = gradients_of<T>(tape_, product, states);
    std::size_t at = 0;
    for (std::size_t t = 0; t < run.steps.size(); ++t)
      for (std::size_t k = 0; k < run.steps[t].carried.size(); ++k) squares.add_squares(t, gradients[at++]);
  }
  return squares.root_mean(1 / (size * options.seeds));
}

template class Inspector<float>;
template class Inspector<double>;

}  // namespace unroll::inline UNROLL_ISA
