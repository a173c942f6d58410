#include <unroll/autograd/tape/deferred_products.h>

#include <algorithm>

#include <unroll/autograd/tensor/gemm_rows.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

/// Whether `next` continues the rectangle `run` in memory; extends it if so.
template <Real T>
bool extend(View<const T>& run, const View<const T>& next) {
  if (next.cols != run.cols) return false;
  if (run.rows == 1 && next.rows == 1) {
    if (next.data - run.data < run.cols) return false;
    run.stride = next.data - run.data;
  } else {
    const Index stride = run.rows == 1 ? next.stride : run.stride;
    if (next.rows > 1 && next.stride != stride) return false;
    if (next.data != run.data + run.rows * stride) return false;
    run.stride = stride;
  }
  run.rows += next.rows;
  return true;
}

}  // namespace

template <Real T>
void DeferredProducts<T>::start(std::size_t nodes) {
  places_.assign(nodes, 0);
  used_ = 0;
}

template <Real T>
Index DeferredProducts<T>::add(std::uint32_t node, View<const T> a, View<const T> b) {
  if (places_[node] == 0) {
    if (used_ == entries_.size()) entries_.emplace_back();
    places_[node] = ++used_;
    entry(node).list.clear();
    entry(node).rows = 0;
  }
  Entry& waiting = entry(node);
  waiting.list.push_back({a, b});
  return waiting.rows += a.rows;
}

template <Real T>
void DeferredProducts<T>::flush(std::uint32_t node, View<T> gradient, bool overwrite, Arena& scratch) {
  std::vector<Product>& list = entry(node).list;
  const Product first = list.front();
  std::erase_if(list, [](const Product& p) { return p.a.rows == 0; });
  if (list.empty()) list.push_back(first);
  std::reverse(list.begin(), list.end());  // in the order of time, so that runs grow upwards in memory
  for (std::size_t i = 0; i < list.size();) {
    View<const T> a = list[i].a, b = list[i].b;
    std::size_t end = i + 1;
    for (; end < list.size(); ++end) {
      View<const T> longer_a = a, longer_b = b;
      if (!extend(longer_a, list[end].a) || !extend(longer_b, list[end].b)) break;
      a = longer_a;
      b = longer_b;
    }
    // Any two rows are evenly laid out; a product of so few is worth less than that of all that follow.
    constexpr Index few = 8;
    if ((end > i + 1 && a.rows >= few) || end == list.size()) {
      gemm<T>(Trans::yes, a, Trans::no, b, gradient, !overwrite);
    } else {
      // Not evenly laid out: row by row, all that follows; but an operand that is one run, where it lies.
      Index rows = a.rows;
      bool run_of_b = true;
      for (; end < list.size(); ++end) {
        run_of_b = run_of_b && extend(b, list[end].b);
        rows += list[end].a.rows;
      }
      const auto rows_of = [&](View<const T> Product::*side) {
        const T** const at = scratch.allocate<const T*>(static_cast<std::size_t>(rows));
        const T** row = at;
        for (std::size_t k = i; k < end; ++k)
          for (Index r = 0; r < (list[k].*side).rows; ++r) *row++ = (list[k].*side).row(r);
        return RowList<T>{at, rows, (list[i].*side).cols};
      };
      if (run_of_b)
        gemm_rows<T>(rows_of(&Product::a), b, gradient, !overwrite);
      else
        gemm_rows<T>(rows_of(&Product::a), rows_of(&Product::b), gradient, !overwrite);
    }
    overwrite = false;
    scratch.rewind();
    i = end;
  }
  list.clear();
  entry(node).rows = 0;
}

template class DeferredProducts<float>;
template class DeferredProducts<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
