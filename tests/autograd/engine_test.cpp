#include <doctest/doctest.h>

#include <unroll/autograd/autograd.h>
#include <unroll/autograd/tape/workers.h>
#include <unroll/layers/layers.h>

using namespace unroll;

namespace {

/// The message of what f throws.
template <class E, class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const E& error) { return error.what(); }
  return "nothing was thrown";
}

struct OneLayer {
  RNN<double> rnn;
  static void fields(auto& m, auto&& f) { f("rnn", m.rnn); }
};

Tensor<double> ramp(const Shape& shape) {
  Tensor<double> t = make_tensor<double>(shape);
  double v = 0.5;
  for (double& e : t) e = v, v += 0.25;
  return t;
}

}  // namespace

TEST_CASE("engine: a value used twice gets both gradients") {
  Tape<double> tape;
  const Var<double> x = tape.variable(3.0);
  const Var<double> y = x * x;
  tape.backward(y);
  CHECK(y.item() == 9.0);
  CHECK(x.grad()() == 6.0);
}

TEST_CASE("engine: a chain of a million nodes is differentiated") {
  Tape<double> tape;
  const Var<double> x = tape.variable(1.0);
  Var<double> y = x;
  for (int i = 0; i < 1'000'000; ++i) y = Var<double>(y + 1e-6);
  tape.backward(y);
  CHECK(x.grad()() == 1.0);
  CHECK(y.item() == doctest::Approx(2.0));
}

TEST_CASE("engine: thirty doublings cost thirty nodes") {
  Tape<double> tape;
  const Var<double> x = tape.variable(1.0);
  Var<double> y = x;
  for (int i = 0; i < 30; ++i) y = Var<double>(y + y);
  tape.backward(y);
  CHECK(x.grad()() == std::ldexp(1.0, 30));
  CHECK(tape.size() == 31);
}

TEST_CASE("engine: a loss on the last step alone leaves the others without gradient") {
  Tape<double> tape;
  const Var<double> xs = tape.variable(ramp({5, 2, 3}));
  tape.backward(sum(square(xs[4])));
  for (Index t = 0; t < 5; ++t) CHECK(xs.grad()(t, 1, 2) == (t == 4 ? 2 * xs.value()(t, 1, 2) : 0.0));
}

TEST_CASE("engine: overlapping views of one array add up") {
  Tape<double> tape;
  const Var<double> x = tape.variable(ramp({21}));
  const Var<double> y = slice(x, 0, 0, 20) * slice(x, 0, 1, 21);
  tape.backward(sum(y));
  const auto v = x.value();
  CHECK(x.grad()(0) == v(1));
  CHECK(x.grad()(20) == v(19));
  for (std::size_t i = 1; i < 20; ++i) CHECK(x.grad()(i) == v(i - 1) + v(i + 1));
}

TEST_CASE("engine: misused handles say what is wrong") {
  Tape<double> tape, other;
  const Var<double> x = tape.variable(ramp({2, 3})), foreign = other.variable(ramp({2, 3}));
  CHECK(message_of<TapeError>([&] { (void)(x + foreign).record(); }) == "formula: this value is on another tape");
  CHECK(message_of<ShapeError>([&] { tape.backward(x); }) ==
        "backward: a scalar loss is needed, not [2, 3]; pass a seed");
  CHECK(message_of<TapeError>([&] { tape.backward(sum(tape.constant(ramp({2})))); }) ==
        "backward: the value depends on no parameter and no variable");
  CHECK(message_of<TapeError>([&] { (void)tape.constant(ramp({2})).grad(); }) ==
        "grad: no gradient is kept for this constant (enter it with variable())");
  CHECK(message_of<ShapeError>([&] { (void)x.item(); }) == "item: one element is needed, not [2, 3]");
  CHECK(message_of<IndexError>([&] { (void)x[2]; }) == "index: 2 is outside 0 .. 1 of [2, 3]");
  CHECK(message_of<ShapeError>([&] { (void)(x + slice(x, 1, 0, 2)).record(); }) ==
        "add: extents differ: [2, 3] and [2, 2]");
  CHECK(message_of<ShapeError>([&] {
          (void)tape.zeros({Index{1} << 40, Index{1} << 40});
        }).find("overflows") != std::string::npos);
  Parameter<double> p(ramp({2}));
  CHECK(message_of<TapeError>([&] { (void)(p * 2.0).record(); }).find("parameters alone have no tape") !=
        std::string::npos);
  const Var<double> empty;
  CHECK(message_of<TapeError>([&] { (void)empty.shape(); }) == "var: this handle was never given a value");
  tape.rewind();
  CHECK(message_of<TapeError>([&] { (void)(x * 2.0).record(); }) ==
        "formula: this value is gone, its tape was rewound");
  CHECK(message_of<TapeError>([&] { (void)x.value(); }) == "value: this value is gone, its tape was rewound");
  Tape<double> reading = Tape<double>::inference();
  CHECK(message_of<TapeError>([&] { reading.backward(sum(reading.variable(ramp({2})))); }) ==
        "backward: an inference tape records nothing");
}

TEST_CASE("engine: a parameter edited between forward and backward is an error, and the tape survives it") {
  Parameter<double> p(ramp({2, 2}));
  p.set_path("cell/weight");
  Tape<double> tape;
  const Var<double> loss = sum(matmul(tape.constant(ramp({1, 2})), p));
  p.edit()(0, 0) += 1;
  CHECK(message_of<TapeError>([&] { tape.backward(loss); }) ==
        "backward: parameter cell/weight was edited after this tape used it; rewind and compute again");
  tape.rewind();
  tape.backward(sum(matmul(tape.constant(ramp({1, 2})), p)));
  CHECK(p.grad()(1, 0) == 0.75);
}

TEST_CASE("engine: a slice that was consumed cannot be read, one that was read is copied") {
  Parameter<double> w(ramp({2, 4}));
  const auto run = [&](bool read_before, bool granted) {
    Tape<double> tape;
    const Var<double> xs = tape.variable(ramp({3, 2, 4})), h = tape.variable(ramp({2, 2}));
    const std::uint32_t mark = tape.mark();
    const Var<double> slab = xs + 0.0;
    const Var<double> x = slab[1];
    if (granted) tape.grant(x, mark);
    const auto halves = split<2>(x);
    Var<double> before = tape.constant(0.0);
    if (read_before) before = sum(square(halves[1]));
    const Var<double> y = addmm(x, h, w);
    if (granted && !read_before) {
      CHECK(message_of<TapeError>([&] { (void)halves[0].value(); }) ==
            "value: this slice was consumed, addmm has put its result there");
      CHECK(message_of<TapeError>([&] { (void)(x * 2.0).record(); }).find("was consumed") != std::string::npos);
    }
    tape.backward(Var<double>(sum(square(y)) + before));
    Tensor<double> d = xs.grad();
    return d;
  };
  for (const bool read_before : {false, true}) CHECK(run(read_before, true) == run(read_before, false));
}

TEST_CASE("engine: only memory that no backward reads is taken over") {
  Parameter<double> w(ramp({4, 4})), bias(ramp({4}));
  // The gradient of what `op` makes of xs, when addmm computes over one step of that if it may; and whether it did.
  const auto run = [&](const std::function<Var<double>(Var<double>)>& op, bool granted) {
    Tape<double> tape;
    const Var<double> xs = tape.variable(ramp({3, 2, 4})), h = tape.variable(ramp({2, 4}));
    const std::uint32_t mark = tape.mark();
    const Var<double> x = op(xs)[1];
    if (granted) tape.grant(x, mark);
    const Var<double> y = addmm(x, h, w);
    const bool over = tape.node(y.index()).over;
    tape.backward(sum(square(y)));
    return std::pair{Tensor<double>(xs.grad()), over};
  };
  struct Case {
    const char* name;
    bool over;
    std::function<Var<double>(Var<double>)> op;
  };
  const Case cases[] = {
      {"affine", true, [&](Var<double> x) { return affine(x, w, bias); }},
      {"matmul", true, [&](Var<double> x) { return matmul(x, w); }},
      {"add", true, [&](Var<double> x) { return Var<double>(matmul(x, w) + bias); }},
      {"mul", true, [&](Var<double> x) { return Var<double>(x * x); }},
      {"concat", true, [&](Var<double> x) { return concat(slice(x, -1, 2, 4), slice(x, -1, 0, 2)); }},
      {"tanh", false, [&](Var<double> x) { return Var<double>(tanh(x)); }},
      {"sigmoid", false, [&](Var<double> x) { return Var<double>(sigmoid(x)); }},
      {"exp", false, [&](Var<double> x) { return Var<double>(exp(x)); }},
      {"sqrt", false, [&](Var<double> x) { return Var<double>(sqrt(x * x + 1)); }},
      {"elu", false, [&](Var<double> x) { return Var<double>(elu(x - 1)); }},
      {"div", false, [&](Var<double> x) { return Var<double>(x / (x * x + 1)); }},
      {"softmax", false, [&](Var<double> x) { return softmax(x); }},
      {"log_softmax", false, [&](Var<double> x) { return log_softmax(x); }},
      {"cumsum", false, [&](Var<double> x) { return cumsum(x, -1); }},
      {"checkpoint", false,
       [&](Var<double> x) {
         return checkpoint(x.tape(), x, [](Tape<double>&, Var<double> v) { return Var<double>(v * v); });
       }},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const auto [expected, never] = run(c.op, false);
    const auto [found, over] = run(c.op, true);
    CHECK_FALSE(never);
    CHECK(over == c.over);
    CHECK(found == expected);
  }
}

TEST_CASE("engine: what addmm has put over a slice is not computed over in turn") {
  Parameter<double> w(ramp({4, 4}));
  const auto run = [&](bool granted) {
    Tape<double> tape;
    const Var<double> xs = tape.variable(ramp({3, 2, 4})), h = tape.variable(ramp({2, 4}));
    const std::uint32_t mark = tape.mark();
    const Var<double> slab = xs + 0.0;
    const Var<double> x = slab[1];
    if (granted) tape.grant(x, mark);
    const Var<double> y = addmm(x, h, w);
    CHECK(tape.node(y.index()).over == granted);
    const Var<double> of_y = sum(square(y));
    if (granted) tape.grant(y, mark);
    tape.backward(Var<double>(of_y + sum(square(addmm(y, h, w)))));
    return Tensor<double>(xs.grad());
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("engine: parameters add up over backward calls, variables do not") {
  Parameter<double> p(ramp({2}));
  Tape<double> tape;
  const Var<double> x = tape.variable(ramp({2}));
  const Var<double> loss = sum(x * p);
  tape.backward(loss);
  tape.backward(loss);
  CHECK(p.grad()(0) == 2 * x.value()(0));
  CHECK(x.grad()(0) == p.value()(0));
  const Tensor<double> one = make_tensor<double>({}, 1.0);
  CHECK(tape.gradient(loss, one, x)(1) == p.value()(1));
  CHECK(tape.gradient(loss, one, tape.use(p))(1) == x.value()(1));
  CHECK(p.grad()(0) == 2 * x.value()(0));
  p.clear_grad();
  p.freeze();
  tape.rewind();
  const Var<double> z = tape.variable(ramp({2}));
  tape.backward(sum(z * p));
  CHECK(p.grad()(0) == 0);
  CHECK(z.grad()(0) == p.value()(0));
}

TEST_CASE("engine: a matrix used at every step, tied and transposed, gets one gradient") {
  Parameter<double> w(ramp({3, 3}));
  const auto report = check_gradients(
      [&](Tape<double>& tape) {
        Var<double> h = tape.constant(ramp({2, 3})) * 0.1;
        for (int t = 0; t < 4; ++t) h = Var<double>(tanh(matmul(h, w) * 0.1));
        const Var<double> tied = matmul(h, w, {.b = true});
        const Var<double> masked = matmul(tied, w * tape.constant(ramp({3, 3})));
        return sum(square(masked)) + sum(matmul(tape.use(w), w));
      },
      {&w});
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("engine: threads share parameters and sum in a fixed order") {
  Parameter<double> w(ramp({3, 4}));
  const auto run = [&](int threads) {
    w.clear_grad();
    Workers workers(threads);
    std::vector<Gradients<double>> parts(4);
    workers.run(4, [&](Index i) {
      Tape<double> tape(static_cast<std::uint64_t>(i));
      tape.backward(sum(tanh(matmul(dropout(tape.constant(ramp({2, 3})) * static_cast<double>(i), 0.3), w))),
                    parts[static_cast<std::size_t>(i)]);
    });
    for (auto& part : parts) part.deliver();
    return Tensor<double>(w.grad());
  };
  const Tensor<double> alone = run(1);
  CHECK(alone == run(3));
  Workers workers(2);
  CHECK_THROWS_AS(workers.run(5, [](Index i) { require<ValueError>(i != 3, "three"); }), ValueError);
}

TEST_CASE("engine: the first value that is not finite is named with its op, layer and step") {
  Rng rng{1};
  OneLayer model{{2, 3, rng, Activation::relu}};
  for (Parameter<double>* p : parameters<double>(model))
    if (p->path() == "rnn/cell/recurrent/weight") p->edit().fill(1e200);
  Tape<double> tape;
  const auto unrolled = model.rnn(tape.constant(ramp({4, 2, 2})));
  CHECK_FALSE(std::isfinite(Var<double>(sum(unrolled.outputs)).item()));
  const auto found = tape.find_nonfinite();
  REQUIRE(found);
  CHECK(found->message().find("in rnn/cell, step ") != std::string::npos);
  CHECK(found->op == "addmm");
  tape.rewind();
  CHECK_FALSE(tape.find_nonfinite());
}

TEST_CASE("engine: a formula without numbers takes no memory for its rule") {
  Tape<double> tape;
  const Var<double> x = tape.variable(1.0);
  const auto growth = [&](auto&& op) {
    const std::size_t before = tape.bytes();
    op();
    return tape.bytes() - before;
  };
  static constexpr Op<double> op{"two operands", nullptr, nullptr};
  const std::size_t bare = growth([&] { tape.append(op, {}, std::array{x, x}); });
  CHECK(growth([&] { Var<double>(x * x + x); }) == bare + sizeof(std::uint32_t));
  CHECK(growth([&] { Var<double>(x * 2 + x); }) > bare);
}

TEST_CASE("engine: a value keeps the place where it was recorded") {
  const std::string path = "net/rnn/cell/weight";
  Tape<double> tape;
  const Var<double> before = tape.zeros({2});
  const Place outside = tape.enter_place({&path, 1, 0});
  const Var<double> first = tanh(before), second = tanh(first);
  tape.enter_place({&path, 1, 1});  // where nothing is recorded
  tape.enter_place({&path, 1, 2});
  const Var<double> third = tanh(second);
  tape.enter_place(outside);
  const Var<double> after = tanh(third);
  CHECK(tape.place_of(before.index()) == "");
  CHECK(tape.place_of(first.index()) == "in net/rnn/cell, step 0");
  CHECK(tape.place_of(second.index()) == "in net/rnn/cell, step 0");
  CHECK(tape.place_of(third.index()) == "in net/rnn/cell, step 2");
  CHECK(tape.place_of(after.index()) == "");
  tape.rewind();
  CHECK(tape.place_of(tape.zeros({2}).index()) == "");
}

TEST_CASE("engine: a history is dumped as a table and as a graph") {
  Parameter<double> w(ramp({2, 2}));
  w.set_path("head/weight");
  Tape<double> tape;
  const Var<double> loss = sum(tanh(reshape(matmul(tape.constant(ramp({1, 2})), w), {2})));
  CHECK(dump_table(tape).find("tanh(x)") != std::string::npos);
  CHECK(dump_table(tape).find("head/weight") != std::string::npos);
  CHECK(dump_dot(tape).starts_with("digraph tape {"));
  CHECK(dump_dot(tape).find("dashed") != std::string::npos);
  CHECK(dump_dot(tape, {.views = false}).find("dashed") == std::string::npos);
  CHECK(dump_dot(tape).find(fmt::format("n{} -> n{}", loss.index() - 1, loss.index())) != std::string::npos);
}

TEST_CASE("engine: states are restarted by value, and a tape is usable after an exception") {
  Tape<double> tape;
  HiddenAndCell<double> state{tape.variable(ramp({2, 3})), tape.constant(ramp({2, 3})) * 2.0};
  const Tensor<double> c = state.c.value();
  CHECK_THROWS_AS((void)matmul(state.h, state.c), ShapeError);
  const auto next = tape.restart(state);
  CHECK(tape.size() == 2);
  CHECK(Tensor<double>(next.c.value()) == c);
  CHECK_THROWS_AS((void)state.h.value(), TapeError);
  const Few<HiddenAndCell<double>> list{next, next};
  CHECK(tape.restart(list).size() == 2);
}
