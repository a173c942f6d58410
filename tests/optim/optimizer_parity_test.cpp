#include <layers/compare.h>
#include <unroll/optim/optim.h>

using namespace unroll;

// Step by step against PyTorch 2.13.

namespace {

template <Real T, class Make>
void compare(const std::string& file, Make make) {
  CAPTURE(file);
  const Fixture f(file);
  const Tensor<T> gradients = f.as<T>("grads");
  Parameter<T> x(f.as<T>("param0"));
  auto optimizer = make(std::vector<Parameter<T>*>{&x}, f);
  Tensor<T> path = make_tensor<T>(shape_of(gradients));
  for (std::size_t step = 0; step < 6; ++step) {
    std::copy_n(gradients.data() + 5 * step, 5, x.gradient().dense().data);
    optimizer.step();
    std::copy_n(x.value().data(), 5, path.data() + 5 * step);
  }
  f.expect("params", path);
}

}  // namespace

TEST_CASE_TEMPLATE("parity: sgd with momentum agrees with pytorch", T, float, double) {
  for (const bool nesterov : {false, true})
    compare<T>(nesterov ? "optim_sgd_nesterov" : "optim_sgd_momentum", [&](auto parameters, const Fixture& f) {
      return SGD<T>(parameters, {.rate = f.number("lr"), .momentum = f.number("momentum"), .nesterov = nesterov});
    });
}

TEST_CASE_TEMPLATE("parity: rmsprop agrees with pytorch", T, float, double) {
  compare<T>("optim_rmsprop", [](auto parameters, const Fixture& f) {
    return RMSProp<T>(parameters, {.rate = f.number("lr"), .decay = f.number("alpha"), .epsilon = f.number("eps")});
  });
}

TEST_CASE_TEMPLATE("parity: adagrad agrees with pytorch", T, float, double) {
  compare<T>("optim_adagrad", [](auto parameters, const Fixture& f) {
    return Adagrad<T>(parameters, {.rate = f.number("lr"), .epsilon = f.number("eps")});
  });
}

TEST_CASE_TEMPLATE("parity: adam and adamw agree with pytorch", T, float, double) {
  const auto options = [](const Fixture& f, auto o) {
    o.rate = f.number("lr");
    o.beta1 = f.number("beta1");
    o.beta2 = f.number("beta2");
    o.epsilon = f.number("eps");
    o.weight_decay = f.number("weight_decay");
    return o;
  };
  compare<T>("optim_adam",
             [&](auto parameters, const Fixture& f) { return Adam<T>(parameters, options(f, AdamMethod::Options{})); });
  compare<T>("optim_adamw", [&](auto parameters, const Fixture& f) {
    return AdamW<T>(parameters, options(f, AdamWMethod::Options{}));
  });
}
