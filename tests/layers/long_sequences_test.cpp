#include <layers/compare.h>
#include <unroll/layers/check_cell.h>

using namespace unroll;

// Truncated back-propagation through time and checkpointing.

namespace {

/// A cell with weights of its own for every step: the gradient of step t's copy is what flows through step t.
struct Untied {
  using State = Var<double>;
  std::vector<RNNCell<double>> copies;
  State initial(Tape<double>& tape, Index batch) const { return copies[0].initial(tape, batch); }
  State step(Tape<double>& tape, const Tensor<double>& x, State h, Index t) const {
    const auto& cell = copies[static_cast<std::size_t>(t)];
    return cell.step(cell.project(reshape(tape.constant(x), {shape_of(x)[1], 3})), h);
  }
};

Tensor<double> part(const Tensor<double>& xs, Index first, Index last) {
  const Shape shape = shape_of(xs);
  Tensor<double> some = make_tensor<double>(shape.with(0, last - first));
  const Index row = shape[1] * shape[2];
  std::copy(xs.data() + first * row, xs.data() + last * row, some.data());
  return some;
}

template <class F>
void expect_same_bits(std::size_t which, const F& a, const F& b) {
  CAPTURE(which);
  CAPTURE(distance(a, b));
  REQUIRE(shape_of(a) == shape_of(b));
  CHECK(std::equal(a.begin(), a.end(), b.begin()));
}

}  // namespace

TEST_CASE("tbptt: gradients are those of the definition") {
  const Index time = 12, batch = 2;
  struct Case {
    Index k1, k2;
  };
  for (const auto [k1, k2] : {Case{1, 1}, {1, 4}, {2, 5}, {3, 3}, {3, 4}, {3, 6}, {3, 8}, {4, 12}, {12, 12}}) {
    CAPTURE(k1);
    CAPTURE(k2);
    Rng rng{2};
    RNN<double> layer(3, 4, rng);
    const Tensor<double> xs = random_tensor({time, batch, 3}, rng), weights = random_tensor({time, batch, 4}, rng);
    Tbptt tbptt(layer, {.k1 = k1, .k2 = k2});
    Tape<double> tape;
    // The states are those of the whole sequence, for the weights do not change.
    Tape<double> whole;
    const auto all = layer(whole.constant(xs));
    for (Index t = 0; t < time; t += k1) {
      const auto hs =
          tbptt.advance(tape, [&](Index first, Index last) { return tape.constant(part(xs, first, last)); });
      CHECK(distance(hs.value(), part(Tensor<double>(all.outputs.value()), t, t + k1)) < 1e-13);
      Gradients<double> got;
      tape.backward(sum(hs * tape.constant(part(weights, t, t + k1))), got);

      // The definition, slowly: with weights of its own for every step, the sum of the gradients of the last k2 of
      // them.
      Untied untied{std::vector<RNNCell<double>>(static_cast<std::size_t>(time), layer.cell)};
      Tape<double> slow;
      auto h = untied.initial(slow, batch);
      Var<double> loss = slow.constant(0.0);
      for (Index s = 0; s < t + k1; ++s) {
        h = untied.step(slow, part(xs, s, s + 1), h, s);
        if (s >= t) loss = loss + sum(h * slow.constant(part(weights, s, s + 1)));
      }
      slow.backward(loss);
      Tensor<double> want = make_tensor<double>({4, 4}, 0.0), want_input = make_tensor<double>({3, 4}, 0.0);
      for (Index s = std::max<Index>(0, t + k1 - k2); s < t + k1; ++s) {
        want += untied.copies[static_cast<std::size_t>(s)].recurrent.weight.grad();
        want_input += untied.copies[static_cast<std::size_t>(s)].input.weight.grad();
      }
      CHECK(distance(got.of(layer.cell.recurrent.weight).values(), want) < 1e-12);
      CHECK(distance(got.of(layer.cell.input.weight).values(), want_input) < 1e-12);
    }
  }
}

TEST_CASE("tbptt: stacks and both arrays of an lstm are carried, and a short end is allowed") {
  Rng rng{2};
  const Stacked<LSTM<double>> layer(3, 4, 2, rng);
  const Tensor<double> xs = random_tensor({11, 2, 3}, rng);
  Tape<double> whole, tape;
  const Tensor<double> want(layer(whole.constant(xs)).outputs.value());
  Tbptt tbptt(layer, {.k1 = 3, .k2 = 7});
  const auto inputs = [&](Index first, Index last) { return tape.constant(part(xs, first, last)); };
  for (Index t = 0; t < 9; t += 3) CHECK(distance(tbptt.advance(tape, inputs).value(), part(want, t, t + 3)) < 1e-13);
  CHECK(distance(tbptt.advance(tape, inputs, 2).value(), part(want, 9, 11)) < 1e-13);
  CHECK(tbptt.steps() == 11);
  tbptt.reset();
  CHECK(distance(tbptt.advance(tape, inputs).value(), part(want, 0, 3)) < 1e-13);
}

TEST_CASE("tbptt: windows that make no sense are refused") {
  Rng rng;
  const RNN<double> layer(1, 1, rng);
  CHECK_THROWS_WITH_AS(Tbptt(layer, {.k1 = 3, .k2 = 2}), "tbptt: k1 = 3 and k2 = 2, but 1 <= k1 <= k2 is needed",
                       ValueError);
  Tape<double> tape;
  Tbptt tbptt(layer, {.k1 = 3, .k2 = 3});
  CHECK_THROWS_WITH_AS(tbptt.advance(tape,
                                     [&](Index, Index) {
                                       return tape.zeros({2, 1, 1});
                                     }),
                       "tbptt: inputs [2, 1, 1] for the 3 steps 0 .. 2", ShapeError);
}

namespace {

/// Runs a cell plainly and in segments, on tapes of one seed, and compares.
template <class C>
void same_as_plain(const C& cell, std::span<const Index> lengths = {}) {
  using T = cell_scalar_t<C>;
  struct Found {
    std::vector<Tensor<T>> values, gradients;
    std::uint64_t position;
  };
  const Index time = 13, batch = 3;
  const std::string type = typeid(C).name();
  CAPTURE(type);
  Rng rng{4};
  Parameter<T> xs(random_tensor<T>({time, batch, 3}, rng));
  const Tensor<T> weights = random_tensor<T>({time, batch, 4}, rng);
  for (const Index segment : {1, 4, 5, 13, 20}) {
    CAPTURE(segment);
    Recurrent<C> plain(cell);
    plain.scan = false;
    const Checkpointed<C> saving(cell, segment);
    const auto run = [&](const auto& layer, Gradients<T>& gradients) {
      Tape<T> tape(9);
      const auto start = map_vars(layer.initial(tape, batch),
                                  [&](Var<T> v) { return tape.variable(make_tensor<T>(v.shape(), T(0.25))); });
      const auto unrolled = layer(tape.use(xs), start, lengths);
      Var<T> loss = sum(unrolled.outputs * tape.constant(weights));
      for_each_var(unrolled.last, [&](const Var<T>& v) { loss = loss + sum(square(v)); });
      tape.backward(loss, gradients);
      Found found;
      found.values.emplace_back(unrolled.outputs.value());
      for_each_var(unrolled.last, [&](const Var<T>& v) { found.values.emplace_back(v.value()); });
      found.gradients.push_back(gradients.of(xs).values());
      for_each_var(start, [&](const Var<T>& v) { found.gradients.emplace_back(v.grad()); });
      found.position = tape.rng().position();
      return found;
    };
    Gradients<T> a, b;
    const Found want = run(plain, a), got = run(saving, b);
    const double rounding = std::same_as<T, float> ? 1e-5 : 1e-13;
    CHECK(got.position == want.position);
    for (std::size_t i = 0; i < want.values.size(); ++i) expect_same_bits(i, got.values[i], want.values[i]);
    for (std::size_t i = 0; i < want.gradients.size(); ++i)
      if (lengths.empty())
        expect_same_bits(i, got.gradients[i], want.gradients[i]);
      else
        CHECK(distance(got.gradients[i], want.gradients[i]) < rounding);
    std::vector<const Parameter<T>*> all, of_saving;
    for_each_parameter(plain, [&](const std::string&, const Parameter<T>& p) { all.push_back(&p); });
    for_each_parameter(saving, [&](const std::string&, const Parameter<T>& p) { of_saving.push_back(&p); });
    for (std::size_t i = 0; i < all.size(); ++i)
      CHECK(distance(b.of(*of_saving[i]).values(), a.of(*all[i]).values()) < rounding);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("checkpoint: states, input gradients and masks are those of the plain run, bit for bit", T, float,
                   double) {
  const std::vector<Index> lengths{7, 13, 0};
  for (const std::span<const Index> n : {std::span<const Index>(), std::span<const Index>(lengths)}) {
    Rng rng{3};
    same_as_plain(LSTMCell<T>(3, 4, rng), n);
    same_as_plain(GRUCell<T>(3, 4, rng), n);
    same_as_plain(PeepholeLSTMCell<T>(3, 4, rng), n);
    same_as_plain(ClockworkCell<T>(3, 4, rng), n);
    same_as_plain(MinGRUCell<T>(3, 4, rng), n);
    same_as_plain(QRNNCell<T>(3, 4, rng), n);
    same_as_plain(Zoneout(LSTMCell<T>(3, 4, rng), 0.3), n);
    same_as_plain(VariationalDropout(GRUCell<T>(3, 4, rng), 0.3), n);
    same_as_plain(RecurrentDropout(Zoneout(DropConnect(LSTMCell<T>(3, 4, rng), 0.3), 0.2), 0.2), n);
  }
}

TEST_CASE("checkpoint: the layer is certified like any other") {
  Rng rng{3};
  const auto report = check_layer("checkpointed", Checkpointed(LSTMCell<double>(3, 4, rng), 2));
  INFO(report.text());
  CHECK(report);
}

TEST_CASE("checkpoint: any function, and checkpoints within checkpoints") {
  Rng rng{3};
  LSTM<double> layer(3, 3, rng);
  auto all = parameters<double>(layer);
  Parameter<double> xs(random_tensor({4, 2, 3}, rng)), unused(random_tensor({2}, rng));
  all.push_back(&xs);
  const auto twice = [l = &layer](Tape<double>& tape, Var<double> x) {
    const auto once = [l](Tape<double>&, Var<double> v) { return Var<double>((*l)(v).outputs); };
    return dropout(checkpoint(tape, Var<double>((*l)(x).outputs), once), 0.5);
  };
  const auto loss = [&](Tape<double>& tape) {
    return Var<double>(sum(square(checkpoint(tape, checkpoint(tape, tape.use(xs), twice), twice))));
  };
  const auto report = check_gradients(loss, all);
  INFO(report.text());
  CHECK(report);
  Tape<double> tape(5), plain(5);
  CHECK(checkpoint(tape, tape.use(xs), twice).value() == twice(plain, plain.use(xs)).value());
}

TEST_CASE("checkpoint: less is kept") {
  Rng rng{3};
  const LSTMCell<> cell(8, 32, rng);
  const auto bytes = [&](const auto& layer) {
    Tape tape;
    layer(tape.zeros({256, 4, 8}));
    return static_cast<double>(tape.bytes());
  };
  CHECK(bytes(Checkpointed(cell, 16)) < 0.4 * bytes(Recurrent(cell)));
}

namespace {

/// A cell that counts its steps where nobody sees it.
struct Hidden : GRUCell<double> {
  using GRUCell<double>::GRUCell;
  mutable int calls = 0;
  Var<double> step(Var<double> x, Var<double> h) const {
    return GRUCell<double>::step(x, Var<double>(h * (1 + 0.01 * ++calls)));
  }
};

}  // namespace

TEST_CASE("checkpoint: a cell that keeps state of its own is found out") {
  Rng rng{3};
  Checkpointed<Hidden> layer(Hidden(3, 4, rng), 2);
  parameters<double>(layer);
  Tape<double> tape;
  const auto y = sum(layer(tape.constant(random_tensor({6, 2, 3}, rng))).outputs);
  CHECK_THROWS_WITH_AS(tape.backward(y),
                       doctest::Contains("does the function or its cell keep state of its own in cell"), TapeError);
}

TEST_CASE("checkpoint: what does not fit is refused") {
  Rng rng{3};
  CHECK_THROWS_WITH_AS(Checkpointed(RNNCell<double>(1, 1, rng), 0), "checkpointed: a segment of 0 steps", ValueError);
  const Checkpointed layer(RNNCell<double>(3, 4, rng), 2);
  Tape<double> tape;
  const std::vector<Index> lengths{9, 1};
  CHECK_THROWS_WITH_AS(layer(tape.zeros({6, 2, 3}), lengths),
                       "checkpointed: length 9 of row 0 in the sequence [6, 2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(layer(tape.zeros({6, 2, 2})), "affine: shapes do not fit: [2, 2, 2] x [3, 4] + [4]", ShapeError);
}
