#include <layers/compare.h>

using namespace unroll;

// Back-propagation through time as the textbook writes it, in plain loops over matrices of doubles.

namespace {

/// A matrix; a vector is one row.
struct Mat {
  std::size_t rows = 0, cols = 0;
  std::vector<double> v;
  Mat(std::size_t rows, std::size_t cols) : rows(rows), cols(cols), v(rows * cols) {}
  explicit Mat(const Tensor<double>& t)
      : rows(static_cast<std::size_t>(shape_of(t).rows())),
        cols(static_cast<std::size_t>(shape_of(t).cols())),
        v(t.begin(), t.end()) {}
  double& operator()(std::size_t i, std::size_t j) { return v[i * cols + j]; }
  double operator()(std::size_t i, std::size_t j) const { return v[i * cols + j]; }
};

/// c += a b
void multiply_add(Mat& c, const Mat& a, const Mat& b) {
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t k = 0; k < a.cols; ++k)
      for (std::size_t j = 0; j < b.cols; ++j) c(i, j) += a(i, k) * b(k, j);
}
/// c += a^T b
void multiply_at_add(Mat& c, const Mat& a, const Mat& b) {
  for (std::size_t k = 0; k < a.rows; ++k)
    for (std::size_t i = 0; i < a.cols; ++i)
      for (std::size_t j = 0; j < b.cols; ++j) c(i, j) += a(k, i) * b(k, j);
}
/// c += a b^T
void multiply_bt_add(Mat& c, const Mat& a, const Mat& b) {
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t j = 0; j < b.rows; ++j)
      for (std::size_t k = 0; k < a.cols; ++k) c(i, j) += a(i, k) * b(j, k);
}
void add_bias(Mat& c, const Mat& bias) {
  for (std::size_t i = 0; i < c.rows; ++i)
    for (std::size_t j = 0; j < c.cols; ++j) c(i, j) += bias(0, j);
}
void sum_rows_add(Mat& bias, const Mat& d) {
  for (std::size_t i = 0; i < d.rows; ++i)
    for (std::size_t j = 0; j < d.cols; ++j) bias(0, j) += d(i, j);
}
double logistic(double x) { return 1 / (1 + std::exp(-x)); }

constexpr std::size_t Tx = 7, m = 3, n_x = 4, n_a = 5, n_y = 6;

struct Data {
  Rng rng{7};
  Tensor<double> x = random_tensor({Tx, m, n_x}, rng), a0 = random_tensor({m, n_a}, rng, 0.5),
                 c0 = random_tensor({m, n_a}, rng, 0.5);
  std::vector<std::int32_t> target;
  Data() {
    for (std::size_t i = 0; i < Tx * m; ++i) target.push_back(static_cast<std::int32_t>(rng.below(n_y)));
  }
  Mat x_at(std::size_t t) const {
    Mat r(m, n_x);
    std::copy_n(x.data() + t * m * n_x, m * n_x, r.v.data());
    return r;
  }
};

/// dz<t> = y<t> - onehot, where y<t> = softmax(a<t> Wy + by); adds the cross entropy to `loss`.
Mat softmax_and_its_error(const Data& data, std::size_t t, const Mat& a, const Mat& Wy, const Mat& by, double& loss) {
  Mat z(m, n_y);
  multiply_add(z, a, Wy);
  add_bias(z, by);
  for (std::size_t i = 0; i < m; ++i) {
    double total = 0;
    for (std::size_t k = 0; k < n_y; ++k) total += std::exp(z(i, k));
    const auto right = static_cast<std::size_t>(data.target[t * m + i]);
    loss -= z(i, right) - std::log(total);
    for (std::size_t k = 0; k < n_y; ++k) z(i, k) = std::exp(z(i, k)) / total - (k == right ? 1 : 0);
  }
  return z;
}

void expect(const char* name, const Mat& by_hand, const Tensor<double>& tape) {
  CAPTURE(name);
  Tensor<double> want = make_tensor<double>(shape_of(tape));
  REQUIRE(want.size() == by_hand.v.size());
  std::copy(by_hand.v.begin(), by_hand.v.end(), want.begin());
  CHECK(distance(tape, want) <= 1e-12);
}

}  // namespace

TEST_CASE("bptt by hand: a plain rnn in the textbook's symbols") {
  const Data data;
  Rng rng{3};
  RNN<double> rnn(n_x, n_a, rng);
  Linear<double> head(n_a, n_y, rng);
  const Mat Wx(rnn.cell.input.weight.value()), ba(rnn.cell.input.bias.value()), Wa(rnn.cell.recurrent.weight.value()),
      Wy(head.weight.value()), by(head.bias.value());

  std::vector<Mat> a{Mat(data.a0)}, dz;
  double loss = 0;
  for (std::size_t t = 0; t < Tx; ++t) {
    Mat next(m, n_a);
    multiply_add(next, data.x_at(t), Wx);
    multiply_add(next, a.back(), Wa);
    add_bias(next, ba);
    for (double& v : next.v) v = std::tanh(v);
    a.push_back(next);
    dz.push_back(softmax_and_its_error(data, t, next, Wy, by, loss));
  }
  Mat dWx(n_x, n_a), dWa(n_a, n_a), dWy(n_a, n_y), dba(1, n_a), dby(1, n_y), dx(Tx * m, n_x), da_next(m, n_a);
  for (std::size_t t = Tx; t-- > 0;) {
    multiply_at_add(dWy, a[t + 1], dz[t]);
    sum_rows_add(dby, dz[t]);
    Mat dtanh = da_next;
    multiply_bt_add(dtanh, dz[t], Wy);
    for (std::size_t i = 0; i < dtanh.v.size(); ++i) dtanh.v[i] *= 1 - a[t + 1].v[i] * a[t + 1].v[i];
    multiply_at_add(dWx, data.x_at(t), dtanh);
    multiply_at_add(dWa, a[t], dtanh);
    sum_rows_add(dba, dtanh);
    Mat dxt(m, n_x);
    multiply_bt_add(dxt, dtanh, Wx);
    std::copy(dxt.v.begin(), dxt.v.end(), dx.v.begin() + static_cast<std::ptrdiff_t>(t * m * n_x));
    da_next = Mat(m, n_a);
    multiply_bt_add(da_next, dtanh, Wa);
  }

  Tape<double> tape;
  const auto x = tape.variable(data.x), a0 = tape.variable(data.a0);
  const auto total = cross_entropy(head(rnn(x, a0)), data.target, {.weights = {}, .reduction = Reduction::sum});
  tape.backward(total);
  CHECK(total.item() == doctest::Approx(loss).epsilon(1e-13));
  expect("dWx", dWx, rnn.cell.input.weight.grad());
  expect("dba", dba, rnn.cell.input.bias.grad());
  expect("dWa", dWa, rnn.cell.recurrent.weight.grad());
  expect("dWy", dWy, head.weight.grad());
  expect("dby", dby, head.bias.grad());
  expect("dx", dx, x.grad());
  expect("da<0>", da_next, a0.grad());
}

TEST_CASE("bptt by hand: an lstm") {
  const Data data;
  Rng rng{4};
  LSTM<double> lstm(n_x, n_a, rng);
  Linear<double> head(n_a, n_y, rng);
  const Mat Wx(lstm.cell.input.weight.value()), b(lstm.cell.input.bias.value()), Wa(lstm.cell.recurrent.weight.value()),
      Wy(head.weight.value()), by(head.bias.value());

  // gates<t> holds the input, forget, candidate and output gates side by side.
  std::vector<Mat> a{Mat(data.a0)}, c{Mat(data.c0)}, gates, dz;
  double loss = 0;
  for (std::size_t t = 0; t < Tx; ++t) {
    Mat g(m, 4 * n_a), next_c(m, n_a), next_a(m, n_a);
    multiply_add(g, data.x_at(t), Wx);
    multiply_add(g, a.back(), Wa);
    add_bias(g, b);
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < 4 * n_a; ++j) g(i, j) = j / n_a == 2 ? std::tanh(g(i, j)) : logistic(g(i, j));
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < n_a; ++j) {
        next_c(i, j) = g(i, n_a + j) * c.back()(i, j) + g(i, j) * g(i, 2 * n_a + j);
        next_a(i, j) = g(i, 3 * n_a + j) * std::tanh(next_c(i, j));
      }
    a.push_back(next_a), c.push_back(next_c), gates.push_back(g);
    dz.push_back(softmax_and_its_error(data, t, next_a, Wy, by, loss));
  }
  Mat dWx(n_x, 4 * n_a), dWa(n_a, 4 * n_a), dWy(n_a, n_y), db(1, 4 * n_a), dby(1, n_y), dx(Tx * m, n_x), da(m, n_a),
      dc(m, n_a);
  for (std::size_t t = Tx; t-- > 0;) {
    multiply_at_add(dWy, a[t + 1], dz[t]);
    sum_rows_add(dby, dz[t]);
    multiply_bt_add(da, dz[t], Wy);
    const Mat& g = gates[t];
    Mat d(m, 4 * n_a);
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < n_a; ++j) {
        const double in = g(i, j), forget = g(i, n_a + j), candidate = g(i, 2 * n_a + j), out = g(i, 3 * n_a + j);
        const double tc = std::tanh(c[t + 1](i, j));
        dc(i, j) += da(i, j) * out * (1 - tc * tc);
        d(i, j) = dc(i, j) * candidate * in * (1 - in);
        d(i, n_a + j) = dc(i, j) * c[t](i, j) * forget * (1 - forget);
        d(i, 2 * n_a + j) = dc(i, j) * in * (1 - candidate * candidate);
        d(i, 3 * n_a + j) = da(i, j) * tc * out * (1 - out);
        dc(i, j) *= forget;
      }
    multiply_at_add(dWx, data.x_at(t), d);
    multiply_at_add(dWa, a[t], d);
    sum_rows_add(db, d);
    Mat dxt(m, n_x);
    multiply_bt_add(dxt, d, Wx);
    std::copy(dxt.v.begin(), dxt.v.end(), dx.v.begin() + static_cast<std::ptrdiff_t>(t * m * n_x));
    da = Mat(m, n_a);
    multiply_bt_add(da, d, Wa);
  }

  Tape<double> tape;
  const auto x = tape.variable(data.x), a0 = tape.variable(data.a0), c0 = tape.variable(data.c0);
  const auto total = cross_entropy(head(lstm(x, {a0, c0})), data.target, {.weights = {}, .reduction = Reduction::sum});
  tape.backward(total);
  CHECK(total.item() == doctest::Approx(loss).epsilon(1e-13));
  expect("dWx", dWx, lstm.cell.input.weight.grad());
  expect("db", db, lstm.cell.input.bias.grad());
  expect("dWa", dWa, lstm.cell.recurrent.weight.grad());
  expect("dWy", dWy, head.weight.grad());
  expect("dby", dby, head.bias.grad());
  expect("dx", dx, x.grad());
  expect("da<0>", da, a0.grad());
  expect("dc<0>", dc, c0.grad());
}
