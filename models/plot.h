#pragma once

#include <string>
#include <vector>

#include <unroll/autograd/tensor/isa.h>

namespace unroll::inline UNROLL_ISA {

/// A line of a plot: y at x0, x0 + dx, ..., or at `xs` if these are given; values that are not positive are left out of a
/// logarithmic plot.
struct PlotLine {
  std::string label;
  std::vector<double> ys;
  double x0 = 0, dx = 1;
  std::vector<double> xs = {};

  double x(std::size_t k) const { return xs.empty() ? x0 + dx * static_cast<double>(k) : xs[k]; }
};

struct Plot {
  std::string title, x_label, y_label;
  bool log_y = false;
  double least_y = 0;  // 0: as the values are
  std::vector<PlotLine> lines;
};

/// Throws FileError when gnuplot is not installed, before there is work that could be lost.
void check_plotting(const std::string& path);
/// Writes plots, at most two beside each other, as one SVG with gnuplot, which runs as a program of its own. Throws
/// FileError when it is not installed or the file cannot be written.
void write_svg(const std::string& path, const std::vector<Plot>& plots);

}  // namespace unroll::inline UNROLL_ISA
