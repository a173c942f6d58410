#include <unroll/autograd/check/gradients.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/ranges.h>

namespace unroll::inline UNROLL_ISA {
namespace {

std::string index_text(const Shape& shape, Index flat) {
  std::string text;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    text = fmt::format("{}{}{}", flat % shape[d], text.empty() ? "" : ", ", text);
    flat /= shape[d];
  }
  return "[" + text + "]";
}

/// What such a pair of numbers usually comes from; empty if it tells nothing.
std::string usual_cause(double analytic, double numeric) {
  const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-6 * std::abs(b); };
  if (analytic == 0) return ": none arrives; is the value copied, or behind stop_gradient?";
  if (numeric == 0) return ": the value has no influence; does backward add to the wrong operand?";
  if (near(analytic, -numeric)) return ": the sign is wrong";
  if (near(analytic, 2 * numeric)) return ": it is counted twice";
  if (near(2 * analytic, numeric)) return ": half of it is lost";
  return "";
}

double evaluate(const ScalarProgram& loss, std::uint64_t seed) {
  Tape<double> tape(seed);
  return loss(tape).item();
}

/// df/ds at s = 0 of a function of one variable, by differences of fourth order.
template <class F>
double slope(F f, double step) {
  const double a = f(step) - f(-step), b = f(2 * step) - f(-2 * step);
  return (8 * a - b) / (12 * step);
}

/// Puts the value of a parameter back, whatever happens.
class Kept {
 public:
  explicit Kept(Parameter<double>& p) : parameter_(&p), value_(p.value()) {}
  Kept(Kept&& other) noexcept : parameter_(std::exchange(other.parameter_, nullptr)), value_(std::move(other.value_)) {}
  ~Kept() {
    if (parameter_ != nullptr) std::copy(value_.begin(), value_.end(), parameter_->edit().begin());
  }
  const Tensor<double>& value() const { return value_; }

 private:
  Parameter<double>* parameter_;
  Tensor<double> value_;
};

class Checker {
 public:
  Checker(const ScalarProgram& loss, const std::vector<Parameter<double>*>& parameters,
          const GradientCheckOptions& options)
      : loss_(loss), parameters_(parameters), options_(options), rng_(options.seed + 1) {}

  GradientReport run() {
    if (!differentiate()) return report_;
    for (std::size_t i = 0; i < parameters_.size(); ++i) check_entries(i);
    for (int k = 0; k < options_.projections && !parameters_.empty(); ++k) check_projection(k);
    if (report_.worst.error > options_.tolerance)
      fail(fmt::format("the gradient of {} at {} is {:.12g}, differences give {:.12g} (relative error {:.2g}){}",
                       report_.worst.parameter, report_.worst.index, report_.worst.analytic, report_.worst.numeric,
                       report_.worst.error, usual_cause(report_.worst.analytic, report_.worst.numeric)));
    if (!off_.empty())
      fail(fmt::format("{} of {} parameters disagree: {}", off_.size(), parameters_.size(), fmt::join(off_, ", ")));
    return report_;
  }

 private:
  void fail(std::string problem) {
    report_.passed = false;
    report_.problems.push_back(std::move(problem));
  }

  bool differentiate() {
    Tape<double> tape(options_.seed);
    const Var<double> y = loss_(tape);
    value_ = y.item();
    if (!std::isfinite(value_)) {
      const auto where = tape.find_nonfinite();
      fail(fmt::format("the loss is {}: {}", value_, where ? where->message() : "no value on the tape is"));
      return false;
    }
    if (const double again = evaluate(loss_, options_.seed); again != value_) {
      fail(fmt::format("the loss is not the same each time: {} and {}", value_, again));
      return false;
    }
    for (const Parameter<double>* used : tape.used_parameters())
      if (std::find(parameters_.begin(), parameters_.end(), used) == parameters_.end())
        fail(fmt::format("parameter {} {} was used but is not listed: is it missing from `fields`?", used->name(),
                         fmt::format("{}", used->shape())));
    Gradients<double> gradients;
    if (tape.node(y.index()).grad != nullptr) tape.backward(y, gradients);
    for (Parameter<double>* p : parameters_) {
      const Gradient<double>& g = gradients.of(*p);
      if (g.empty() && !options_.may_be_unused && !p->frozen())
        fail(fmt::format("the loss does not depend on parameter {}", p->name()));
      analytic_.push_back(g.values());
    }
    return true;
  }

  double step_for(double x) const { return options_.step > 0 ? options_.step : 2e-4 * std::max(1.0, std::abs(x)); }

  /// An error below what rounding of the loss makes of a difference quotient is no failure.
  double noise(double step) const { return 64 * 2.3e-16 * std::max(1.0, std::abs(value_)) / step; }

  void check_entries(std::size_t i) {
    Parameter<double>& p = *parameters_[i];
    if (p.frozen()) return;
    double scale = 0;
    for (const double g : analytic_[i]) scale = std::max(scale, std::abs(g));
    const Index size = p.shape().size();
    const Index count = std::min(size, options_.most_entries);
    const Kept kept(p);
    double worst = 0;
    for (Index k = 0; k < count; ++k) {
      const Index at = count == size ? k : rng_.below(size);
      const double x = p.value().data()[at];
      const double analytic = analytic_[i].data()[at];
      const auto [numeric, error] = compare(analytic, scale, step_for(x), [&](double s) {
        p.edit().data()[at] = x + s;
        return evaluate(loss_, options_.seed);
      });
      p.edit().data()[at] = x;
      ++report_.entries;
      worst = std::max(worst, error);
      if (error > report_.worst.error || report_.worst.parameter.empty())
        report_.worst = {std::string(p.name()), index_text(p.shape(), at), analytic, numeric, error};
    }
    if (worst > options_.tolerance) off_.emplace_back(p.name());
  }

  void check_projection(int k) {
    std::vector<Kept> before;
    std::vector<Tensor<double>> direction;
    double analytic = 0, scale = 0, length = 0;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      before.emplace_back(*parameters_[i]);
      direction.push_back(before.back().value());
      for (double& d : direction.back()) {
        d = parameters_[i]->frozen() ? 0 : rng_.normal();
        length += d * d;
      }
    }
    length = std::sqrt(std::max(length, 1e-300));
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      for (std::size_t j = 0; j < direction[i].size(); ++j) {
        direction[i].data()[j] /= length;
        const double term = direction[i].data()[j] * analytic_[i].data()[j];
        analytic += term;
        scale += std::abs(term);
      }
    const auto [numeric, error] = compare(analytic, scale, step_for(0), [&](double s) {
      for (std::size_t i = 0; i < parameters_.size(); ++i) {
        Tensor<double>& value = parameters_[i]->edit();
        for (std::size_t j = 0; j < value.size(); ++j)
          value.data()[j] = before[i].value().data()[j] + s * direction[i].data()[j];
      }
      return evaluate(loss_, options_.seed);
    });
    report_.worst_projection = std::max(report_.worst_projection, error);
    if (error > options_.tolerance)
      fail(fmt::format("along random direction {} the derivative is {:.12g}, differences give {:.12g}", k, analytic,
                       numeric));
  }

  struct Comparison {
    double numeric, error;
  };
  /// The difference quotient of f nearest to the derivative, and its error. Where f bends sharply or has a kink nearby,
  /// the first step reaches too far: smaller ones are tried, and a wrong derivative agrees with none of them.
  template <class F>
  Comparison compare(double analytic, double scale, double step, F f) const {
    Comparison best{0, INFINITY};
    for (int attempt = 0; attempt < (options_.step > 0 ? 1 : 4); ++attempt, step /= 8) {
      const double numeric = slope(f, step), error = relative(analytic, numeric, scale, step);
      if (attempt == 0 || error < best.error) best = {numeric, error};
      if (best.error <= options_.tolerance) break;
    }
    return best;
  }

  double relative(double analytic, double numeric, double scale, double step) const {
    const double difference = std::abs(analytic - numeric);
    if (std::isnan(difference)) return INFINITY;
    if (difference == 0) return 0;
    const double error = difference / std::max({std::abs(analytic), std::abs(numeric), scale});
    return difference > noise(step) ? error : std::min(error, options_.tolerance);
  }

  const ScalarProgram& loss_;
  const std::vector<Parameter<double>*>& parameters_;
  const GradientCheckOptions& options_;
  Rng rng_;
  double value_ = 0;
  std::vector<Tensor<double>> analytic_;
  std::vector<std::string> off_;  // parameters with an entry that differences contradict
  GradientReport report_;
};

}  // namespace

std::string GradientReport::text() const {
  std::string text =
      fmt::format("{}: {} entries compared, worst {} at {}: analytic {:.12g}, numeric {:.12g} ({:.2g})\n",
                  passed ? "gradients agree" : "gradients DISAGREE", entries, worst.parameter, worst.index,
                  worst.analytic, worst.numeric, worst.error);
  for (const std::string& p : problems) text += "  " + p + "\n";
  return text;
}

GradientReport check_gradients(const ScalarProgram& loss, const std::vector<Parameter<double>*>& parameters,
                               const GradientCheckOptions& options) {
  return Checker(loss, parameters, options).run();
}

}  // namespace unroll::inline UNROLL_ISA
