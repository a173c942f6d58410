#include <micro.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include <sys/resource.h>
#include <sys/wait.h>

#include <unroll/autograd/autograd.h>
#include <unroll/autograd/tensor/simd.h>

namespace unroll::bench {
namespace {

double seconds_of(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The median time of one call, over rounds that take about a fiftieth of a second each.
double time_of(const std::function<void()>& f) {
  f();
  const double once = std::max(seconds_of(f), 1e-8);
  const int calls = std::max(1, static_cast<int>(0.02 / once));
  std::vector<double> rounds;
  for (int round = 0; round < 9; ++round)
    rounds.push_back(seconds_of([&] {
                       for (int i = 0; i < calls; ++i) f();
                     }) /
                     calls);
  return median(rounds);
}

double rounded(double x, int decimals) {
  const double power = std::pow(10, decimals);
  return std::round(x * power) / power;
}

}  // namespace

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

double fma_peak() {
  using V = Batch<float>;
  constexpr int turns = 100000;
  double best = 0;
  for (int round = 0; round < 25; ++round) {
    // Values the compiler does not know, and chains enough to hide the latency, in registers each.
    volatile float factor = 0.999f, term = 0.001f;
    const V a(factor), b(term);
    V s0(0.f), s1(0.f), s2(0.f), s3(0.f), s4(0.f), s5(0.f), s6(0.f), s7(0.f), s8(0.f), s9(0.f);
    const double seconds = seconds_of([&] {
      V r0 = s0, r1 = s1, r2 = s2, r3 = s3, r4 = s4, r5 = s5, r6 = s6, r7 = s7, r8 = s8, r9 = s9;
      for (int i = 0; i < turns; ++i) {
        r0 = xsimd::fma(r0, a, b), r1 = xsimd::fma(r1, a, b), r2 = xsimd::fma(r2, a, b), r3 = xsimd::fma(r3, a, b);
        r4 = xsimd::fma(r4, a, b), r5 = xsimd::fma(r5, a, b), r6 = xsimd::fma(r6, a, b), r7 = xsimd::fma(r7, a, b);
        r8 = xsimd::fma(r8, a, b), r9 = xsimd::fma(r9, a, b);
      }
      s0 = r0, s1 = r1, s2 = r2, s3 = r3, s4 = r4, s5 = r5, s6 = r6, s7 = r7, s8 = r8, s9 = r9;
    });
    [[maybe_unused]] volatile float kept = simd::total(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9);
    best = std::max(best, 20.0 * turns * static_cast<double>(lanes<float>) / seconds * 1e-9);
  }
  return best;
}

Rows bench_tape() {
  Rows rows;
  Parameter<float> p(Tensor<float>{1.0f});
  const auto measure = [&](const char* name, int nodes, const std::function<Var<>(Tape<>&, int)>& chain) {
    Tape<> tape;
    const double seconds = time_of([&] {
      tape.rewind();
      tape.backward(chain(tape, nodes));
      p.clear_grad();
    });
    rows.push_back(
        {{"bench", "tape"}, {"name", name}, {"nodes", nodes}, {"ns_per_node", rounded(seconds / nodes * 1e9, 1)}});
  };
  constexpr int nodes = 10000;
  measure("y = y / 2 + y / 2", nodes, [&](Tape<>& tape, int n) {
    Var<> y = tape.use(p);
    for (int i = 0; i < n; ++i) y = Var<>(y * 0.5f + y * 0.5f);
    return Var<>(sum(y));
  });
  measure("y = tanh(y)", nodes, [&](Tape<>& tape, int n) {
    Var<> y = tape.use(p);
    for (int i = 0; i < n; ++i) y = Var<>(tanh(y));
    return Var<>(sum(y));
  });
  measure("y = y * x", nodes, [&](Tape<>& tape, int n) {
    const Var<> x = tape.use(p);
    Var<> y = x;
    for (int i = 0; i < n; ++i) y = Var<>(y * x);
    return Var<>(sum(y));
  });
  return rows;
}

Rows bench_ops() {
  Rows rows;
  constexpr Index height = 64, width = 256, size = height * width;
  Rng rng(1);
  Tensor<float> a = make_tensor<float>({height, width}), b = a, column = make_tensor<float>({height, 1});
  for (Tensor<float>* t : {&a, &b, &column})
    for (float& v : *t) v = static_cast<float>(rng.uniform(0.1, 2.0));
  const Tensor<float> seed = b;

  Tensor<float> copy = a;
  const double copying = time_of([&] { std::memcpy(copy.data(), a.data(), size * sizeof(float)); });
  const auto row = [&](const char* name, const std::function<Var<>(Var<>, Var<>)>& op) {
    Tape<> tape;
    const double forward = time_of([&] {
      tape.rewind();
      op(tape.variable(a), tape.variable(b));
    });
    const double entering = time_of([&] {
      tape.rewind();
      tape.variable(a), tape.variable(b);
    });
    std::vector<double> both;
    tape.rewind();
    const Var<> y = op(tape.variable(a), tape.variable(b));
    Tensor<float> dy = make_tensor<float>(y.shape(), 1.0f);
    const double backward = time_of([&] { tape.backward(y, dy); });
    rows.push_back({{"bench", "op"},
                    {"name", name},
                    {"forward_ns", rounded((forward - entering) / size * 1e9, 3)},
                    {"backward_ns", rounded(backward / size * 1e9, 3)},
                    {"copy_ns", rounded(copying / size * 1e9, 3)}});
  };
  row("a + b", [](Var<> x, Var<> y) { return Var<>(x + y); });
  row("a * b", [](Var<> x, Var<> y) { return Var<>(x * y); });
  row("a / b", [](Var<> x, Var<> y) { return Var<>(x / y); });
  row("exp", [](Var<> x, Var<>) { return Var<>(exp(x)); });
  row("log", [](Var<> x, Var<>) { return Var<>(log(x)); });
  row("tanh", [](Var<> x, Var<>) { return Var<>(tanh(x)); });
  row("sigmoid", [](Var<> x, Var<>) { return Var<>(sigmoid(x)); });
  row("relu", [](Var<> x, Var<>) { return Var<>(relu(x)); });
  row("gelu", [](Var<> x, Var<>) { return Var<>(gelu(x)); });
  row("softplus", [](Var<> x, Var<>) { return Var<>(softplus(x)); });
  row("sin", [](Var<> x, Var<>) { return Var<>(sin(x)); });
  row("sqrt", [](Var<> x, Var<>) { return Var<>(sqrt(x)); });
  row("sigmoid(a) * tanh(b)", [](Var<> x, Var<> y) { return Var<>(sigmoid(x) * tanh(y)); });
  row("sum", [](Var<> x, Var<>) { return Var<>(sum(x)); });
  row("sum, rows", [](Var<> x, Var<>) { return Var<>(sum(x, -1)); });
  row("max, rows", [](Var<> x, Var<>) { return Var<>(max(x, -1)); });
  row("softmax", [](Var<> x, Var<>) { return Var<>(softmax(x)); });
  row("log_softmax", [](Var<> x, Var<>) { return Var<>(log_softmax(x)); });
  row("logsumexp", [](Var<> x, Var<>) { return Var<>(logsumexp(x)); });
  row("transpose", [](Var<> x, Var<>) { return Var<>(transpose(x)); });
  row("concat", [](Var<> x, Var<> y) { return Var<>(concat(x, y)); });
  return rows;
}

Rows bench_gemm() {
  Rows rows;
  const double peak = fma_peak();
  Rng rng(1);
  struct Product {
    Index m, n, k;
    Trans ta, tb;
  };
  for (const auto& [m, n, k, ta, tb] : std::vector<Product>{{16, 32, 32, Trans::no, Trans::no},
                                                            {16, 32, 32, Trans::no, Trans::yes},
                                                            {50, 128, 128, Trans::no, Trans::no},
                                                            {50, 512, 128, Trans::no, Trans::no},
                                                            {50, 128, 512, Trans::no, Trans::yes},
                                                            {128, 512, 2500, Trans::yes, Trans::no},
                                                            {2500, 65, 128, Trans::no, Trans::no},
                                                            {128, 65, 2500, Trans::yes, Trans::no},
                                                            {64, 1024, 256, Trans::no, Trans::no},
                                                            {256, 1024, 3200, Trans::yes, Trans::no},
                                                            {20, 2600, 650, Trans::no, Trans::no},
                                                            {20, 650, 2600, Trans::no, Trans::yes},
                                                            {700, 10000, 650, Trans::no, Trans::no}}) {
    Tensor<float> a = make_tensor<float>({ta == Trans::no ? m : k, ta == Trans::no ? k : m}),
                  b = make_tensor<float>({tb == Trans::no ? k : n, tb == Trans::no ? n : k}),
                  c = make_tensor<float>({m, n}, 0.0f);
    for (Tensor<float>* t : {&a, &b})
      for (float& v : *t) v = static_cast<float>(rng.normal());
    const auto view = [](auto& t) {
      const Index r = static_cast<Index>(t.shape()[0]), w = static_cast<Index>(t.shape()[1]);
      return View<std::remove_pointer_t<decltype(t.data())>>{t.data(), r, w, w};
    };
    const View<const float> from_a = view(std::as_const(a)), from_b = view(std::as_const(b));
    const View<float> to = view(c);
    const double work = 2e-9 * static_cast<double>(m * n * k);
    const double any = work / time_of([&] { gemm(ta, from_a, tb, from_b, to, false); });
    Packed<float> packed_b;
    packed_b.assign(tb, from_b);
    const double packed = work / time_of([&] { gemm(ta, from_a, packed_b, to, false); });
    rows.push_back({{"bench", "gemm"},
                    {"m", m},
                    {"n", n},
                    {"k", k},
                    {"transposed", std::string(ta == Trans::yes ? "A" : "") + (tb == Trans::yes ? "B" : "")},
                    {"gflops", rounded(any, 1)},
                    {"gflops_packed", rounded(packed, 1)},
                    {"peak_share", rounded(packed / peak, 3)}});
  }
  return rows;
}

Rows bench_compile() {
  Rows rows;
  const auto scratch = std::filesystem::temp_directory_path() / fmt::format("unroll-bench-{}", ::getpid());
  std::filesystem::create_directories(scratch);
  for (const char* header : {"autograd/autograd.h", "layers/layers.h", "optim/optim.h"}) {
    const auto file = scratch / "include.cpp";
    std::ofstream(file) << "#include <unroll/" << header << ">\nint main() {}\n";
    const std::string command =
        fmt::format("exec {} -std=c++20 -O2 {} -I {} -c {} -o {}", UNROLL_COMPILER, UNROLL_ARCH_FLAGS,
                    UNROLL_INCLUDE_DIR, file.string(), (scratch / "include.o").string());
    const pid_t child = fork();
    if (child == 0) {
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    int status = 0;
    rusage usage{};
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0)
      throw Error(fmt::format("bench compile: this failed: {}", command));
    rows.push_back(
        {{"bench", "compile"},
         {"name", fmt::format("unroll/{}", header)},
         {"seconds",
          rounded(static_cast<double>(usage.ru_utime.tv_sec) + 1e-6 * static_cast<double>(usage.ru_utime.tv_usec), 2)},
         {"megabytes", usage.ru_maxrss / 1024}});
  }
  std::filesystem::remove_all(scratch);
  return rows;
}

}  // namespace unroll::bench
