#include <unroll/autograd/tape/tape.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <unroll/autograd/tensor/denormals.h>
#include <unroll/autograd/tensor/gemm_rows.h>

namespace unroll::inline UNROLL_ISA {
namespace {

template <Real T>
constexpr Op<T> constant_op{"constant", nullptr, nullptr};
template <Real T>
constexpr Op<T> variable_op{"variable", nullptr, nullptr};
template <Real T>
constexpr Op<T> parameter_op{"parameter", nullptr, nullptr};

/// A path without its last `inside` names.
std::string owner_of(const std::string& path, int inside) {
  auto end = path.size();
  for (int i = 0; i < inside && end != std::string::npos; ++i) end = end == 0 ? end : path.rfind('/', end - 1);
  return end == std::string::npos ? "" : path.substr(0, end);
}

}  // namespace

std::string NonFinite::message() const {
  return fmt::format("{} gave the first value that is not finite: element {} of {}{}{} (node {})", op, element, shape,
                     place.empty() ? "" : " ", place, node);
}

template <Real T>
Gradient<T>& Gradients<T>::of(const Parameter<T>& parameter) {
  for (auto& [p, gradient] : entries_)
    if (p == &parameter) return *gradient;
  entries_.emplace_back(&parameter, std::make_unique<Gradient<T>>(parameter.shape()));
  return *entries_.back().second;
}

template <Real T>
void Gradients<T>::deliver(Workers* workers) {
  const auto deliver_one = [&](Index i) {
    const auto& [parameter, gradient] = entries_[static_cast<std::size_t>(i)];
    parameter->gradient().add(*gradient);
    gradient->clear();
  };
  run(workers, static_cast<Index>(entries_.size()), deliver_one);
}

// Handles

template <Real T>
Shape Var<T>::shape() const {
  return tape().checked(*this, "shape").shape;
}

template <Real T>
View<const T> Var<T>::values() const {
  return tape().checked(*this, "value").values();
}

template <Real T>
View<const T> Var<T>::gradients() const {
  Tape<T>& t = tape();
  const Node<T>& n = t.checked(*this, "grad");
  t.template require<TapeError>(n.grad != nullptr, "grad: no gradient is kept for this {} (enter it with variable())",
                                n.op->name);
  if (const Parameter<T>* parameter = t.parameter_of(index_)) {
    const Node<T>& leaf = t.nodes_[t.leaves_[n.leaf - 1].node];
    return {parameter->grad().data() + (n.value - leaf.value), n.shape.rows(), n.shape.cols(), n.stride};
  }
  t.reached_.resize(t.flag_count_);
  t.settle(index_);
  return t.gradient_of(index_);
}

template <Real T>
T Var<T>::item() const {
  const Node<T>& n = tape().checked(*this, "item");
  tape().template require<ShapeError>(n.shape.size() == 1, "item: one element is needed, not {}", n.shape);
  return n.value[0];
}

template <Real T>
Var<T> Var<T>::operator[](Index t) const {
  const Node<T>& n = tape().checked(*this, "index");
  tape().template require<ShapeError>(n.shape.rank() > 0, "index: a scalar has no elements");
  const Index extent = n.shape[0];
  tape().template require<IndexError>(t >= -extent && t < extent, "index: {} is outside 0 .. {} of {}", t, extent - 1,
                                      n.shape);
  const Index at = t < 0 ? t + extent : t;
  const Shape rest = n.shape.without(0);
  const Index offset = n.shape.rank() == 1 ? at : at * rest.rows() * n.stride;
  return tape().alias("step", *this, rest, offset, n.stride);
}

// Memory

template <Real T>
Node<T>& Tape<T>::push_node(const Op<T>& op, const Shape& shape, const Memory& memory, bool wants_gradient) {
  require<TapeError>(!sweeping_, "{}: nothing can be recorded while backward runs", op.name);
  require<TapeError>(nodes_.size() < UINT32_MAX - 1, "{}: the tape is full", op.name);
  nodes_.emplace_back(memory.value, wants_gradient && recording_ ? memory.grad : nullptr, shape.cols(), shape, &op,
                      /*rule=*/nullptr, /*inputs=*/nullptr, /*input_count=*/0u, memory.block);
  // Nodes move now, for the next one, and not when it comes: its shape may be that of a node.
  if (nodes_.size() == nodes_.capacity()) [[unlikely]]
    nodes_.reserve(2 * nodes_.size());
  return nodes_.back();
}

template <Real T>
auto Tape<T>::add_block(const Shape& shape) -> Memory {
  const auto memory = values_.allocate(static_cast<std::size_t>(shape.size()) * sizeof(T));
  Block& block = blocks_.emplace_back();
  block.grad = reinterpret_cast<T*>(memory.twin);
  block.unit = shape.size();
  block.flag = flag_count_;
  block.owner = static_cast<std::uint32_t>(nodes_.size());
  // A sequence is zeroed step by step, as the gradient of each step first arrives.
  if (shape.rank() >= 3 && shape.size() > 0) {
    block.units = static_cast<std::uint32_t>(shape[0]);
    block.unit /= shape[0];
  }
  flag_count_ += block.units;
  return {reinterpret_cast<T*>(memory.data), block.grad, static_cast<std::uint32_t>(blocks_.size() - 1)};
}

template <Real T>
auto Tape<T>::reserve(const Shape& shape) -> Slab {
  return {add_block(shape), shape};
}

template <Real T>
void Tape<T>::await(const Slab& slab, Index offset, const Shape& shape, std::uint32_t ahead) {
  const auto& [value, grad, block] = slab.memory;
  awaited_ = {nodes_.size() + ahead, shape, {value + offset, grad + offset, block}, true};
}

template <Real T>
Var<T> Tape<T>::whole(const Slab& slab, std::span<const Var<T>> parts) {
  static constexpr Op<T> op{"stack", nullptr, nullptr};
  bool wants = false;
  for (const Var<T>& part : parts) {
    const Node<T>& n = checked(part, op.name);
    note_read(n);
    wants = wants || n.grad != nullptr;
  }
  keep_inputs(push_node(op, slab.shape, slab.memory, wants), parts);
  return var(static_cast<std::uint32_t>(nodes_.size() - 1));
}

template <Real T>
void Tape<T>::keep_inputs(Node<T>& n, std::span<const Var<T>> inputs) {
  if (n.grad == nullptr) return;
  std::uint32_t* indices = payloads_.allocate<std::uint32_t>(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) indices[i] = inputs[i].index();
  n.inputs = indices;
  n.input_count = static_cast<std::uint32_t>(inputs.size());
}

template <Real T>
Var<T> Tape<T>::append(const Op<T>& op, const Shape& shape, std::span<const Var<T>> inputs) {
  bool wants = false;
  for (const Var<T>& input : inputs) {
    const Node<T>& n = checked(input, op.name);
    note_read(n);
    wants = wants || n.grad != nullptr;
  }
  keep_inputs(push_node(op, shape, memory_for(shape), wants), inputs);
  return var(static_cast<std::uint32_t>(nodes_.size() - 1));
}

template <Real T>
Var<T> Tape<T>::append_over(const Op<T>& op, Var<T> x, std::span<const Var<T>> inputs) {
  for (const Var<T>& input : inputs.subspan(1)) note_read(checked(input, op.name));
  const Node<T> from = nodes_[x.index()];
  Node<T>& n = push_node(op, from.shape, {from.value, from.grad, from.block}, true);
  n.stride = from.stride;
  n.over = true;
  keep_inputs(n, inputs);
  return var(static_cast<std::uint32_t>(nodes_.size() - 1));
}

template <Real T>
Var<T> Tape<T>::alias(const char* name, Var<T> x, const Shape& shape, Index offset, Index stride) {
  const Node<T> from = checked(x, name);
  // One Op per name; names are string literals, and there are few.
  const Op<T>* op = nullptr;
  for (const auto& known : alias_ops_)
    if (known->name == name) op = known.get();
  if (op == nullptr) op = alias_ops_.emplace_back(std::make_unique<Op<T>>(Op<T>{name, nullptr, nullptr})).get();
  T* const grad = from.grad == nullptr ? nullptr : from.grad + offset;
  Node<T>& n = push_node(*op, shape, {from.value + offset, grad, from.block}, true);
  n.stride = stride;
  n.leaf = from.leaf;
  n.exclusive = from.exclusive;
  n.over = from.over;
  const std::array<Var<T>, 1> inputs{x};
  keep_inputs(n, inputs);
  return var(static_cast<std::uint32_t>(nodes_.size() - 1));
}

template <Real T>
Var<T> Tape<T>::detach(Var<T> x) {
  const Var<T> y = alias("stop_gradient", x, checked(x, "stop_gradient").shape, 0, nodes_[x.index()].stride);
  Node<T>& n = nodes_[y.index()];
  note_read(n);
  n.grad = nullptr;
  n.leaf = 0;
  n.exclusive = 0;
  return y;
}

template <Real T>
Var<T> Tape<T>::enter_empty(const Shape& shape, bool wanted) {
  push_node(wanted ? variable_op<T> : constant_op<T>, shape, add_block(shape), wanted);
  return var(static_cast<std::uint32_t>(nodes_.size() - 1));
}

template <Real T>
Var<T> Tape<T>::enter(const Shape& shape, std::span<const T> values, bool wanted) {
  require<ShapeError>(static_cast<Index>(values.size()) == shape.size(), "constant: {} values for the shape {}",
                      values.size(), shape);
  const Var<T> v = enter_empty(shape, wanted);
  std::copy(values.begin(), values.end(), nodes_[v.index()].value);
  return v;
}

template <Real T>
Var<T> Tape<T>::variable(T value) {
  return enter({}, std::span<const T>(&value, 1), true);
}

template <Real T>
Var<T> Tape<T>::filled(const Shape& shape, T value) {
  const Var<T> v = enter_empty(shape, false);
  std::fill_n(nodes_[v.index()].value, shape.size(), value);
  return v;
}

template <Real T>
std::size_t Tape<T>::leaf_slot(const Parameter<T>* parameter) const {
  const std::size_t mask = leaf_table_.size() - 1;
  std::size_t slot = (reinterpret_cast<std::uintptr_t>(parameter) >> 6) * 0x9E3779B97F4A7C15ULL >> 32 & mask;
  while (leaf_table_[slot] != 0 && leaves_[leaf_table_[slot] - 1].parameter != parameter) slot = (slot + 1) & mask;
  return slot;
}

template <Real T>
void Tape<T>::grow_leaf_table() {
  leaf_table_.assign(std::max<std::size_t>(64, leaf_table_.size() * 2), 0);
  for (std::size_t i = 0; i < leaves_.size(); ++i)
    leaf_table_[leaf_slot(leaves_[i].parameter)] = static_cast<std::uint32_t>(i + 1);
}

template <Real T>
Tape<T>::Substitution::Substitution(Tape& tape, std::vector<const Parameter<T>*> parameters, Function of)
    : tape_(&tape),
      parameters_(std::move(parameters)),
      values_(parameters_.size()),
      of_(std::move(of)),
      outer_(std::exchange(tape.substitution_, this)) {}

template <Real T>
Tape<T>::Substitution::Substitution(Substitution&& other) noexcept
    : tape_(std::exchange(other.tape_, nullptr)),
      parameters_(std::move(other.parameters_)),
      values_(std::move(other.values_)),
      of_(std::move(other.of_)),
      outer_(other.outer_) {
  for (Substitution** s = &tape_->substitution_; *s != nullptr; s = &(*s)->outer_)
    if (*s == &other) {
      *s = this;
      break;
    }
}

template <Real T>
Tape<T>::Substitution::~Substitution() {
  if (tape_ == nullptr) return;
  for (Substitution** s = &tape_->substitution_; *s != nullptr; s = &(*s)->outer_)
    if (*s == this) {
      *s = outer_;
      break;
    }
}

template <Real T>
Var<T> Tape<T>::use(const Parameter<T>& parameter) {
  for (Substitution* s = substitution_; s != nullptr; s = s->outer_)
    for (std::size_t i = 0; i < s->parameters_.size(); ++i)
      if (s->parameters_[i] == &parameter) {
        if (!s->values_[i].empty()) return s->values_[i];
        Substitution* const innermost = std::exchange(substitution_, s->outer_);
        const Var<T> own = use(parameter);
        substitution_ = innermost;
        return s->values_[i] = s->of_(own);
      }
  return leaf_of(parameter);
}

template <Real T>
Var<T> Tape<T>::leaf_of(const Parameter<T>& parameter) {
  if (2 * leaves_.size() >= leaf_table_.size()) grow_leaf_table();
  const std::size_t slot = leaf_slot(&parameter);
  if (const std::uint32_t known = leaf_table_[slot]; known != 0 && leaves_[known - 1].version == parameter.version())
    return var(leaves_[known - 1].node);
  require<ShapeError>(parameter.shape().size() > 0, "parameter: {} has no elements", parameter.name());
  T* const value = const_cast<T*>(parameter.value().data());
  // Where its gradient lies is known in backward: until then any address says that one is wanted.
  Node<T>& n = push_node(parameter_op<T>, parameter.shape(), {value, value, 0}, !parameter.frozen());
  leaves_.push_back({static_cast<std::uint32_t>(nodes_.size() - 1), &parameter, parameter.version(), nullptr});
  n.leaf = static_cast<std::uint32_t>(leaves_.size());
  leaf_table_[slot] = n.leaf;
  return var(leaves_.back().node);
}

template <Real T>
void Tape<T>::rewind() {
  require<TapeError>(!sweeping_, "rewind: backward is running");
  forget();
  ++epoch_;
}

template <Real T>
void Tape<T>::forget() {
  nodes_.clear();
  nodes_.reserve(64);
  blocks_.assign(1, {.read = true});  // of nodes without memory of their own: parameters
  flag_count_ = 1;
  leaves_.clear();
  std::fill(leaf_table_.begin(), leaf_table_.end(), 0);
  places_.assign(1, {});
  exclusives_.clear();
  reached_.start(0);
  debts_.clear();
  lent_.clear();
  awaited_.expected = false;
  inner_bytes_ = 0;
  if (inner_ != nullptr) inner_->rewind();
  values_.rewind();
  payloads_.rewind();
}

template <Real T>
std::size_t Tape<T>::bytes() const {
  return values_.used() * (recording_ ? 2 : 1) + payloads_.used() + nodes_.size() * sizeof(Node<T>) +
         blocks_.size() * sizeof(Block) + std::max(inner_bytes_, inner_ == nullptr ? 0 : inner_->bytes());
}

template <Real T>
std::vector<const Parameter<T>*> Tape<T>::used_parameters() const {
  std::vector<const Parameter<T>*> result;
  for (const Leaf& leaf : leaves_) result.push_back(leaf.parameter);
  return result;
}

// Checks and places

template <Real T>
const Node<T>& Tape<T>::examined(const Var<T>& v, const char* op) const {
  require<TapeError>(!v.empty(), "{}: this handle was never given a value", op);
  require<TapeError>(&v.tape() == this, "{}: this value is on another tape", op);
  require<TapeError>(v.epoch() == epoch_, "{}: this value is gone, its tape was rewound", op);
  const Node<T>& n = nodes_[v.index()];
  if (n.exclusive != 0) {
    const Exclusive& e = exclusives_[n.exclusive - 1];
    const auto [first, last] = columns_of(n, e);
    for (int i = 0; i < e.count; ++i)
      require<TapeError>(!e.ranges[static_cast<std::size_t>(i)].overlaps(first, last) ||
                             !e.ranges[static_cast<std::size_t>(i)].consumed,
                         "{}: this slice was consumed, addmm has put its result there", op);
  }
  return n;
}

template <Real T>
std::string Tape<T>::place_of(const Place& place) const {
  const std::string owner = place.parameter_path == nullptr ? "" : owner_of(*place.parameter_path, place.inside);
  if (owner.empty() && place.step < 0) return "";
  if (owner.empty()) return fmt::format("in step {}", place.step);
  return place.step < 0 ? "in " + owner : fmt::format("in {}, step {}", owner, place.step);
}

template <Real T>
std::string Tape<T>::place_of(std::uint32_t index) const {
  const Node<T>& n = nodes_[index];
  const auto later = std::ranges::upper_bound(places_, index, {}, &Placed::first);
  Place place = std::prev(later)->place;
  for (std::uint32_t i = 0; i < n.input_count; ++i)
    if (const Parameter<T>* p = parameter_of(n.inputs[i]); p != nullptr && !p->path().empty() && place.step < 0)
      place = {&p->path(), 1, -1};
  return place_of(place);
}

template <Real T>
std::string Tape<T>::located(std::string message, std::span<const Var<T>> inputs) const {
  Place place = current_place();
  for (const Var<T>& v : inputs)
    if (!v.empty() && &v.tape() == this && v.epoch() == epoch_)
      if (const Parameter<T>* p = parameter_of(v.index()); p != nullptr && !p->path().empty() && place.step < 0)
        place = {&p->path(), 1, -1};
  const std::string where = place_of(place);
  return where.empty() ? message : fmt::format("{} ({})", message, where);
}

template <Real T>
Place Tape<T>::enter_place(Place place) {
  const Place before = current_place();
  places_.push_back({place, mark()});
  return before;
}

template <Real T>
const Parameter<T>* Tape<T>::parameter_of(std::uint32_t index) const {
  const Node<T>& n = nodes_[index];
  return n.leaf == 0 ? nullptr : leaves_[n.leaf - 1].parameter;
}

template <Real T>
const Parameter<T>* Tape<T>::whole_parameter_of(std::uint32_t index) const {
  const Parameter<T>* const parameter = parameter_of(index);
  return parameter != nullptr && nodes_[index].shape == parameter->shape() ? parameter : nullptr;
}

template <Real T>
Gradient<T>* Tape<T>::sink_of(std::uint32_t index) const {
  const Node<T>& n = nodes_[index];
  return n.leaf == 0 ? nullptr : leaves_[n.leaf - 1].sink;
}

template <Real T>
std::unique_ptr<NonFinite> Tape<T>::find_nonfinite() const {
  // What addmm has put over an earlier value is its own, not that of the node that was there.
  const auto overwritten = [&](std::uint32_t by_later_than, const T* p) {
    for (std::uint32_t i = by_later_than + 1; i < nodes_.size(); ++i) {
      const Node<T>& n = nodes_[i];
      if (!n.over || p < n.value || n.shape.size() == 0) continue;
      const Index offset = p - n.value;
      if (offset / n.stride < n.shape.rows() && offset % n.stride < n.shape.cols()) return true;
    }
    return false;
  };
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    const Node<T>& n = nodes_[i];
    const View<const T> v = n.values();
    for (Index r = 0; r < v.rows; ++r)
      for (Index c = 0; c < v.cols; ++c)
        if (!std::isfinite(v.row(r)[c]) && (n.over || !overwritten(i, v.row(r) + c))) {
          const Parameter<T>* p = parameter_of(i);
          std::string op = n.op->describe != nullptr ? n.op->describe() : n.op->name;
          if (p != nullptr) op = fmt::format("parameter {}", p->path());
          return std::make_unique<NonFinite>(
              NonFinite{i, std::move(op), p != nullptr ? "" : place_of(i), n.shape, r * v.cols + c});
        }
  }
  return nullptr;
}

// Exclusive slices

template <Real T>
std::pair<Index, Index> Tape<T>::columns_of(const Node<T>& n, const Exclusive& e) const {
  const Index first = n.value - e.base;
  const bool same_rows = n.shape.rows() == e.rows && (n.stride == e.stride || e.rows == 1);
  if (!same_rows || first < 0 || first + n.shape.cols() > e.stride) return {0, e.stride};
  return {first, first + n.shape.cols()};
}

template <Real T>
void Tape<T>::note_range_read(const Node<T>& n) {
  Exclusive& e = exclusives_[n.exclusive - 1];
  const auto [first, last] = columns_of(n, e);
  for (int i = 0; i < e.count; ++i) {
    const auto& range = e.ranges[static_cast<std::size_t>(i)];
    if (range.first <= first && last <= range.last) return;
  }
  if (e.count < Exclusive::most)
    e.ranges[static_cast<std::size_t>(e.count++)] = {first, last, false};
  else
    e.full = true;
}

template <Real T>
void Tape<T>::grant(Var<T> x, std::uint32_t recorded_before) {
  Node<T>& n = nodes_[x.index()];
  const Block& block = blocks_[n.block];
  const bool ours = n.leaf == 0 && n.exclusive == 0 && !n.over && block.owner >= recorded_before && !block.read;
  if (!ours || (recording_ && (n.grad == nullptr || nodes_[block.owner].op->reads_result))) return;
  exclusives_.push_back({n.value, n.stride, n.shape.rows(), {}, 0, false});
  n.exclusive = static_cast<std::uint32_t>(exclusives_.size());
}

template <Real T>
bool Tape<T>::consume(Var<T> x) {
  const Node<T>& n = checked(x, "addmm");
  if (n.exclusive == 0) return false;
  Exclusive& e = exclusives_[n.exclusive - 1];
  if (e.full || e.count == Exclusive::most) return false;
  const auto [first, last] = columns_of(n, e);
  for (int i = 0; i < e.count; ++i)
    if (e.ranges[static_cast<std::size_t>(i)].overlaps(first, last)) return false;
  if (last - first != n.shape.cols()) return false;
  e.ranges[static_cast<std::size_t>(e.count++)] = {first, last, true};
  return true;
}

// Backward

template <Real T>
std::pair<std::uint32_t, std::uint32_t> Tape<T>::units_of(const Node<T>& n, const Block& block) const {
  if (block.units == 1 || block.unit == 0) return {0, 1};
  const Index offset = n.grad - block.grad;
  const Index end = offset + (n.shape.rows() - 1) * n.stride + n.shape.cols();
  const auto first = static_cast<std::uint32_t>(offset / block.unit);
  // Most values lie in one unit, and divisions are slow.
  if (end <= (first + Index{1}) * block.unit) return {first, first + 1};
  return {first, static_cast<std::uint32_t>((end - 1) / block.unit + 1)};
}

template <Real T>
bool Tape<T>::reached(const Node<T>& n) const {
  if (n.shape.size() == 0) return false;
  const Block& block = blocks_[n.block];
  if (block.units == 1) return reached_.any(block.flag);
  const auto [first, last] = units_of(n, block);
  for (std::uint32_t u = first; u < last; ++u)
    if (reached_.any(block.flag + u)) return true;
  return false;
}

template <Real T>
T* Tape<T>::gradient_by_units(std::uint32_t index) {
  const Node<T>& n = nodes_[index];
  if (n.leaf != 0) {
    const Leaf& leaf = leaves_[n.leaf - 1];
    return leaf.sink->dense().data + (n.value - nodes_[leaf.node].value);
  }
  if (n.shape.size() > 0) {
    const Block& block = blocks_[n.block];
    const auto [first, last] = units_of(n, block);
    for (std::uint32_t u = first; u < last; ++u) reached_.zero_rest(block.flag + u, block.gradient_of(u));
  }
  return n.grad;
}

template <Real T>
std::pair<View<T>, bool> Tape<T>::claim_gradient(std::uint32_t index, std::initializer_list<std::uint32_t> meanwhile) {
  const Node<T>& n = nodes_[index];
  const bool apart = std::ranges::none_of(meanwhile, [&](std::uint32_t i) { return share_memory(i, index); });
  if (!apart) return {gradient_of(index), false};
  if (n.leaf != 0) {
    const Leaf& leaf = leaves_[n.leaf - 1];
    if (n.shape.size() != leaf.parameter->shape().size()) return {gradient_of(index), false};
    auto [view, overwrite] = leaf.sink->claim();
    return {View<T>{view.data, n.shape.rows(), n.shape.cols(), n.stride}, overwrite};
  }
  const Block& block = blocks_[n.block];
  const auto [first, last] = units_of(n, block);
  const Index left = n.grad - block.grad - first * block.unit, right = left + n.shape.cols();
  // All rows of whole units, and either their columns or all of them.
  bool fresh = n.shape.size() > 0 && n.shape.rows() * n.stride == (last - first) * block.unit && right <= n.stride &&
               (n.stride == n.shape.cols() || block.unit % n.stride == 0);
  for (std::uint32_t u = first; fresh && u < last; ++u)
    fresh = reached_.can_mark(block.flag + u, left, right, n.stride);
  if (!fresh) return {gradient_of(index), false};
  for (std::uint32_t u = first; u < last; ++u) reached_.mark(block.flag + u, left, right, n.stride);
  return {View<T>{n.grad, n.shape.rows(), n.shape.cols(), n.stride}, true};
}

template <Real T>
void Tape<T>::settle(std::uint32_t index) {
  for (Debt& debt : debts_)
    for (std::size_t k = 0; k < debt.xs.size(); ++k) {
      const std::uint32_t x = debt.xs[k].index();
      const std::uint64_t bit = std::uint64_t{1} << k;
      if ((debt.paid & bit) != 0 || nodes_[x].grad == nullptr || !share_memory(x, index)) continue;
      const Node<T>& y = nodes_[debt.y.index()];
      for (const std::uint32_t input : std::span(y.inputs, y.input_count))
        if (!is_current(input))
          fail<TapeError>("grad: parameter {} was edited since backward; read the gradient of this {} before",
                          parameter_of(input)->name(), nodes_[x].op->name);
      debt.paid |= bit;
      const FlushDenormals no_denormals;
      debt.pay(y.rule, debt.y, k);
    }
}

template <Real T>
void Tape<T>::defer_product(std::uint32_t w, View<const T> a, View<const T> b) {
  if (pending_[w] == 0) {
    if (products_used_ == products_.size()) products_.emplace_back();
    pending_[w] = ++products_used_;
    products_[products_used_ - 1].list.clear();
    products_[products_used_ - 1].rows = 0;
  }
  Products& products = products_[pending_[w] - 1];
  products.list.push_back({a, b});
  products.rows += a.rows;
  if (products.rows >= product_rows) flush(w);
}

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
void Tape<T>::flush(std::uint32_t index) {
  Products& products = products_[pending_[index] - 1];
  std::vector<Product>& list = products.list;
  if (list.empty()) return;
  std::reverse(list.begin(), list.end());  // in the order of time, so that runs grow upwards in memory
  bool overwrite = false;
  View<T> grad;
  std::tie(grad, overwrite) = claim_gradient(index);
  for (std::size_t i = 0; i < list.size();) {
    View<const T> a = list[i].a, b = list[i].b;
    std::size_t end = i + 1;
    for (; end < list.size(); ++end) {
      View<const T> longer_a = a, longer_b = b;
      if (!extend(longer_a, list[end].a) || !extend(longer_b, list[end].b)) break;
      a = longer_a;
      b = longer_b;
    }
    if (end > i + 1 || end == list.size()) {
      gemm<T>(Trans::yes, a, Trans::no, b, grad, !overwrite);
    } else {
      // Not evenly laid out: row by row, all that follows; but an operand that is one run, where it lies.
      Index rows = a.rows;
      bool run_of_b = true;
      for (; end < list.size(); ++end) {
        run_of_b = run_of_b && extend(b, list[end].b);
        rows += list[end].a.rows;
      }
      const auto rows_of = [&](View<const T> Product::*side) {
        const T** const at = scratch_.allocate<const T*>(static_cast<std::size_t>(rows));
        const T** row = at;
        for (std::size_t k = i; k < end; ++k)
          for (Index r = 0; r < (list[k].*side).rows; ++r) *row++ = (list[k].*side).row(r);
        return RowList<T>{at, rows, (list[i].*side).cols};
      };
      if (run_of_b)
        gemm_rows<T>(rows_of(&Product::a), b, grad, !overwrite);
      else
        gemm_rows<T>(rows_of(&Product::a), rows_of(&Product::b), grad, !overwrite);
    }
    overwrite = false;
    scratch_.rewind();
    i = end;
  }
  list.clear();
  products.rows = 0;
}

template <Real T>
void Tape<T>::start_sweep(Var<T> y, const SinkFor& sink_for) {
  require<TapeError>(recording_, "backward: an inference tape records nothing");
  const Node<T>& n = checked(y, "backward");
  require<TapeError>(n.grad != nullptr, "backward: the value depends on no parameter and no variable");
  reached_.start(flag_count_);
  for (const std::uint32_t flag : lent_) reached_.mark_all(flag);
  pending_.assign(nodes_.size(), 0);
  products_used_ = 0;
  debts_.clear();
  for (Leaf& leaf : leaves_) {
    leaf.sink = leaf.parameter->frozen() ? nullptr : sink_for(leaf.node, *leaf.parameter);
    require<TapeError>(leaf.node > y.index() || is_current(leaf.node),
                       "backward: parameter {} was edited after this tape used it; rewind and compute again",
                       leaf.parameter->name());
  }
}

template <Real T>
void Tape<T>::sweep(Var<T> y, const T* seed, const SinkFor& sink_for) {
  start_sweep(y, sink_for);
  if (wanted(y.index())) {
    const View<T> dy = gradient_of(y.index());
    for (Index r = 0; r < dy.rows; ++r)
      for (Index c = 0; c < dy.cols; ++c) dy.row(r)[c] += seed[r * dy.cols + c];
  }
  run_sweep(y.index());
}

template <Real T>
void Tape<T>::run_sweep(std::uint32_t last) {
  struct Running {
    bool& flag;
    explicit Running(bool& f) : flag(f) { flag = true; }
    ~Running() { flag = false; }
  } running(sweeping_);
  const FlushDenormals no_denormals;
  for (std::uint32_t i = last + 1; i-- > 0;) {
    if (pending_[i] != 0) flush(i);
    const Node<T>& n = nodes_[i];
    if (n.op->backward != nullptr && n.grad != nullptr && (n.op->eager || reached(n))) n.op->backward(n.rule, var(i));
  }
}

template <Real T>
Tape<T>& Tape<T>::inner() {
  if (inner_ == nullptr) inner_ = std::make_unique<Tape>(rng_.seed());
  inner_bytes_ = std::max(inner_bytes_, inner_->bytes());
  inner_->rewind();
  inner_->enter_place(current_place());
  return *inner_;
}

template <Real T>
Var<T> Tape<T>::lend(Tape& to, Var<T> x, bool with_gradient) {
  const Node<T> from = checked(x, "lend");
  note_read(from);
  T* const grad = !with_gradient ? nullptr : sweeping_ ? gradient_data(x.index()) : from.grad;
  const auto block = static_cast<std::uint32_t>(to.blocks_.size());
  to.blocks_.push_back(
      {.grad = grad, .unit = from.shape.size(), .flag = to.flag_count_, .owner = to.mark(), .read = true});
  to.lent_.push_back(to.flag_count_++);
  Node<T>& n =
      to.push_node(with_gradient ? variable_op<T> : constant_op<T>, from.shape, {from.value, grad, block}, true);
  n.stride = from.stride;
  return to.var(static_cast<std::uint32_t>(to.nodes_.size() - 1));
}

template <Real T>
void Tape<T>::backward_within(const Tape& outer, std::span<const Var<T>> ys, std::span<const View<const T>> seeds) {
  std::uint32_t last = 0;
  bool wanted_at_all = false;
  for (const Var<T>& y : ys) last = std::max(last, y.index());
  for (const Var<T>& y : ys) wanted_at_all = wanted_at_all || nodes_[y.index()].grad != nullptr;
  if (!wanted_at_all) return;
  std::uint32_t start = last;
  for (const Var<T>& y : ys)
    if (nodes_[y.index()].grad != nullptr) start = y.index();
  start_sweep(var(start), [&](std::uint32_t, const Parameter<T>& p) -> Gradient<T>* {
    const std::uint32_t known = outer.leaf_table_[outer.leaf_slot(&p)];
    return known == 0 ? nullptr : outer.leaves_[known - 1].sink;
  });
  for (std::size_t i = 0; i < ys.size(); ++i) {
    if (!wanted(ys[i].index())) continue;
    const View<T> dy = gradient_of(ys[i].index());
    for (Index r = 0; r < dy.rows; ++r)
      for (Index c = 0; c < dy.cols; ++c) dy.row(r)[c] += seeds[i].data[r * dy.cols + c];
  }
  run_sweep(last);
}

template <Real T>
void Tape<T>::backward(Var<T> loss) {
  const Node<T>& n = checked(loss, "backward");
  require<ShapeError>(n.shape.size() == 1, "backward: a scalar loss is needed, not {}; pass a seed", n.shape);
  const T one = 1;
  sweep(loss, &one, [](std::uint32_t, const Parameter<T>& p) { return &p.gradient(); });
}

namespace {

template <Real T>
void check_seed(const Tape<T>& tape, Var<T> y, const Tensor<T>& seed) {
  const Shape& shape = tape.checked(y, "backward").shape;
  tape.template require<ShapeError>(shape_of(seed) == shape, "backward: the seed has shape {}, the value {}",
                                    shape_of(seed), shape);
}

}  // namespace

template <Real T>
void Tape<T>::backward(Var<T> y, const Tensor<T>& seed) {
  check_seed(*this, y, seed);
  sweep(y, seed.data(), [](std::uint32_t, const Parameter<T>& p) { return &p.gradient(); });
}

template <Real T>
void Tape<T>::backward(Var<T> loss, Gradients<T>& gradients) {
  const Node<T>& n = checked(loss, "backward");
  require<ShapeError>(n.shape.size() == 1, "backward: a scalar loss is needed, not {}; pass a seed", n.shape);
  const T one = 1;
  sweep(loss, &one, [&](std::uint32_t, const Parameter<T>& p) { return &gradients.of(p); });
}

template <Real T>
void Tape<T>::backward(Var<T> y, const Tensor<T>& seed, Gradients<T>& gradients) {
  check_seed(*this, y, seed);
  sweep(y, seed.data(), [&](std::uint32_t, const Parameter<T>& p) { return &gradients.of(p); });
}

template <Real T>
std::vector<Tensor<T>> Tape<T>::gradient(Var<T> y, const Tensor<T>& seed, std::span<const Var<T>> wrt) {
  check_seed(*this, y, seed);
  Gradients<T> own;
  for (const Var<T>& x : wrt) {
    require<TapeError>(checked(x, "gradient").grad != nullptr, "gradient: no gradient is kept for this {}",
                       node(x.index()).op->name);
  }
  sweep(y, seed.data(), [&](std::uint32_t, const Parameter<T>& p) -> Gradient<T>* {
    for (const Var<T>& x : wrt)
      if (parameter_of(x.index()) == &p) return &own.of(p);
    return nullptr;
  });
  std::vector<Tensor<T>> result;
  for (const Var<T>& x : wrt) {
    settle(x.index());
    const View<T> g = gradient_of(x.index());
    Tensor<T> copy = make_tensor<T>(node(x.index()).shape);
    for (Index r = 0; r < g.rows; ++r) std::copy_n(g.row(r), g.cols, copy.data() + r * g.cols);
    result.push_back(std::move(copy));
  }
  return result;
}

template <Real T>
Tensor<T> Tape<T>::gradient(Var<T> y, const Tensor<T>& seed, Var<T> wrt) {
  return std::move(gradient(y, seed, std::span<const Var<T>>(&wrt, 1)).front());
}

template class Tape<float>;
template class Tape<double>;
template class Gradients<float>;
template class Gradients<double>;
template class Var<float>;
template class Var<double>;

}  // namespace unroll::inline UNROLL_ISA
