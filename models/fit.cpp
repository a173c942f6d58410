#include <unroll/models/fit.h>

#include <chrono>
#include <cmath>
#include <numeric>

#include <unroll/models/interrupt.h>
#include <unroll/models/training_log.h>
#include <unroll/optim/optim.h>

namespace unroll::inline UNROLL_ISA {
namespace {

using Clock = std::chrono::steady_clock;
using Batches = std::vector<std::vector<Index>>;

/// The examples in random order, cut into batches within which the lengths are alike.
Batches draw_batches(std::span<const Index> lengths, Index batch, Rng& rng) {
  std::vector<Index> order(lengths.size());
  std::iota(order.begin(), order.end(), Index{0});
  shuffle(order, rng);
  constexpr Index pool = 50;  // batches whose examples are sorted together
  const auto count = static_cast<Index>(order.size());
  Batches batches;
  for (Index first = 0; first < count; first += pool * batch) {
    const Index last = std::min(count, first + pool * batch);
    std::stable_sort(order.begin() + first, order.begin() + last, [&](Index a, Index b) {
      return lengths[static_cast<std::size_t>(a)] < lengths[static_cast<std::size_t>(b)];
    });
    for (Index at = first; at < last; at += batch)
      batches.emplace_back(order.begin() + at, order.begin() + std::min(last, at + batch));
  }
  shuffle(batches, rng);
  return batches;
}

static_assert(range::shards.most == Shards<>::most);

class Fitting {
 public:
  Fitting(const FitProblem& problem, const FitOptions& options, Report& report)
      : problem_(problem),
        o_(options),
        report_(report),
        rng_(static_cast<std::uint64_t>(options.seed) + 1),
        adam_(problem.parameters, {.rate = options.rate, .weight_decay = options.decay, .clip = options.clip}),
        shards_(options.shards, static_cast<int>(options.threads), static_cast<std::uint64_t>(options.seed)),
        log_(options.log) {
    const auto count = static_cast<Index>(problem.lengths.size());
    per_epoch_ = (count + o_.batch - 1) / o_.batch;
  }

  bool run() {
    const InterruptGuard guard;
    start_ = Clock::now();
    Index waited = 0;
    bool stopped = false;
    for (Index epoch = 0; epoch < o_.epochs && !stopped; ++epoch) {
      double total = 0;
      const Batches batches = draw_batches(problem_.lengths, o_.batch, rng_);
      for (const std::vector<Index>& batch : batches) {
        total += update(batch, epoch);
        stopped = InterruptGuard::requested();
        if (stopped) break;
      }
      if (stopped) {
        if (best_.empty()) check_parameters(), problem_.keep();
        break;
      }
      const double loss = total / static_cast<double>(batches.size());
      waited = validate(epoch, loss) ? 0 : waited + 1;
      stopped = InterruptGuard::requested();
      if (o_.patience > 0 && waited >= o_.patience) break;
      if (o_.minutes > 0 && seconds_since(start_) > 60 * o_.minutes) break;
    }
    for (std::size_t i = 0; i < best_.size(); ++i) problem_.parameters[i]->edit() = best_[i];
    return !stopped;
  }

 private:
  double update(const std::vector<Index>& batch, Index epoch) {
    const auto count = static_cast<Index>(batch.size());
    const Index shards = std::min(o_.shards, count);
    const auto total = static_cast<double>(per_epoch_ * o_.epochs);
    const CosineDecay decay{o_.rate, total, o_.rate / 50};
    adam_.set_rate(WarmUp{std::min(100.0, total / 20), decay}(static_cast<double>(step_)));
    const double loss = shards_.backward(shards, [&](Tape<>& tape, Index s) {
      const Index first = part_begin(count, s, shards), last = part_begin(count, s + 1, shards);
      tape.rewind();
      const Var<> of_part = problem_.loss(
          tape, std::span(batch).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first)));
      check_loss(of_part, step_);
      return of_part * (static_cast<double>(last - first) / static_cast<double>(count));
    });
    adam_.step(&shards_.workers());
    smoothed_ = step_ == 0 ? loss : 0.95 * smoothed_ + 0.05 * loss;
    ++step_;
    const double left = seconds_since(start_) * (total / static_cast<double>(step_) - 1);
    report_.progress(fmt::format("epoch {} of {}, update {} of {}  loss {:.4f}  {} left at most", epoch + 1, o_.epochs,
                                 (step_ - 1) % per_epoch_ + 1, per_epoch_, smoothed_, duration_text(left)));
    return loss;
  }

  void check_parameters() const {
    for (const Parameter<float>* p : problem_.parameters)
      if (!std::isfinite(simd::sum(p->value().data(), p->shape().size())))
        throw Error(
            fmt::format("train: {} is not finite after update {}: is --rate {} too large?", p->name(), step_, o_.rate));
  }

  /// Whether it is the best so far.
  bool validate(Index epoch, double loss) {
    const Validation v = problem_.validate();
    log_.scalar(step_, "train/loss", loss);
    log_.scalar(step_, "train/rate", adam_.rate());
    log_.scalars(step_, "valid", v.fields);
    check_parameters();
    const bool better = best_.empty() || v.score > best_score_ || !problem_.choose;
    std::string text = fmt::format("epoch {} of {}: trained {:.4f}", epoch + 1, o_.epochs, loss);
    for (const auto& [name, value] : v.fields)
      if (const auto* number = std::get_if<double>(&value)) text += fmt::format("  {} {:.4f}", name, *number);
    report_.say(text + (better && problem_.choose ? "  best" : ""));
    if (!better) return false;
    best_score_ = v.score;
    best_.clear();
    for (const Parameter<float>* p : problem_.parameters) best_.push_back(p->value());
    problem_.keep();
    return true;
  }

  const FitProblem& problem_;
  const FitOptions& o_;
  Report& report_;
  Rng rng_;
  AdamW<float> adam_;
  Shards<> shards_;
  TrainingLog log_;
  std::vector<Tensor<float>> best_;
  double best_score_ = 0, smoothed_ = 0;
  Index per_epoch_ = 0, step_ = 0;
  Clock::time_point start_;
};

}  // namespace

void check_loss(const Var<>& loss, Index update) {
  if (std::isfinite(loss.item())) return;
  const auto where = loss.tape().find_nonfinite();
  throw Error(fmt::format("train: the loss is {} at update {}: {}", loss.item(), update,
                          where ? where->message() : "it overflows"));
}

bool fit(const FitProblem& problem, const FitOptions& options, Report& report) {
  check_options(options);
  require<ValueError>(!problem.lengths.empty(), "train: there is nothing to train on");
  return Fitting(problem, options, report).run();
}

}  // namespace unroll::inline UNROLL_ISA
