#include <sequences.h>

#include <chrono>

#include <sys/resource.h>

#include <unroll/layers/layers.h>

namespace unroll::bench {
namespace {

double milliseconds_of(const auto& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return 1e3 * std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

constexpr Index symbols = 64, width = 128, batch = 32;

struct CharacterModel {
  Embedding<> embed;
  LSTM<> rnn;
  Linear<> head;
  explicit CharacterModel(Rng& rng) : embed(symbols, 32, rng), rnn(32, width, rng), head(width, symbols, rng) {}
  static void fields(auto& m, auto&& f) { f("embed", m.embed), f("rnn", m.rnn), f("head", m.head); }
};

struct Reached {
  HiddenAndCell<> state;
  Var<> loss;
  static void fields(auto& r, auto&& f) { f("state", r.state), f("loss", r.loss); }
};

using Ids = std::span<const std::int32_t>;

/// The loss of some steps of a text, and the state after them.
Reached read(const CharacterModel& model, Tape<>& tape, Ids ids, HiddenAndCell<> state) {
  const auto rows = static_cast<Index>(ids.size()) - batch;
  const auto [hs, last] =
      model.rnn(model.embed(tape, ids.first(static_cast<std::size_t>(rows)), Shape{rows / batch, batch}), state);
  return {last, cross_entropy(model.head(hs), ids.subspan(batch), {.reduction = Reduction::sum})};
}

Var<> loss_of(const CharacterModel& model, Tape<>& tape, Ids ids, Index steps, Index segment) {
  HiddenAndCell<> state = model.rnn.initial(tape, batch);
  const auto part = [&](Index first, Index last) {
    return ids.subspan(static_cast<std::size_t>(first * batch), static_cast<std::size_t>((last - first + 1) * batch));
  };
  if (segment == 0) return read(model, tape, part(0, steps), state).loss;
  Var<> total = tape.zeros({});
  for (Index first = 0; first < steps; first += segment) {
    const auto again = [&model, some = part(first, std::min(steps, first + segment))](
                           Tape<>& inner, const HiddenAndCell<>& from) { return read(model, inner, some, from); };
    const Reached reached = checkpoint(tape, state, again);
    state = reached.state;
    total = total + reached.loss;
  }
  return total;
}

}  // namespace

Rows bench_long(Index steps, Index segment, bool predict) {
  Rng rng{1};
  CharacterModel model(rng);
  (void)parameters(model);
  std::vector<std::int32_t> ids;
  for (Index i = 0; i < (steps + 1) * batch; ++i) ids.push_back(static_cast<std::int32_t>(rng.below(symbols)));
  const auto bytes = predict_bytes([&](Tape<>& tape, Index n) { return loss_of(model, tape, ids, n, segment); }, steps,
                                   std::max<Index>(segment, 16));
  nlohmann::ordered_json row{{"bench", "long"}, {"steps", steps}, {"segment", segment}, {"predicted_mb", bytes >> 20}};
  if (predict) return {row};
  Tape<> tape;
  Var<> loss;
  row["forward_ms"] = milliseconds_of([&] { loss = loss_of(model, tape, ids, steps, segment); });
  row["backward_ms"] = milliseconds_of([&] { tape.backward(loss); });
  row["tape_mb"] = tape.bytes() >> 20;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  row["peak_rss_mb"] = usage.ru_maxrss >> 10;
  return {row};
}

Rows bench_scan() {
  Rows rows;
  for (const char* name : {"sru", "qrnn", "mingru", "minlstm"})
    for (const auto& [steps, rows_of_batch, units] :
         {std::array<Index, 3>{200, 32, 128}, {2000, 1, 128}, {2000, 1, 32}}) {
      Rng rng{1};
      Recurrent<AnyCell<>> layer(units, units, rng, name);
      (void)parameters(layer);
      const Tensor<float> xs = init::normal<float>({steps, rows_of_batch, units}, 1, rng);
      Tape<> tape;
      const auto once = [&](bool scan) {
        layer.scan = scan;
        return milliseconds_of([&] {
          tape.rewind();
          tape.backward(sum(square(layer(tape.variable(xs)).outputs)));
        });
      };
      std::vector<double> looped, scanned;
      for (int round = 0; round < 15; ++round) looped.push_back(once(false)), scanned.push_back(once(true));
      rows.push_back({{"bench", "scan"},
                      {"cell", name},
                      {"steps", steps},
                      {"batch", rows_of_batch},
                      {"width", units},
                      {"looped_ms", median(looped)},
                      {"scanned_ms", median(scanned)},
                      {"gain", median(looped) / median(scanned)}});
    }
  return rows;
}

}  // namespace unroll::bench
