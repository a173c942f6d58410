#pragma once

#include <memory>
#include <string>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::bench {

/// A training step that is measured: embedding, recurrent layers, linear, cross entropy; backward; clipping to norm 5;
/// stochastic gradient descent with rate 0.1.
struct TrainShape {
  std::string name, cell;
  Index vocabulary, classes, embed, hidden, batch, steps, layers;
  bool ragged = false;    // lengths of 5 to `steps`, both directions
  bool each_row = false;  // hides from the library that symbols recur, so that each row of the input is multiplied

  /// Steps that are trained on: the valid ones.
  Index tokens() const;
  /// Rows of the first input product: the distinct symbols where at most half of the steps have another one.
  Index input_rows() const;
  /// Floating-point operations of the products of one training step, each entry once forward and twice backward. What a
  /// table look-up does, and element-wise work, is not counted.
  double flops() const;
  /// Bytes of float that values and gradients of one step take by arithmetic: for each token and layer its projected
  /// gates, outputs and inner states, and the inputs of the first; once as values and once as gradients. Logits are
  /// counted once, for their gradient takes their place; outputs of a ragged batch once more, with their padding.
  double needed_bytes() const;
};

const std::vector<TrainShape>& train_shapes();
/// Lengths of the rows of a ragged shape.
std::vector<Index> lengths_of(const TrainShape& shape);

/// One model of a shape on a batch of its own that stays the same.
class Training {
 public:
  virtual ~Training() = default;
  /// A training step; returns the loss before it.
  virtual double step() = 0;
  /// The worst relative error of the gradient of any parameter (Euclidean norms) against a tape in double.
  virtual double verify() = 0;
  /// Writes weights, inputs and targets for another program to read.
  virtual void save(const std::string& file) const = 0;

  struct Phases {
    double forward = 0, backward = 0, update = 0;  // milliseconds of the last step
  };
  Phases phases;
  std::size_t nodes = 0, tape_bytes = 0;
};

/// Shards are parts of the batch with a tape each, computed by `threads`.
std::unique_ptr<Training> make_training(const TrainShape& shape, Index shards, int threads);

}  // namespace unroll::bench
