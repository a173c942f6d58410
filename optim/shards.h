#pragma once

#include <memory>
#include <vector>

#include <unroll/autograd/tape/tape.h>
#include <unroll/autograd/tape/workers.h>

namespace unroll::inline UNROLL_ISA {

/// Where part `part` of `parts` begins, of n things: as even as can be.
constexpr Index part_begin(Index n, Index part, Index parts) { return n * part / parts; }

/// The parts of a batch, each with a tape that computes and differentiates it, on one or more threads. Their gradients
/// are summed in the order of the shards: the result depends on how many there are, and neither on the number of
/// threads nor on timing.
template <Real T = float>
class Shards {
 public:
  /// No more than so many, so that the tapes of no two shards draw the same numbers, be it for different seeds.
  static constexpr Index most = 64;

  /// Throws ValueError unless there is a thread and a shard, and for more shards than `most`.
  explicit Shards(Index count, int threads = 1, std::uint64_t seed = 0) : workers_(threads) {
    require<ValueError>(count >= 1 && count <= most, "shards: {} are not in 1 .. {}", count, most);
    for (Index s = 0; s < count; ++s)
      shards_.push_back(
          std::make_unique<Shard>(seed * static_cast<std::uint64_t>(most) + static_cast<std::uint64_t>(s)));
  }

  Index count() const { return static_cast<Index>(shards_.size()); }
  Tape<T>& tape(Index s) { return at(s).tape; }
  Workers& workers() { return workers_; }

  /// Adds the gradients of a batch to the parameters and returns its loss: the sum of loss_of(tape, s), a scalar, over
  /// the first `used` shards. loss_of runs on several threads at once; it rewinds the tape, or goes on from a state
  /// that Tape::restart kept. Throws what the first shard to fail threw; the parameters may then have the gradients of
  /// shard 0, and no others.
  template <class F>
  double backward(Index used, F loss_of) {
    require<ValueError>(used >= 1 && used <= count(), "shards: {} of {} cannot be used", used, count());
    try {
      workers_.run(used, [&](Index s) {
        Shard& shard = at(s);
        const Var<T> loss(loss_of(shard.tape, s));
        shard.loss = static_cast<double>(loss.item());
        // The first adds to the parameters themselves; the others are added after it.
        if (s == 0)
          shard.tape.backward(loss);
        else
          shard.tape.backward(loss, shard.gradients);
      });
    } catch (...) {
      for (const auto& shard : shards_) shard->gradients.clear();
      throw;
    }
    double sum = at(0).loss;
    for (Index s = 1; s < used; ++s) {
      at(s).gradients.deliver(&workers_);
      sum += at(s).loss;
    }
    return sum;
  }
  template <class F>
  double backward(F loss_of) {
    return backward(count(), std::move(loss_of));
  }

 private:
  struct Shard {
    explicit Shard(std::uint64_t seed) : tape(seed) {}
    Tape<T> tape;
    Gradients<T> gradients;
    double loss = 0;
  };
  Shard& at(Index s) { return *shards_[static_cast<std::size_t>(s)]; }

  Workers workers_;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace unroll::inline UNROLL_ISA
