#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <string>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <micro.h>
#include <sequences.h>
#include <structured.h>
#include <training.h>
#include <unroll/autograd/tensor/error.h>
#include <unroll/optim/shards.h>
#include <CLI/CLI.hpp>

// The benchmarks: ./run bench --help

using namespace unroll;
using namespace unroll::bench;

namespace {

const TrainShape& shape_named(const std::string& name) {
  for (const TrainShape& s : train_shapes())
    if (s.name == name) return s;
  throw ValueError(fmt::format("bench: no shape '{}'", name));
}

void print(const Rows& rows, bool json) {
  if (json) {
    for (const auto& row : rows) fmt::print("{}\n", row.dump());
    return;
  }
  if (rows.empty()) return;
  const auto text = [](const nlohmann::ordered_json& v) {
    return v.is_string()         ? v.get<std::string>()
           : v.is_number_float() ? fmt::format("{:.6g}", v.get<double>())
                                 : v.dump();
  };
  std::vector<std::size_t> widths;
  for (const auto& [key, value] : rows[0].items()) {
    widths.push_back(key.size());
    for (const auto& row : rows) widths.back() = std::max(widths.back(), text(row.at(key)).size());
  }
  const auto line = [&](const auto& cell_of) {
    std::size_t i = 0;
    for (const auto& [key, value] : rows[0].items())
      if (key != "bench")
        fmt::print("{:<{}}  ", cell_of(key), widths[i++]);
      else
        ++i;
    fmt::print("\n");
  };
  line([](const std::string& key) { return key; });
  for (const auto& row : rows) line([&](const std::string& key) { return text(row.at(key)); });
}

long peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

/// The error of a shape's gradients, found by a process of its own, so that its memory is not counted.
double verified(const TrainShape& shape, int threads, Index shards) {
  std::array<int, 2> ends{};
  require<Error>(pipe(ends.data()) == 0, "bench: there are no pipes left");
  std::fflush(nullptr);
  const pid_t child = fork();
  require<Error>(child >= 0, "bench: no process can be started");
  if (child == 0) {
    try {
      const double error = make_training(shape, shards, threads)->verify();
      _exit(write(ends[1], &error, sizeof error) == sizeof error ? 0 : 1);
    } catch (const std::exception& e) {
      fmt::print(stderr, "{}\n", e.what());
      _exit(1);
    }
  }
  close(ends[1]);
  double error = NAN;
  if (read(ends[0], &error, sizeof error) != sizeof error) error = NAN;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  require<Error>(status == 0 && error < 1e-4, "bench: the gradients of {} differ from those in double by {:.2g}",
                 shape.name, error);
  return error;
}

nlohmann::ordered_json measure(const TrainShape& shape, int threads, Index shards, double seconds, bool phases) {
  const double error = verified(shape, threads, shards);
  const auto training = make_training(shape, shards, threads);
  std::vector<double> forward, backward, update, total;
  double spent = 0;
  for (int i = 0; spent < 1e3 * seconds || total.size() < 5; ++i) {
    training->step();
    const auto& p = training->phases;
    if (i < 3) continue;
    forward.push_back(p.forward), backward.push_back(p.backward), update.push_back(p.update);
    total.push_back(p.forward + p.backward + p.update);
    spent += total.back();
  }
  const double ms = median(total), gflops = shape.flops() / ms * 1e-6;
  nlohmann::ordered_json row{{"bench", "train"},
                             {"name", shape.name},
                             {"threads", threads},
                             {"ms", ms},
                             {"tokens_per_second", std::round(static_cast<double>(shape.tokens()) / ms * 1e3)},
                             {"gflops", gflops},
                             {"peak_share", gflops / (fma_peak() * threads)},
                             {"nodes", training->nodes},
                             {"tape_bytes", training->tape_bytes},
                             {"needed_bytes", static_cast<std::size_t>(shape.needed_bytes())},
                             {"peak_rss_bytes", peak_rss_bytes()},
                             {"gradient_error", error}};
  if (phases) {
    row["forward_ms"] = median(forward);
    row["backward_ms"] = median(backward);
    row["update_ms"] = median(update);
  }
  return row;
}

/// Takes orders from standard input, for the comparisons with peers: "losses N" prints what N steps return, "time N"
/// the milliseconds of N steps, "rss" the peak resident memory in bytes. `step` returns its result and its
/// milliseconds.
void serve(const std::function<std::pair<double, double>()>& step) {
  fmt::print("ready\n");
  std::fflush(stdout);
  std::string what;
  while (std::cin >> what) {
    int count = 1;
    if (what != "rss") std::cin >> count;
    if (what == "rss") fmt::print("{}", peak_rss_bytes());
    for (int i = 0; i < count && what != "rss"; ++i) {
      const auto [result, ms] = step();
      fmt::print("{} ", what == "losses" ? result : ms);
    }
    fmt::print("\n");
    std::fflush(stdout);
  }
}

void serve_shape(const TrainShape& shape, const std::string& file) {
  const auto training = make_training(shape, 1, 1);
  training->save(file);
  serve([&] {
    const double loss = training->step();
    const auto& p = training->phases;
    return std::pair{loss, p.forward + p.backward + p.update};
  });
}

void serve_structured(const StructuredCase& c, const std::string& file) {
  c.save(file);
  serve([&] {
    const auto start = std::chrono::steady_clock::now();
    const double result = c.step();
    return std::pair{result, 1e3 * std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
  });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Benchmarks of unroll. Pin them (taskset -c 0) and compare within one run only.");
  app.require_subcommand(1);
  bool json = false, phases = false, each_row = false;
  std::string name, file;
  int threads = 1;
  Index shards = 0;
  double seconds = 2;

  auto* train = app.add_subcommand("train", "training steps of the named shapes");
  train->add_option("--shape", name, "one shape; without it, all");
  train->add_option("--threads", threads, "threads")->check(CLI::Range(1, 1024))->capture_default_str();
  train->add_option("--shards", shards, "parts of the batch; 0: one per thread")
      ->check(CLI::Range(Index{0}, Shards<>::most));
  train->add_option("--seconds", seconds, "how long to measure each")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  const char* const each_row_help = "multiply each row of the input, also where symbols recur";
  train->add_flag("--each-row", each_row, each_row_help);
  train->add_flag("--phases", phases, "forward, backward and update apart");
  auto* server = app.add_subcommand("serve", "take orders from standard input (used by compare)");
  server->add_option("--shape", name, "the shape")->required();
  server->add_flag("--each-row", each_row, each_row_help);
  server->add_option("--save", file, "where to write weights and data")->required();
  auto* structured = app.add_subcommand("serve-structured", "the same for CTC, CRF and beams (used by structured)");
  structured->add_option("--case", name, "which")->required()->check(CLI::IsMember(structured_case_names()));
  structured->add_option("--save", file, "where to write weights and data")->required();
  auto* tape = app.add_subcommand("tape", "nanoseconds per node");
  auto* ops = app.add_subcommand("ops", "nanoseconds per element of each op");
  auto* gemm = app.add_subcommand("gemm", "products by shape");
  auto* compile = app.add_subcommand("compile", "what the headers cost to compile");
  Index steps = 10000, segment = 100;
  bool predict = false;
  auto* longer = app.add_subcommand("long", "one long sequence, and the memory that it takes");
  longer->add_option("--steps", steps, "steps")->check(CLI::Range(Index{1}, Index{1} << 24))->capture_default_str();
  longer->add_option("--segment", segment, "steps computed again at a time; 0: a plain tape")
      ->check(CLI::Range(Index{0}, Index{1} << 24))
      ->capture_default_str();
  longer->add_flag("--predict", predict, "only say what it will take");
  auto* scan = app.add_subcommand("scan", "linear recurrences as one scan");
  auto* peak = app.add_subcommand("peak", "fused multiply-adds of one thread");
  for (auto* command : {train, tape, ops, gemm, compile, longer, scan, peak})
    command->add_flag("--json", json, "one object per line");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) { return app.exit(e) == 0 ? 0 : 2; }
  try {
    if (*train) {
      // Each shape in a process of its own would be needed for its own peak memory: `--shape` gives that.
      Rows rows;
      for (TrainShape s : train_shapes()) {
        if (!name.empty() && s.name != shape_named(name).name) continue;
        s.each_row = each_row;
        rows.push_back(
            measure(s, threads, shards == 0 ? std::min<Index>(threads, Shards<>::most) : shards, seconds, phases));
      }
      print(rows, json);
    }
    if (*server) {
      TrainShape shape = shape_named(name);
      shape.each_row = each_row;
      serve_shape(shape, file);
    }
    if (*structured) serve_structured(structured_case(name), file);
    if (*tape) print(bench_tape(), json);
    if (*ops) print(bench_ops(), json);
    if (*gemm) print(bench_gemm(), json);
    if (*compile) print(bench_compile(), json);
    if (*longer) print(bench_long(steps, segment, predict), json);
    if (*scan) print(bench_scan(), json);
    if (*peak) print({{{"bench", "peak"}, {"gflops", fma_peak()}}}, json);
  } catch (const ValueError& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
