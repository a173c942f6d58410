#pragma once

#include <unroll/autograd/tape/fields.h>

// Where in a model an op is called, for messages and dumps.

namespace unroll::inline UNROLL_ISA::detail {

/// The place of a layer: the path of its first parameter, and how deep in the layer that lies.
template <class M>
Place place_of_layer(const M& layer, int depth = 0) {
  using X = std::remove_cvref_t<M>;
  Place place;
  if constexpr (is_parameter<X>) {
    place = {layer.path().empty() ? nullptr : &layer.path(), depth, -1};
  } else if constexpr (HasFields<const X>) {
    const auto names_in = [](std::string_view name) {
      return static_cast<int>(std::count(name.begin(), name.end(), '/'));
    };
    X::fields(layer, [&](const char* name, const auto& part) {
      if (place.parameter_path == nullptr) place = place_of_layer(part, depth + 1 + names_in(name));
    });
  } else if constexpr (std::ranges::range<X>) {
    for (const auto& part : layer)
      if (place.parameter_path == nullptr) place = place_of_layer(part, depth + 1);
  }
  return place;
}

/// Names the layer that is running, and restores what was named before.
template <Real T>
class PlaceGuard {
 public:
  PlaceGuard(Tape<T>& tape, const Place& layer) : tape_(tape), before_(tape.current_place()), layer_(layer) {
    if (layer_.parameter_path == nullptr) layer_ = before_;
    step(-1);
  }
  ~PlaceGuard() { tape_.enter_place(before_); }
  PlaceGuard(const PlaceGuard&) = delete;
  PlaceGuard& operator=(const PlaceGuard&) = delete;
  void step(Index t) {
    layer_.step = t;
    tape_.enter_place(layer_);
  }

 private:
  Tape<T>& tape_;
  Place before_, layer_;
};

}  // namespace unroll::inline UNROLL_ISA::detail
