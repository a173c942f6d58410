#pragma once

#include <optional>
#include <vector>

#include <unroll/autograd/ops/loss.h>
#include <unroll/layers/init.h>
#include <unroll/layers/model.h>

namespace unroll::inline UNROLL_ISA {

/// A softmax over very many classes, ordered by falling frequency, in clusters (Grave et al. 2017, section 4.2). The
/// head holds the classes below cutoffs[0] and one entry for each cluster; cluster i holds the classes from cutoffs[i]
/// to below cutoffs[i + 1], the last to all classes, and sees h through a projection down to width / division^(i + 1):
///   p(c) = softmax(h head)_c                                    for a class of the head
///   p(c) = softmax(h head)_cluster softmax(h down_i up_i)_c     for one of cluster i
/// A row costs the head and the one cluster that its target is in.
template <Real T = float>
struct AdaptiveSoftmax {
  struct Options {
    double division = 4;     // how much narrower each cluster is than the one before
    bool head_bias = false;  // the head has a bias
  };
  struct Cluster {
    Parameter<T> down;  // [in, narrow]
    Parameter<T> up;    // [narrow, classes of the cluster]
    static void fields(auto& m, auto&& f) { f("down", m.down), f("up", m.up); }
  };
  std::vector<Index> cutoffs;  // with the number of classes as the last
  Parameter<T> head;           // [in, cutoffs[0] + clusters]
  std::optional<Parameter<T>> head_bias;
  std::vector<Cluster> clusters;

  /// Initial values are those of Linear. Throws ValueError unless 0 < cutoffs[0] < ... < classes, and for a division
  /// below 1.
  AdaptiveSoftmax(Index in, Index classes, std::vector<Index> cutoffs, Rng& rng, const Options& options = {});

  /// Cross entropy with the class of each row of h [..., in], in nats; target -1 has no loss, and its row is not read.
  /// Throws IndexError for a class out of range and ValueError when there is no row to average over.
  Var<T> loss(Var<T> h, std::span<const std::int32_t> targets, Reduction reduction = Reduction::mean) const;
  /// Logarithms of the probabilities of all classes, exact: [..., in] to [..., classes].
  Var<T> log_probabilities(Var<T> h) const;

  static void fields(auto& m, auto&& f) { f("head", m.head), f("bias", m.head_bias), f("clusters", m.clusters); }
};

extern template struct AdaptiveSoftmax<float>;
extern template struct AdaptiveSoftmax<double>;

}  // namespace unroll::inline UNROLL_ISA
