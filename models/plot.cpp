#include <unroll/models/plot.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include <unroll/autograd/tensor/error.h>

namespace unroll::inline UNROLL_ISA {
namespace {

/// Text in gnuplot's single quotes: within double ones it runs what stands between backquotes.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') result += '\'';
    result += c == '\n' || c == '\r' ? ' ' : c;
  }
  return result + "'";
}

std::string commands(const std::string& path, const std::vector<Plot>& plots) {
  const std::size_t columns = plots.size() == 1 ? 1 : 2, rows = (plots.size() + columns - 1) / columns;
  std::string text = fmt::format(
      "set terminal svg size {},{} dynamic font 'sans-serif,13' background '#ffffff'\nset output {}\n"
      "set multiplot layout {},{}\nset border 3\nset bmargin 6\nset tics nomirror out\nset mytics 1\nset grid lc rgb "
      "'#e0e0e0'\n"
      "set style line 1 lc rgb '#d55e00' lw 2\nset style line 2 lc rgb '#0072b2' lw 2\n"
      "set style line 3 lc rgb '#009e73' lw 2\nset style line 4 lc rgb '#cc79a7' lw 2\n"
      "set style line 5 lc rgb '#e69f00' lw 2\nset style line 6 lc rgb '#56b4e9' lw 2\n",
      columns == 1 ? 720 : 1080, 440 * rows, quoted(path), rows, columns);
  for (const Plot& plot : plots) {
    text += fmt::format("set title {} noenhanced\nset xlabel {} noenhanced\nset ylabel {} noenhanced\n",
                        quoted(plot.title), quoted(plot.x_label), quoted(plot.y_label));
    text += plot.log_y ? "set logscale y\nset format y '10^{%T}'\n" : "unset logscale\nset format y '%g'\n";
    text += plot.least_y > 0 ? fmt::format("set yrange [{:g}:*]\n", plot.least_y) : "set yrange [*:*]\n";
    text += "set key at graph 0.5,-0.24 center top vertical maxrows 4 noenhanced\nplot ";
    for (std::size_t i = 0; i < plot.lines.size(); ++i)
      text += fmt::format("{}'-' using 1:2 with linespoints ls {} pt 7 ps 0.4 title {}", i == 0 ? "" : ", ", i % 6 + 1,
                          quoted(plot.lines[i].label));
    text += "\n";
    for (const PlotLine& line : plot.lines) {
      for (std::size_t k = 0; k < line.ys.size(); ++k)
        if (const double y = line.ys[k]; std::isfinite(y) && (!plot.log_y || y > 0))
          text += fmt::format("{:g} {:g}\n", line.x(k), std::max(y, plot.least_y));
      if (line.ys.empty()) text += "0 NaN\n";
      text += "e\n";
    }
  }
  return text + "unset multiplot\n";
}

}  // namespace

void check_plotting(const std::string& path) {
  require<FileError>(std::system("command -v gnuplot >/dev/null 2>&1") == 0,
                     "plot: gnuplot is not installed (Debian: gnuplot-nox), so {} cannot be drawn", path);
}

void write_svg(const std::string& path, const std::vector<Plot>& plots) {
  check_plotting(path);
  const std::string text = commands(path, plots);
  std::FILE* pipe = ::popen("gnuplot >/dev/null 2>&1", "w");
  require<FileError>(pipe != nullptr, "plot: gnuplot could not be started");
  const bool written = std::fwrite(text.data(), 1, text.size(), pipe) == text.size();
  const int status = ::pclose(pipe);
  std::error_code error;
  require<FileError>(written && status == 0 && std::filesystem::file_size(path, error) > 0 && !error,
                     "plot: gnuplot could not write {}", path);
}

}  // namespace unroll::inline UNROLL_ISA
