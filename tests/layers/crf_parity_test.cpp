#include <layers/compare.h>

using namespace unroll;

namespace {

template <Real T>
LinearChainCrf<T> stored_field(const Fixture& f) {
  const Tensor<double> allowed = f.at("allowed");
  const Index labels = shape_of(allowed)[0];
  LabelConstraint constraint = LabelConstraint::all(labels);
  for (Index j = 0; j < labels; ++j)
    for (Index k = 0; k < labels; ++k)
      if (allowed(j, k) == 0) constraint.forbid(j, k);
  Rng rng{1};
  LinearChainCrf<T> crf(labels, rng, std::move(constraint));
  for (Parameter<T>* p : parameters<T>(crf)) p->edit() = f.as<T>("param/" + p->path());
  return crf;
}

/// Arrays of whole numbers, stored as any other.
template <class I>
std::vector<I> whole(const Tensor<double>& x) {
  return std::vector<I>(x.begin(), x.end());
}

template <Real T>
void expect_parity(const std::string& name) {
  const Fixture f(name);
  const LinearChainCrf<T> crf = stored_field<T>(f);
  const auto lengths = whole<Index>(f.at("lengths"));
  const auto labels = whole<std::int32_t>(f.at("labels"));
  Tape<T> tape;
  // What the padding holds is not read.
  Tensor<T> x = f.as<T>("emissions");
  for (std::size_t b = 0; b < lengths.size(); ++b)
    for (Index t = lengths[b]; t < shape_of(x)[0]; ++t)
      for (Index k = 0; k < crf.labels(); ++k) x(t, b, k) = std::numeric_limits<T>::quiet_NaN();
  const Var<T> v = tape.variable(x), z = crf.log_partition(v, lengths), s = crf.score(v, labels, lengths),
               h = crf.entropy(v, lengths), mu = crf.marginals(v, lengths);
  f.expect("log_partition", z.value());
  f.expect("score", s.value());
  f.expect("entropy", h.value());
  f.expect("marginals", mu.value());
  CHECK(distance(crf.log_likelihood(v, labels, lengths).value(),
                 Tensor<double>(f.at("score") - f.at("log_partition"))) <= 4 * parity_tolerance<T>);
  const auto weighted = [&](Var<T> y, const char* seed) { return Var<T>(sum(y * tape.constant(f.as<T>(seed)))); };
  tape.backward(weighted(z, "seed_log_partition") + weighted(s, "seed_score") + weighted(h, "seed_entropy") +
                weighted(mu, "seed_marginals"));
  f.expect("grad/emissions", v.grad());
  f.expect("grad/param/transitions", crf.transitions.grad());
  f.expect("grad/param/start", crf.start.grad());
  f.expect("grad/param/end", crf.end.grad());
}

}  // namespace

TEST_CASE("crf: values and gradients agree with NumPy's over all paths") {
  for (const char* name : {"crf_plain", "crf_constrained"}) {
    CAPTURE(name);
    expect_parity<double>(name);
    expect_parity<float>(name);
  }
}
