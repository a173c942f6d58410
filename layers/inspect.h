#pragma once

#include <array>
#include <string>
#include <vector>

#include <unroll/autograd/tape/tape.h>

// How recurrent layers remember: how far back an error reaches, what the recurrence does to a change of its state, and
// how far the gates are open.

namespace unroll::inline UNROLL_ISA {

/// The values that a gate took, over all steps, rows and units.
struct GateValues {
  static constexpr std::size_t bins = 20;
  std::string name;
  std::array<std::int64_t, bins> histogram{};  // of 0 .. 1, in equal parts
  std::int64_t count = 0, closed = 0, open = 0;

  /// The shares of values below 0.1 and above 0.9: saturation, as Karpathy, Johnson and Li (2016, sec. 4.2) count it.
  double share_closed() const { return count == 0 ? 0 : static_cast<double>(closed) / static_cast<double>(count); }
  double share_open() const { return count == 0 ? 0 : static_cast<double>(open) / static_cast<double>(count); }
};

/// What was seen of one recurrent layer in one sequence. Steps are counted back from each row's last: [k] is k steps
/// before it.
struct LayerInspection {
  std::string name;
  /// Norm of the loss's gradient with respect to the output of that step, root mean square over rows.
  std::vector<double> error;
  /// Norm of the recurrent Jacobian's product, the derivative of the last state with respect to the one k steps
  /// before: the Frobenius norm, over the square root of the state's size, so that it is 1 for k = 0 and for a state
  /// that is only carried. Estimated by vector-Jacobian products with random seeds (Hutchinson 1990).
  std::vector<double> jacobian;
  std::vector<GateValues> gates;

  /// Effective memory length: the most steps back where `error` is at least `share` of its largest.
  Index memory(double share = 0.01) const;
};

struct Inspection {
  std::vector<LayerInspection> layers;

  /// A table for people, of some of the steps back, and the gates.
  std::string table() const;
  /// layer,quantity,at,value: error and jacobian at each step back, gates at the middle of each bin (share of values).
  std::string csv() const;
};

/// Looks inside the recurrent layers that run on a tape, for as long as it lives:
///   Inspector inspector(tape);
///   const Var<> loss = model.loss(tape, xs, ys);
///   fmt::print("{}", inspector.look(loss).table());
/// Cells with a linear recurrence run step by step meanwhile, and values are what they are without it. Segments of
/// Checkpointed and single calls of step() are not seen.
template <Real T>
class Inspector : Watcher<T> {
 public:
  explicit Inspector(Tape<T>& tape) : tape_(tape), before_(tape.watch(this)) {}
  ~Inspector() override { tape_.watch(before_); }
  Inspector(const Inspector&) = delete;
  Inspector& operator=(const Inspector&) = delete;

  struct Options {
    int seeds = 4;           // random seeds of the Jacobians' norms
    std::uint64_t seed = 1;  // from which these come
  };
  /// Looks at what has run since the tape was rewound, and forgets it. `loss` is a scalar; an error at the last step
  /// alone shows how far back it reaches. Throws TapeError when no recurrent layer ran, or the tape was rewound.
  Inspection look(Var<T> loss, const Options& options);
  Inspection look(Var<T> loss) { return look(loss, Options{}); }

 private:
  struct Step {
    std::vector<Var<T>> made, carried;  // arrays of the state as they were computed, and as the next step reads them
  };
  struct Run {
    std::string name;
    std::vector<Step> steps;
    std::vector<GateValues> gates;
  };

  void begin(const Place& layer) override;
  void end() override { running_ = false; }
  Var<T> state(int k, Index step, Var<T> v) override;
  void gate(const char* name, std::span<const T> values) override;
  std::vector<double> jacobian_of(const Run& run, const Options& options);

  Tape<T>& tape_;
  Watcher<T>* before_;
  std::vector<Run> runs_;
  bool running_ = false;
};

template <Real T>
Inspector(Tape<T>&) -> Inspector<T>;

extern template class Inspector<float>;
extern template class Inspector<double>;

}  // namespace unroll::inline UNROLL_ISA
