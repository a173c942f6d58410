#include <autograd/ops/reference.h>

using namespace unroll;
using namespace unroll::testing;

// Ops that move values: nothing is rounded but sums of gradients.

namespace {

const std::vector<Index> gathered{3, -1, 0, 3, 3};
const std::vector<Index> gathered_beside{2, 1, -1, 0, 2};
const std::vector<Index> lengths{3, 1, 0};
const std::vector<std::int32_t> columns{2, 0, 2, 1, 4, 4};

std::vector<Row> layout_rows() {
  std::vector<Row> rows;
  const Rounding few_terms{.absolute = 64};
  const auto add = [&](const char* name, std::string variant, std::vector<Shape> shapes, auto f, auto reference) {
    rows.push_back(row(name, std::move(variant), std::move(shapes), f, reference, {.backward = few_terms}));
  };
  const Shape cube{2, 3, 4};
  for (const Shape& s : {Shape{6, 4}, Shape{24}, Shape{4, 6}, Shape{2, 3, 1, 4}, Shape{2, 12}, Shape{24, 1}})
    add(
        "reshape", s.text(), {cube}, [s](auto v) { return reshape(v[0], s); },
        [s](const Arrays& x) { return reshaped(x[0], s); });
  add(
      "reshape", "of a scalar", {{}},
      [](auto v) {
        return reshape(v[0], {1, 1});
      },
      [](const Arrays& x) {
        return reshaped(x[0], {1, 1});
      });
  add(
      "reshape", "of a column", {{4, 1}},
      [](auto v) {
        return reshape(v[0], {2, 2});
      },
      [](const Arrays& x) {
        return reshaped(x[0], {2, 2});
      });
  for (const std::array<int, 2>& axes : {std::array<int, 2>{-2, -1}, {0, 1}, {0, 2}, {2, 0}, {1, 1}})
    add(
        "transpose", fmt::format("axes {} {}", axes[0], axes[1]), {cube},
        [axes](auto v) { return transpose(v[0], axes[0], axes[1]); },
        [axes, cube](const Arrays& x) {
          const int a = cube.position(axes[0]), b = cube.position(axes[1]);
          return tabulate(cube.with(a, cube[b]).with(b, cube[a]), [&](const At& at) {
            return element_at(x[0],
                              with(with(at, a, at[static_cast<std::size_t>(b)]), b, at[static_cast<std::size_t>(a)]));
          });
        });
  for (int axis = -1; axis < 3; ++axis)
    for (const std::array<Index, 2>& range : {std::array<Index, 2>{0, 1}, {1, 2}, {0, 2}})
      add(
          "slice", fmt::format("axis {}, {} .. {}", axis, range[0], range[1]), {cube},
          [=](auto v) { return slice(v[0], axis, range[0], range[1]); },
          [=](const Arrays& x) {
            const int d = cube.position(axis);
            return tabulate(cube.with(axis, range[1] - range[0]), [&](const At& at) {
              return element_at(x[0], with(at, d, at[static_cast<std::size_t>(d)] + range[0]));
            });
          });
  add(
      "slice", "a vector", {{7}}, [](auto v) { return slice(v[0], 0, 2, 5); },
      [](const Arrays& x) { return tabulate({3}, [&](const At& at) { return x[0].data()[at[0] + 2]; }); });
  add(
      "slice", "a step", {cube}, [](auto v) { return v[0][-1]; }, [](const Arrays& x) { return matrix(x[0], 1); });
  for (const int axis : {0, 1, -1}) {
    add(
        "split", fmt::format("axis {}", axis), {{2, 4, 6}},
        [axis](auto v) {
          const auto [a, b] = split<2>(v[0], axis);
          return Var<typename decltype(v)::value_type::scalar>(a * 2.0 - b);
        },
        [axis](const Arrays& x) {
          const Shape s = shape_of(x[0]);
          const int d = s.position(axis);
          return tabulate(s.with(axis, s[axis] / 2), [&](const At& at) {
            return element_at(x[0], at) * 2 - element_at(x[0], with(at, d, at[static_cast<std::size_t>(d)] + s[d] / 2));
          });
        });
    rows.back().options.forward = {1};
  }
  for (int axis = 0; axis < 3; ++axis) {
    std::vector<Shape> parts{cube, cube.with(axis, 1), cube.with(axis, 5)};
    add(
        "concat", fmt::format("axis {}", axis), parts, [axis](auto v) { return concat(v, axis); },
        [axis, cube](const Arrays& x) {
          return tabulate(cube.with(axis, cube[axis] + 6), [&](const At& at) {
            Index k = at[static_cast<std::size_t>(axis)];
            std::size_t part = 0;
            for (; k >= shape_of(x[part])[axis]; ++part) k -= shape_of(x[part])[axis];
            return element_at(x[part], with(at, axis, k));
          });
        });
  }
  add(
      "concat", "of vectors", {{3}, {2}}, [](auto v) { return concat(v[0], v[1]); },
      [](const Arrays& x) {
        return tabulate({5}, [&](const At& at) { return at[0] < 3 ? x[0].data()[at[0]] : x[1].data()[at[0] - 3]; });
      });
  for (const Shape& s : {Shape{3, 4}, Shape{4}, Shape{}, Shape{2, 1, 3}})
    add(
        "stack", s.text(), {s, s, s}, [](auto v) { return stack(v); },
        [s](const Arrays& x) {
          return tabulate(s.inserted(0, 3), [&](const At& at) {
            At rest{};
            std::copy(at.begin() + 1, at.end(), rest.begin());
            return element_at(x[static_cast<std::size_t>(at[0])], rest);
          });
        });
  add(
      "repeat", "", {{2, 3}}, [](auto v) { return repeat(v[0], 4); },
      [](const Arrays& x) {
        return tabulate({4, 2, 3}, [&](const At& at) { return element_at(x[0], {at[1], at[2]}); });
      });
  for (const Shape& s : {Shape{4}, Shape{3, 1}, Shape{}, Shape{2, 1, 4}, Shape{1, 3, 1}, cube})
    add(
        "broadcast_to", s.text(), {s}, [cube](auto v) { return broadcast_to(v[0], cube); },
        [](const Arrays& x) {
          return Array(xt::broadcast(x[0], {2, 3, 4}));
        });
  for (int axis = 0; axis < 3; ++axis)
    add(
        "reverse", fmt::format("axis {}", axis), {cube}, [axis](auto v) { return reverse(v[0], axis); },
        [axis, cube](const Arrays& x) {
          return tabulate(cube, [&](const At& at) {
            return element_at(x[0], with(at, axis, cube[axis] - 1 - at[static_cast<std::size_t>(axis)]));
          });
        });
  for (const Shape& s : {Shape{4, 3, 2}, Shape{4, 3}, Shape{4, 3, 2, 2}}) {
    const auto ragged = [s](std::span<const Index> n) {
      return [s, n](const Arrays& x) {
        return tabulate(s, [&](const At& at) {
          const Index length = n.empty() ? s[0] : n[static_cast<std::size_t>(at[1])];
          return at[0] < length ? element_at(x[0], with(at, 0, length - 1 - at[0])) : 0.0;
        });
      };
    };
    add(
        "reverse_time", s.text(), {s}, [](auto v) { return reverse_time(v[0], lengths); }, ragged(lengths));
    add(
        "reverse_time", s.text() + ", no lengths", {s}, [](auto v) { return reverse_time(v[0], {}); }, ragged({}));
  }
  add(
      "gather_rows", "with a missing and repeated ones", {{2, 2, 3}},
      [](auto v) {
        return gather_rows(v[0], gathered, {5, 3});
      },
      [](const Arrays& x) {
        return tabulate({5, 3}, [&](const At& at) {
          const Index r = gathered[static_cast<std::size_t>(at[0])];
          return r < 0 ? 0.0 : x[0].data()[r * 3 + at[1]];
        });
      });
  for (const bool again : {false, true})  // a value beside itself receives two gradients
    add(
        "gather_rows", again ? "beside itself" : "side by side", {{2, 2, 3}, {3, 1}},
        [again](auto v) {
          using V = std::decay_t<decltype(v[0])>;
          const std::array parts{V(v[0]), V(v[again ? 0 : 1])};
          const std::array rows{std::span<const Index>(gathered), std::span<const Index>(gathered_beside)};
          return gather_rows(std::span<const V>(parts), std::span<const std::span<const Index>>(rows),
                             {5, again ? 6 : 4});
        },
        [again](const Arrays& x) {
          return tabulate({5, again ? 6 : 4}, [&](const At& at) {
            const bool second = at[1] >= 3;
            const Index r = (second ? gathered_beside : gathered)[static_cast<std::size_t>(at[0])];
            const auto& from = x[second && !again ? 1 : 0];
            return r < 0 ? 0.0 : from.data()[r * (second && !again ? 1 : 3) + at[1] % 3];
          });
        });
  add(
      "pick", "", {{2, 3, 5}}, [](auto v) { return pick(v[0], columns); },
      [](const Arrays& x) {
        return tabulate({2, 3}, [&](const At& at) {
          return element_at(x[0], {at[0], at[1], columns[static_cast<std::size_t>(at[0] * 3 + at[1])]});
        });
      });
  add(
      "contiguous", "", {cube}, [](auto v) { return contiguous(v[0]); }, [](const Arrays& x) { return x[0]; });
  return rows;
}

}  // namespace

TEST_CASE("layout: every row") {
  for (const Row& r : layout_rows()) check_row(r);
}

TEST_CASE("layout: no gradient flows through stop_gradient") {
  // row("stop_gradient") is this: its derivative is not that of its value.
  Tape<double> tape;
  Parameter<double> p(Array{{1, 2, 3}, {4, 5, 6}});
  const Var<double> x = tape.use(p), y = stop_gradient(slice(x, -1, 1, 3));
  CHECK(y.value() == Array{{2, 3}, {5, 6}});
  tape.backward(sum(y * slice(x, -1, 0, 2)));
  CHECK(p.grad() == Array{{2, 3, 0}, {5, 6, 0}});
  CHECK_THROWS_AS(tape.backward(sum(y)), TapeError);
  const Var<double> z = x * 2;
  CHECK(stop_gradient(Var<double>(z * z)).value() == Array{{4, 16, 36}, {64, 100, 144}});
}

TEST_CASE_TEMPLATE("layout: a transposition of many registers moves each element, and its gradient back", T, float,
                   double) {
  Rng rng{4};
  const auto normal = [&](const Shape& shape) {
    Tensor<T> x = make_tensor<T>(shape);
    for (T& v : x) v = static_cast<T>(rng.normal());
    return x;
  };
  const Tensor<T> values = normal({37, 3, 70});
  for (const bool part : {false, true}) {
    Tape<T> tape;
    const Var<T> x = tape.variable(values), source = part ? Var<T>(slice(x, -1, 2, 67)) : x;
    const Var<T> y = transpose(source, 0, 2);
    const Index first = part ? 2 : 0, count = part ? 65 : 70;
    REQUIRE(y.shape() == Shape{count, 3, 37});
    const Tensor<T> got = y.value(), weights = normal({count, 3, 37});
    tape.backward(sum(y * tape.constant(weights)) + sum(x));
    const Tensor<T> d = x.grad();
    Index moved = 0, back = 0;
    for (Index i = 0; i < 37; ++i)
      for (Index j = 0; j < 3; ++j)
        for (Index k = 0; k < 70; ++k) {
          const bool inside = k >= first && k < first + count;
          moved += inside && got(k - first, j, i) == values(i, j, k);
          back += d(i, j, k) == T(1) + (inside ? weights(k - first, j, i) : T(0));
        }
    CHECK(moved == count * 3 * 37);
    CHECK(back == 37 * 3 * 70);
  }
}

TEST_CASE("layout: padding is never read by reverse_time") {
  Tape<double> tape;
  Array x = make_tensor<double>({4, 3, 2}, NAN);
  for (Index b = 0; b < 3; ++b)
    for (Index t = 0; t < lengths[static_cast<std::size_t>(b)]; ++t)
      x(t, b, 0) = x(t, b, 1) = static_cast<double>(t + 1);
  const Var<double> v = tape.variable(x), y = reverse_time(v, lengths);
  CHECK(y.value()(0, 0, 0) == 3);
  CHECK(y.value()(0, 1, 1) == 1);
  CHECK(y.value()(0, 2, 1) == 0);
  tape.backward(sum(y));
  CHECK(v.grad()(2, 0, 0) == 1);
  CHECK(v.grad()(3, 0, 0) == 0);
  CHECK(v.grad()(1, 1, 0) == 0);
}

TEST_CASE("layout: views share memory and copies do not") {
  Tape<double> tape;
  const Var<double> x = tape.variable(make_tensor<double>({3, 4, 6}, 1.0));
  const auto is_view = [&](const Var<double>& v) {
    const double *first = values(x).data, *data = values(v).data;
    return first <= data && data < first + 72;
  };
  CHECK(is_view(reshape(x, {12, 6})));
  CHECK(is_view(reshape(x, {72})));
  CHECK(is_view(slice(x, 0, 1, 2)));
  CHECK(is_view(slice(x, -1, 1, 2)));
  CHECK(is_view(reshape(slice(x, -1, 1, 3), {12, 2})));
  CHECK(is_view(x[2]));
  CHECK(is_view(contiguous(x)));
  CHECK_FALSE(is_view(slice(x, 1, 0, 2)));
  CHECK_FALSE(is_view(reshape(slice(x, -1, 1, 3), {24})));
  CHECK_FALSE(is_view(contiguous(slice(x, -1, 1, 3))));
}
