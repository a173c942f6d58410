#pragma once

#include <cmath>

#include <unroll/layers/model.h>
#include <unroll/layers/safetensors.h>
#include <unroll/optim/optimizer.h>

namespace unroll::inline UNROLL_ISA {

/// Throws FileError unless all of a tensor is finite: another is of a damaged file, for no training leaves such.
template <Real T>
void check_finite(const Tensor<T>& tensor, const std::string& name, const std::string& file) {
  for (const T x : tensor) require<FileError>(std::isfinite(x), "{} is damaged: {} holds {}", file, name, x);
}

/// A model file that also holds where training stands: the optimizer's arrays, the recurrent state and the best
/// parameters so far, as entries under "train/", next to the parameters under their own names.
class Checkpoint {
 public:
  Metadata metadata;

  template <class M>
  void put_model(const M& model) {
    for_each_parameter(model, [&](const std::string& path, const auto& p) { file_.put(path, p.value()); });
  }
  /// What the parameters were at their best, in the order of for_each_parameter.
  template <class M, Real T>
  void put_best(const M& model, const std::vector<Tensor<T>>& best) {
    std::size_t i = 0;
    for_each_parameter(model, [&](const std::string& path, const auto&) { file_.put(best_prefix + path, best[i++]); });
  }
  template <Real T, class Method>
  void put_optimizer(Optimizer<T, Method>& optimizer) {
    for (const auto& [name, tensor] : optimizer.state().tensors) file_.put(training_prefix + name, *tensor);
  }
  template <class State>
  void put_state(const std::string& name, const State& state) {
    int k = 0;
    for_each_var(state, [&]<class T>(const Var<T>& v) {
      file_.put(fmt::format("{}{}/{}", training_prefix, name, k++), Tensor<T>(v.value()));
    });
  }
  void write(const std::filesystem::path& path);

  static Checkpoint read(const std::filesystem::path& path);
  /// Overwrites the optimizer's arrays. Throws FileError when one is missing.
  template <Real T, class Method>
  void get_optimizer(Optimizer<T, Method>& optimizer, std::uint64_t steps) const {
    auto state = optimizer.state();
    for (const auto& [name, tensor] : state.tensors) *tensor = fitting<T>(training_prefix + name, shape_of(*tensor));
    *state.steps = steps;
  }
  template <Real T, class M>
  std::vector<Tensor<T>> get_best(const M& model) const {
    std::vector<Tensor<T>> best;
    for_each_parameter(model, [&](const std::string& path, const auto& p) {
      best.push_back(fitting<T>(best_prefix + path, p.shape()));
    });
    return best;
  }
  template <class State>
  void get_state(const std::string& name, State& state) const {
    int k = 0;
    for_each_var(state, [&]<class T>(Var<T>& v) {
      v = v.tape().constant(fitting<T>(fmt::format("{}{}/{}", training_prefix, name, k++), v.shape()));
    });
  }

 private:
  static constexpr const char* best_prefix = "train/best/";

  template <Real T>
  Tensor<T> fitting(const std::string& name, const Shape& shape) const {
    Tensor<T> tensor = file_.get<T>(name);
    require<FileError>(shape_of(tensor) == shape, "checkpoint: entry {} has shape {}, {} is needed", name,
                       shape_of(tensor), shape);
    check_finite(tensor, name, path_);
    return tensor;
  }
  Safetensors file_;
  std::string path_;  // where it was read
};

/// Loads the parameters of a trained model. Throws FileError, also for those that are not finite.
template <class M>
void load_trained(M& model, const std::string& path) {
  load(model, path);
  for_each_parameter(model, [&](const std::string& name, const auto& p) { check_finite(p.value(), name, path); });
}

}  // namespace unroll::inline UNROLL_ISA
