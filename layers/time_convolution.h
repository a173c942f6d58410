#pragma once

#include <unroll/layers/linear.h>
#include <unroll/layers/place.h>
#include <unroll/layers/time_windows.h>

namespace unroll::inline UNROLL_ISA {

enum class Padding {
  causal,   // a window ends at its step
  centred,  // a window of odd size has its step in the middle
};

/// A convolution over time: each output is an affine map of a window of inputs, in the order of time (Waibel et al.
/// 1989; causal and dilated: van den Oord et al. 2016, section 2.1). Steps outside of a row count as zeros, and are not
/// read; the outputs of a row are one for every `stride` steps begun, and zero behind them.
template <Real T = float>
struct TimeConvolution {
  struct Options {
    Padding padding = Padding::causal;
    Index stride = 1, dilation = 1;
  };
  Options options;
  Parameter<T> weight;  // [window, in, out]
  Parameter<T> bias;    // [out]

  /// Throws ValueError for an extent below 1, and for an even window that is centred.
  TimeConvolution(Index in, Index out, Index window, Rng& rng, const Options& options = {})
      : options(checked(options, window)),
        weight(init::uniform<T>({window, in, out}, limit(window * in), rng)),
        bias(init::uniform<T>({out}, limit(window * in), rng)) {}

  /// xs [time, batch, in] to [ceil(time / stride), batch, out]. Throws ShapeError naming the layer.
  Var<T> operator()(Var<T> xs, std::span<const Index> lengths = {}) const {
    const Index window = weight.shape()[0], in = weight.shape()[1], out = weight.shape()[2];
    Tape<T>& tape = xs.tape();
    const Shape shape = xs.shape();
    const detail::PlaceGuard<T> place(tape, detail::place_of_layer(*this));
    tape.template require<ShapeError>(shape.rank() == 3 && shape[2] == in,
                                      "time_convolution: a sequence [time, batch, {}] is needed, not {}", in, shape);
    const Index reach = (window - 1) * options.dilation;
    const TimeWindows windows{.size = window,
                              .stride = options.stride,
                              .dilation = options.dilation,
                              .first = options.padding == Padding::causal ? -reach : -reach / 2};
    const auto table = windows.over(xs, lengths, "time_convolution");
    const Var<T> seen = gather_rows(xs, table.seen, Shape{table.windows, window, in});
    const Var<T> y =
        affine(reshape(seen, {table.windows, window * in}), reshape(tape.use(weight), {window * in, out}), bias);
    return gather_rows(y, table.unpacked, Shape{table.steps, shape[1], out});
  }
  /// The lengths of the outputs, from those of the inputs.
  std::vector<Index> lengths(std::span<const Index> of_inputs) const {
    return strided_lengths(of_inputs, options.stride);
  }
  static void fields(auto& m, auto&& f) { f("weight", m.weight), f("bias", m.bias); }

 private:
  static double limit(Index in) { return 1 / std::sqrt(static_cast<double>(std::max<Index>(1, in))); }
  static Options checked(const Options& o, Index window) {
    require<ValueError>(window > 0 && o.stride > 0 && o.dilation > 0,
                        "time_convolution: window {}, stride {} and dilation {} must be at least 1", window, o.stride,
                        o.dilation);
    require<ValueError>(o.padding == Padding::causal || window % 2 == 1,
                        "time_convolution: a window of {} has no middle: one that is centred is odd", window);
    return o;
  }
};

}  // namespace unroll::inline UNROLL_ISA
