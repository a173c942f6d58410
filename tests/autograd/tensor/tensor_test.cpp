#include <doctest/doctest.h>

#include <unroll/autograd/tensor/tensor.h>
#include <xtensor/xview.hpp>

#include <numeric>

using namespace unroll;

namespace {

std::vector<double> counted(std::size_t n) {
  std::vector<double> v(n);
  std::iota(v.begin(), v.end(), 0.0);
  return v;
}

}  // namespace

TEST_CASE("tensor: the shape of any xtensor expression") {
  const Tensor<float> t = make_tensor<float>({2, 3}, 1.5F);
  CHECK(shape_of(t) == Shape{2, 3});
  CHECK(shape_of(t + t) == Shape{2, 3});
  CHECK(shape_of(Tensor<float>(1.0F)) == Shape{});
  CHECK(t(1, 2) == 1.5F);
  const xt::xarray<float> deep = xt::zeros<float>({1, 1, 1, 1, 1, 1, 1, 1});
  CHECK_THROWS_AS(shape_of(deep), ShapeError);
}

TEST_CASE("tensor: a view is rows of adjacent elements") {
  Tensor<double> t = make_tensor<double>({2, 3, 4});
  std::iota(t.begin(), t.end(), 0.0);
  const View<double> v = view_of(t);
  CHECK(v.rows == 6);
  CHECK(v.cols == 4);
  CHECK(v.size() == 24);
  CHECK(v.contiguous());
  CHECK(v.row(5)[3] == 23);
  CHECK(v.rows_between(2, 4).row(1)[0] == 12);
  CHECK_FALSE(View<double>{t.data(), 6, 2, 4}.contiguous());
  CHECK(View<double>{t.data(), 1, 2, 4}.contiguous());
  const View<const double> read_only = v;
  CHECK(read_only.data == v.data);
}

TEST_CASE("tensor: an adaptor reads and writes memory where it lies") {
  std::vector<double> memory = counted(24);
  auto whole = adapt(memory.data(), {2, 3, 4}, 4);
  CHECK(whole(1, 2, 3) == 23);
  whole(0, 1, 0) = -1;
  CHECK(memory[4] == -1);
  CHECK(adapt(memory.data() + 7, {}, 1)() == 7);
  CHECK(adapt(memory.data(), {4}, 99)(3) == 3);
}

TEST_CASE("tensor: an adaptor over columns of a wider array behaves as an array of their own") {
  const std::vector<double> memory = counted(60);
  const auto part = adapt(memory.data() + 1, {2, 3, 4}, 10);  // columns 1 .. 4 of [2, 3, 10]
  const Tensor<double> want =
      Tensor<double>(xt::view(xt::adapt(memory, {2, 3, 10}), xt::all(), xt::all(), xt::range(1, 5)));
  CHECK(part.size() == 24);
  CHECK(part(1, 2, 3) == 54);
  CHECK(part == want);
  CHECK(Tensor<double>(part) == want);
  CHECK(Tensor<double>(part * 2.0 + 1.0) == Tensor<double>(want * 2.0 + 1.0));
  CHECK(xt::sum(part)() == xt::sum(want)());
  CHECK(xt::amax(part)() == 54);
  double total = 0;
  for (const double x : part) total += x;
  CHECK(total == xt::sum(want)());
  CHECK(Tensor<double>(xt::view(part, 1)) == Tensor<double>(xt::view(want, 1)));
}

TEST_CASE("tensor: an adaptor over one column, one row, and nothing") {
  std::vector<double> memory = counted(30);
  const auto column = adapt(memory.data() + 2, {3, 1}, 10);
  CHECK(column(0, 0) == 2);
  CHECK(column(2, 0) == 22);
  CHECK(xt::sum(column)() == 36);
  CHECK(adapt(memory.data() + 2, {1, 3}, 10) == Tensor<double>{{2, 3, 4}});
  CHECK(adapt(memory.data(), {0, 3}, 10).size() == 0);
  CHECK(adapt(memory.data(), {3, 0}, 10).size() == 0);
  double total = 0;
  for (const double x : adapt(memory.data(), {3, 0}, 10)) total += x;
  CHECK(total == 0);
}
