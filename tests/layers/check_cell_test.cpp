#include <doctest/doctest.h>

#include <layers/mgu_cell.h>
#include <unroll/layers/check_cell.h>

using namespace unroll;

// Faulty cells that check_cell must refuse, and what it says of them.

namespace {

template <Real T>
struct ForgottenField : MGUCell<T> {
  using MGUCell<T>::MGUCell;
  static void fields(auto& m, auto&& f) { f("input", m.input), f("gate", m.gate); }
};

template <Real T>
struct CutHistory : MGUCell<T> {
  using MGUCell<T>::MGUCell;
  Var<T> step(Var<T> x, Var<T> h) const { return MGUCell<T>::step(x, stop_gradient(h)); }
};

template <Real T>
struct MixedRows : MGUCell<T> {
  using MGUCell<T>::MGUCell;
  Var<T> step(Var<T> x, Var<T> h) const { return MGUCell<T>::step(x, Var<T>(h + mean(h, 0))); }
};

template <Real T>
struct Timed : MGUCell<T> {
  using MGUCell<T>::MGUCell;
  Var<T> step(Var<T> x, Var<T> h, Index t) const {
    return MGUCell<T>::step(x, Var<T>(h * (1 + 0.1 * static_cast<double>(t))));
  }
};

template <Real T>
struct WrongWidth : MGUCell<T> {
  using MGUCell<T>::MGUCell;
  Var<T> project(Var<T> xs) const { return slice(this->input(xs), -1, 0, this->width); }
};

bool says(const GradientReport& report, const char* words) {
  CHECK_FALSE(report);
  const bool found = report.text().find(words) != std::string::npos;
  INFO(report.text());
  CHECK(found);
  return found;
}

}  // namespace

TEST_CASE("check_cell: a parameter that is missing from fields") {
  CHECK(says(check_cell<ForgottenField>(), "was used but is not listed"));
}
TEST_CASE("check_cell: on the grid, what one number of steps and rows shows") {
  CHECK(check_cell_on_grid<MGUCell>({.in = 2, .width = 2}));
  CHECK(says(check_cell_on_grid<ForgottenField>(), "was used but is not listed"));
}
TEST_CASE("check_cell: a state through which no gradient flows") {
  CHECK(says(check_cell<CutHistory>(), "one layer: equal lengths, default state: the gradient of cell/"));
}
TEST_CASE("check_cell: rows that see each other") {
  CHECK(says(check_cell<MixedRows>(), "one layer: a batch and its rows one by one: outputs: element"));
}
TEST_CASE("check_cell: a step that depends on time, unless that is said") {
  CHECK(says(check_cell<Timed>(), "one layer: chunks: outputs: element"));
  CHECK(check_cell<Timed>({.timed = true}));
}
TEST_CASE("check_cell: an exception is reported with its place") {
  CHECK(says(check_cell<WrongWidth>(),
             "one layer: chunks: threw \"add: extents differ: [3, 2] and [3, 4] (in cell, step 0)\""));
}
