#include <numeric>

#include <unroll/autograd/ops/select_rows.h>
#include <unroll/autograd/tensor/simd.h>

namespace unroll::inline UNROLL_ISA::detail {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// How rows of x were selected, or null.
template <Real T>
const SelectRows<T>* selection(Var<T> x) {
  const Node<T>& n = x.tape().node(x.index());
  if (n.rule == nullptr) return nullptr;
  if (n.op == &op_of<T, Lookup<T>>) return static_cast<const Lookup<T>*>(n.rule);
  if (n.op == &op_of<T, GatherRows<T>>) return static_cast<const GatherRows<T>*>(n.rule);
  return nullptr;
}

template <Real T>
void copy_or_zero(View<const T> from, Index row, T* to) {
  if (row < 0)
    std::fill_n(to, from.cols, T(0));
  else
    std::copy_n(from.row(row), from.cols, to);
}

/// Adds row i of d to the row that is row_of(rows[i]).
template <Real T, class F>
void scatter(View<const T> d, std::span<const Index> rows, F row_of) {
  for (Index i = 0; i < d.rows; ++i)
    if (const Index row = rows[at(i)]; row >= 0) simd::add_scaled(T(1), d.row(i), row_of(row), d.cols);
}

/// The same to the gradient of x, if that is a parameter: only the rows that are reached are touched.
template <Real T>
bool scatter_to_parameter(View<const T> d, std::span<const Index> rows, Var<T> x) {
  const Tape<T>& tape = x.tape();
  if (tape.whole_parameter_of(x.index()) == nullptr) return false;
  Gradient<T>* const sink = tape.sink_of(x.index());
  scatter<T>(d, rows, [&](Index row) { return sink->row(row); });
  return true;
}

}  // namespace

template <Real T>
void SelectRows<T>::select(View<T> to) const {
  for (Index r = 0; r < to.rows; ++r) copy_or_zero<T>(values(x), rows[at(r)], to.row(r));
}

template <Real T>
void SelectRows<T>::add_back(View<const T> d) const {
  if (scatter_to_parameter(d, rows, x)) return;
  Tape<T>& tape = x.tape();
  const auto [dx, fresh] = tape.claim_gradient(x.index());
  if (!fresh) return scatter<T>(d, rows, [dx = dx](Index row) { return dx.row(row); });
  const std::span<bool> written = tape.template scratch<bool>(dx.rows);
  std::ranges::fill(written, false);
  for (Index i = 0; i < d.rows; ++i) {
    const Index row = rows[at(i)];
    if (row < 0) continue;
    if (std::exchange(written[at(row)], true))
      simd::add_scaled(T(1), d.row(i), dx.row(row), d.cols);
    else
      std::copy_n(d.row(i), d.cols, dx.row(row));
  }
  for (Index row = 0; row < dx.rows; ++row)
    if (!written[at(row)]) std::fill_n(dx.row(row), dx.cols, T(0));
}

template <Real T>
void GatherRowsBeside<T>::forward(Var<T> y) const {
  Index first = 0;
  for (const SelectRows<T>& part : parts) {
    const Index end = first + values(part.x).cols;
    part.select(result(y).columns_between(first, end));
    first = end;
  }
}

template <Real T>
void GatherRowsBeside<T>::backward(Var<T> y) const {
  Index first = 0;
  for (const SelectRows<T>& part : parts) {
    const Index end = first + values(part.x).cols;
    if (wanted(part.x)) part.add_back(gradient(y).columns_between(first, end));
    first = end;
  }
}

template <Real T>
const DistinctRows<T>* DistinctRows<T>::of(Var<T> x) {
  constexpr Index few = 32;           // rows of which nothing is saved
  constexpr std::size_t longest = 8;  // selections of selections that are looked through
  constexpr Index far = 64;           // rows of a source for each row of x that are not worth looking through
  Tape<T>& tape = x.tape();
  std::array<Var<T>, longest> passed;
  std::size_t length = 0;
  Var<T> source = x;
  for (const SelectRows<T>* by = selection(x); by != nullptr && length < longest; by = selection(source)) {
    passed[length++] = source;
    source = by->x;
  }
  if (length == 0) return nullptr;
  const Index count = tape.node(x.index()).shape.rows(), source_rows = tape.node(source.index()).shape.rows();
  if (count < few || source_rows > far * count || !tape.is_current(source.index())) return nullptr;

  // One counting sort: place[s + 1] counts row s of the source, and then says where its rows begin.
  const std::span<Index> memory = tape.template scratch<Index>(count + source_rows + 1);
  const std::span<Index> rows = memory.first(at(count)), place = memory.subspan(at(count));
  std::fill(place.begin(), place.end(), Index{0});
  std::iota(rows.begin(), rows.end(), Index{0});
  for (const Var<T>& v : std::span(passed).first(length))
    for (Index& row : rows) row = row < 0 ? row : selection(v)->rows[at(row)];
  for (const Index row : rows) ++place[at(row + 1)];
  const Index distinct = std::ranges::count_if(place, [](Index n) { return n > 0; });
  if (2 * distinct > count) return nullptr;

  const auto sources = tape.template room<Index>(distinct), begins = tape.template room<Index>(distinct + 1),
             order = tape.template room<Index>(count);
  Index found = 0, begin = 0;
  for (Index s = -1; s < source_rows; ++s) {
    Index& n = place[at(s + 1)];
    if (n == 0) continue;
    sources[at(found)] = s;
    begins[at(found++)] = begin;
    begin += std::exchange(n, begin);
  }
  begins[at(distinct)] = count;
  for (Index r = 0; r < count; ++r) order[at(place[at(rows[at(r)] + 1)]++)] = r;

  DistinctRows result;
  result.source_ = source;
  result.between_ = tape.keep(std::span<const Var<T>>(passed).first(length));
  result.sources_ = sources;
  result.begins_ = begins;
  result.order_ = order;
  return tape.keep(std::span<const DistinctRows>(&result, 1)).data();
}

template <Real T>
std::span<const Index> DistinctRows<T>::group(Index i) const {
  return order_.subspan(at(begins_[at(i)]), at(begins_[at(i + 1)] - begins_[at(i)]));
}

template <Real T>
void DistinctRows<T>::gather(Index first, View<T> to) const {
  for (Index i = 0; i < to.rows; ++i) copy_or_zero<T>(values(source_), sources_[at(first + i)], to.row(i));
}

template <Real T>
void DistinctRows<T>::spread(Index first, View<const T> from, View<T> y) const {
  for (Index i = 0; i < from.rows; ++i)
    for (const Index r : group(first + i)) std::copy_n(from.row(i), from.cols, y.row(r));
}

template <Real T>
void DistinctRows<T>::point(Index first, View<const T> from, std::span<const T*> y) const {
  for (Index i = 0; i < from.rows; ++i)
    for (const Index r : group(first + i)) y[at(r)] = from.row(i);
}

template <Real T>
void DistinctRows<T>::collect(Index first, View<const T> dy, View<T> to) const {
  for (Index i = 0; i < to.rows; ++i) {
    const std::span<const Index> rows = group(first + i);
    std::copy_n(dy.row(rows[0]), to.cols, to.row(i));
    for (const Index r : rows.subspan(1)) simd::add_scaled(T(1), dy.row(r), to.row(i), to.cols);
  }
}

template <Real T>
void DistinctRows<T>::add_to_source(Index first, View<const T> d) const {
  const std::span<const Index> rows = sources_.subspan(at(first), at(d.rows));
  if (scatter_to_parameter(d, rows, source_)) return;
  const View<T> to = gradient(source_);
  scatter<T>(d, rows, [&](Index row) { return to.row(row); });
}

template <Real T>
void DistinctRows<T>::add_between(std::size_t k, View<const T> d) const {
  const View<T> to = gradient(between_[k]);
  for (Index r = 0; r < d.rows; ++r) {
    Index row = r;
    for (std::size_t i = 0; i < k && row >= 0; ++i) row = selection(between_[i])->rows[at(row)];
    if (row >= 0) simd::add_scaled(T(1), d.row(r), to.row(row), d.cols);
  }
}

template struct SelectRows<float>;
template struct SelectRows<double>;
template struct GatherRowsBeside<float>;
template struct GatherRowsBeside<double>;
template class DistinctRows<float>;
template class DistinctRows<double>;

}  // namespace unroll::inline UNROLL_ISA::detail
