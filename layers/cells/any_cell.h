#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <unroll/layers/cell.h>

namespace unroll::inline UNROLL_ISA {

/// The names of the built-in cells, as AnyCell knows them.
const std::vector<std::string>& cell_names();

/// A built-in cell that is chosen by its name when the program runs.
template <Real T = float>
class AnyCell {
 public:
  /// The state of the cell: up to three arrays.
  struct State {
    std::array<Var<T>, 3> arrays;
    int memories = 0;
    static void fields(auto& s, auto&& f) {
      static constexpr std::array names{"0", "1", "2"};
      for (std::size_t i = 0; i < names.size(); ++i)
        if (!s.arrays[i].empty()) f(names[i], s.arrays[i]);
    }
  };

  /// Throws ValueError for a name that is not among cell_names().
  AnyCell(Index in, Index width, Rng& rng, const std::string& name);
  AnyCell(const AnyCell& other) : AnyCell(other.cell_->clone()) {}
  AnyCell(AnyCell&&) noexcept = default;
  AnyCell& operator=(AnyCell other) noexcept {
    std::swap(cell_, other.cell_);
    std::swap(parameters_, other.parameters_);
    return *this;
  }

  State initial(Tape<T>& tape, Index batch) const { return cell_->initial(tape, batch); }
  Var<T> project(Var<T> xs) const { return cell_->project(xs); }
  State step(Var<T> x, const State& s) const { return cell_->step(x, s); }
  bool linear() const { return cell_->linear(); }
  Var<T> scan(Var<T> projected, State& s, const ScanSteps& steps) const { return cell_->scan(projected, s, steps); }
  static void fields(auto& m, auto&& f) {
    for (const auto& [name, parameter] : m.parameters_) {
      std::conditional_t<std::is_const_v<std::remove_reference_t<decltype(m)>>, const Parameter<T>, Parameter<T>>& p =
          *parameter;
      f(name.c_str(), p);
    }
  }

  /// What every cell can do.
  struct Interface {
    virtual ~Interface() = default;
    virtual State initial(Tape<T>& tape, Index batch) const = 0;
    virtual Var<T> project(Var<T> xs) const = 0;
    virtual State step(Var<T> x, const State& s) const = 0;
    virtual bool linear() const = 0;
    virtual Var<T> scan(Var<T> projected, State& s, const ScanSteps& steps) const = 0;
    virtual std::unique_ptr<Interface> clone() const = 0;
    virtual std::vector<std::pair<std::string, Parameter<T>*>> parameters() = 0;
  };

 private:
  explicit AnyCell(std::unique_ptr<Interface> cell) : cell_(std::move(cell)), parameters_(cell_->parameters()) {}

  std::unique_ptr<Interface> cell_;
  std::vector<std::pair<std::string, Parameter<T>*>> parameters_;
};

}  // namespace unroll::inline UNROLL_ISA
