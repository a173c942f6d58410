#include <unroll/autograd/tape/tape.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <unroll/autograd/tensor/denormals.h>

namespace unroll::inline UNROLL_ISA {
namespace {

template <Real T>
constexpr Op<T> constant_op{"constant", nullptr, nullptr};
template <Real T>
constexpr Op<T> variable_op{"variable", nullptr, nullptr};
template <Real T>
constexpr Op<T> parameter_op{"parameter", nullptr, nullptr};

}  // namespace

std::string NonFinite::message() const {
  return fmt::format("{} gave the first value that is not finite: element {} of {}{}{} (node {})", op, element, shape,
                     place.empty() ? "" : " ", place, node);
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
  T* const grad = reinterpret_cast<T*>(memory.twin);
  return {reinterpret_cast<T*>(memory.data), grad, gradient_memory_.add(grad, shape, mark())};
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
  return newest();
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
  return newest();
}

template <Real T>
Var<T> Tape<T>::append_over(const Op<T>& op, Var<T> x, std::span<const Var<T>> inputs) {
  for (const Var<T>& input : inputs.subspan(1)) note_read(checked(input, op.name));
  const Node<T> from = nodes_[x.index()];
  Node<T>& n = push_node(op, from.shape, {from.value, from.grad, from.block}, true);
  n.stride = from.stride;
  n.over = true;
  keep_inputs(n, inputs);
  return newest();
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
  n.slice = from.slice;
  n.over = from.over;
  n.zero = from.zero;
  const std::array<Var<T>, 1> inputs{x};
  keep_inputs(n, inputs);
  return newest();
}

template <Real T>
Var<T> Tape<T>::detach(Var<T> x) {
  const Var<T> y = alias("stop_gradient", x, checked(x, "stop_gradient").shape, 0, nodes_[x.index()].stride);
  Node<T>& n = nodes_[y.index()];
  note_read(n);
  n.grad = nullptr;
  n.leaf = 0;
  n.slice = 0;
  return y;
}

template <Real T>
Var<T> Tape<T>::enter_empty(const Shape& shape, bool wanted) {
  push_node(wanted ? variable_op<T> : constant_op<T>, shape, add_block(shape), wanted);
  return newest();
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
  nodes_[v.index()].zero = value == T(0);
  return v;
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
  if (const std::uint32_t known = leaves_.find(parameter); known != 0 && leaves_[known].is_current())
    return var(leaves_[known].node);
  require<ShapeError>(parameter.shape().size() > 0, "parameter: {} has no elements", parameter.name());
  T* const value = const_cast<T*>(parameter.value().data());
  // Where its gradient lies is known in backward: until then any address says that one is wanted.
  Node<T>& n = push_node(parameter_op<T>, parameter.shape(), {value, value, 0}, !parameter.frozen());
  n.leaf = leaves_.add(mark() - 1, parameter);
  return newest();
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
  gradient_memory_.clear();
  leaves_.clear();
  places_.clear();
  slices_.clear();
  postponed_.clear();
  debts_.clear();
  awaited_.expected = false;
  inner_bytes_ = 0;
  if (inner_ != nullptr) inner_->rewind();
  values_.rewind();
  payloads_.rewind();
}

template <Real T>
std::size_t Tape<T>::bytes() const {
  return values_.used() * (recording_ ? 2 : 1) + payloads_.used() + nodes_.size() * sizeof(Node<T>) +
         gradient_memory_.bytes() + std::max(inner_bytes_, inner_ == nullptr ? 0 : inner_->bytes());
}

template <Real T>
std::vector<const Parameter<T>*> Tape<T>::used_parameters() const {
  std::vector<const Parameter<T>*> result;
  for (const detail::ParameterLeaf<T>& leaf : leaves_) result.push_back(leaf.parameter);
  return result;
}

// Checks and places

template <Real T>
const Node<T>& Tape<T>::examined(const Var<T>& v, const char* op) const {
  require<TapeError>(!v.empty(), "{}: this handle was never given a value", op);
  require<TapeError>(&v.tape() == this, "{}: this value is on another tape", op);
  require<TapeError>(v.epoch() == epoch_, "{}: this value is gone, its tape was rewound", op);
  const Node<T>& n = nodes_[v.index()];
  require<TapeError>(n.slice == 0 || !slices_[n.slice - 1].is_consumed(n.values()),
                     "{}: this slice was consumed, addmm has put its result there", op);
  return n;
}

/// Where no layer said which step is running, an operand that is a parameter says more.
template <Real T>
void Tape<T>::name_operand(Place& place, std::uint32_t index) const {
  if (place.step >= 0) return;
  if (const Parameter<T>* p = parameter_of(index); p != nullptr && !p->path().empty()) place = {&p->path(), 1, -1};
}

template <Real T>
std::string Tape<T>::place_of(std::uint32_t index) const {
  const Node<T>& n = nodes_[index];
  Place place = places_.of(index);
  for (const std::uint32_t input : std::span(n.inputs, n.input_count)) name_operand(place, input);
  return to_string(place);
}

template <Real T>
std::string Tape<T>::located(std::string message, std::span<const Var<T>> inputs) const {
  Place place = current_place();
  for (const Var<T>& v : inputs)
    if (v.tape_ == this && v.epoch_ == epoch_) name_operand(place, v.index_);
  const std::string where = to_string(place);
  return where.empty() ? message : fmt::format("{} ({})", message, where);
}

template <Real T>
Place Tape<T>::enter_place(Place place) {
  const Place before = current_place();
  places_.enter(place, mark());
  return before;
}

template <Real T>
const Parameter<T>* Tape<T>::parameter_of(std::uint32_t index) const {
  const Node<T>& n = nodes_[index];
  return n.leaf == 0 ? nullptr : leaves_[n.leaf].parameter;
}

template <Real T>
const Parameter<T>* Tape<T>::whole_parameter_of(std::uint32_t index) const {
  const Parameter<T>* const parameter = parameter_of(index);
  return parameter != nullptr && nodes_[index].shape == parameter->shape() ? parameter : nullptr;
}

template <Real T>
Gradient<T>* Tape<T>::sink_of(std::uint32_t index) const {
  const Node<T>& n = nodes_[index];
  return n.leaf == 0 ? nullptr : leaves_[n.leaf].sink;
}

template <Real T>
std::unique_ptr<NonFinite> Tape<T>::find_nonfinite() const {
  for (detail::PostponedRows<T>* const rows : postponed_) put_all_of(*rows);
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

// Slices

template <Real T>
void Tape<T>::grant(Var<T> x, std::uint32_t recorded_before) {
  Node<T>& n = nodes_[x.index()];
  const std::uint32_t owner = gradient_memory_.owner_of(n.block);
  const bool ours =
      n.leaf == 0 && n.slice == 0 && !n.over && owner >= recorded_before && !gradient_memory_.is_read(n.block);
  if (!ours || (recording_ && (n.grad == nullptr || nodes_[owner].op->reads_result))) return;
  detail::PostponedRows<T>* rows = gradient_memory_.is_postponed(n.block) ? postponed_of(n) : nullptr;
  if (rows != nullptr && !rows->give(n.values())) {
    put_all_of(*rows);
    rows = nullptr;
  }
  slices_.emplace_back(n.values(), rows);
  n.slice = static_cast<std::uint32_t>(slices_.size());
}

template <Real T>
void Tape<T>::postpone(Var<T> y, const RowList<T>& rows) {
  const Node<T>& n = nodes_[y.index()];
  detail::PostponedRows<T> postponed{n.block, writable(y.index()), rows, {}};
  // A step's place in the memory of all has no block of its own.
  if (gradient_memory_.owner_of(n.block) != y.index()) return postponed.put(0, rows.rows, 0, rows.cols);
  postponed.apart = room<bool>(rows.rows);
  std::ranges::fill(postponed.apart, false);
  gradient_memory_.note_postponed(n.block);
  postponed_.push_back(new (payloads_.allocate(sizeof(postponed)).data) detail::PostponedRows<T>(postponed));
}

template <Real T>
detail::PostponedRows<T>* Tape<T>::postponed_of(const Node<T>& n) const {
  return *std::ranges::find(postponed_, n.block, &detail::PostponedRows<T>::block);
}

template <Real T>
void Tape<T>::put_all_of(detail::PostponedRows<T>& rows) const {
  rows.put_others();
  for (const detail::ExclusiveSlice<T>& slice : slices_)
    if (slice.takes_from(rows)) slice.put_all();
}

template <Real T>
void Tape<T>::put_postponed(const Node<T>& n) const {
  if (n.slice != 0)
    slices_[n.slice - 1].put(n.values());
  else
    put_all_of(*postponed_of(n));
}

template <Real T>
bool Tape<T>::consume(Var<T> x) {
  const Node<T>& n = checked(x, "addmm");
  return n.slice != 0 && slices_[n.slice - 1].consume(n.values());
}

// Backward

template <Real T>
T* Tape<T>::gradient_of_leaf(const Node<T>& n) {
  const detail::ParameterLeaf<T>& leaf = leaves_[n.leaf];
  return leaf.sink->dense().data + (n.value - nodes_[leaf.node].value);
}

template <Real T>
std::pair<View<T>, bool> Tape<T>::claim_gradient(std::uint32_t index, std::initializer_list<std::uint32_t> meanwhile) {
  const Node<T>& n = nodes_[index];
  const bool apart = std::ranges::none_of(meanwhile, [&](std::uint32_t i) { return share_memory(i, index); });
  if (!apart) return {gradient_of(index), false};
  if (n.leaf != 0) {
    const detail::ParameterLeaf<T>& leaf = leaves_[n.leaf];
    if (n.shape.size() != leaf.parameter->shape().size()) return {gradient_of(index), false};
    auto [view, overwrite] = leaf.sink->claim();
    return {View<T>{view.data, n.shape.rows(), n.shape.cols(), n.stride}, overwrite};
  }
  if (!gradient_memory_.claim(n)) return {gradient_of(index), false};
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
  if (products_.add(w, a, b) >= product_rows) flush(w);
}

template <Real T>
void Tape<T>::flush(std::uint32_t index) {
  const auto [gradient, overwrite] = claim_gradient(index);
  products_.flush(index, gradient, overwrite, scratch_);
}

template <Real T>
void Tape<T>::start_sweep(Var<T> y, const SinkFor& sink_for) {
  require<TapeError>(recording_, "backward: an inference tape records nothing");
  const Node<T>& n = checked(y, "backward");
  require<TapeError>(n.grad != nullptr, "backward: the value depends on no parameter and no variable");
  gradient_memory_.start();
  products_.start(nodes_.size());
  debts_.clear();
  for (detail::ParameterLeaf<T>& leaf : leaves_) {
    leaf.sink = leaf.parameter->frozen() ? nullptr : sink_for(leaf.node, *leaf.parameter);
    require<TapeError>(leaf.node > y.index() || is_current(leaf.node),
                       "backward: parameter {} was edited after this tape used it; rewind and compute again",
                       leaf.parameter->name());
  }
}

template <Real T>
void Tape<T>::add_seed(Var<T> y, const T* seed) {
  if (!wanted(y.index())) return;
  const View<T> dy = gradient_of(y.index());
  for (Index r = 0; r < dy.rows; ++r)
    for (Index c = 0; c < dy.cols; ++c) dy.row(r)[c] += seed[r * dy.cols + c];
}

template <Real T>
void Tape<T>::sweep(Var<T> y, const T* seed, const SinkFor& sink_for) {
  start_sweep(y, sink_for);
  add_seed(y, seed);
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
    if (products_.wait_for(i)) flush(i);
    const Node<T>& n = nodes_[i];
    if (n.op->backward != nullptr && n.grad != nullptr && (n.op->eager || gradient_memory_.reached(n)))
      n.op->backward(n.rule, var(i));
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
  const std::uint32_t block = to.gradient_memory_.add_lent(grad, from.shape, to.mark());
  Node<T>& n =
      to.push_node(with_gradient ? variable_op<T> : constant_op<T>, from.shape, {from.value, grad, block}, true);
  n.stride = from.stride;
  return to.newest();
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
    const std::uint32_t known = outer.leaves_.find(p);
    return known == 0 ? nullptr : outer.leaves_[known].sink;
  });
  for (std::size_t i = 0; i < ys.size(); ++i) add_seed(ys[i], seeds[i].data);
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

}  // namespace unroll::inline UNROLL_ISA
