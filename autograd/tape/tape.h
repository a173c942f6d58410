#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <unroll/autograd/tape/arena.h>
#include <unroll/autograd/tape/deferred_products.h>
#include <unroll/autograd/tape/exclusive_slice.h>
#include <unroll/autograd/tape/gradient_memory.h>
#include <unroll/autograd/tape/leaves.h>
#include <unroll/autograd/tape/places.h>
#include <unroll/autograd/tensor/rng.h>

namespace unroll::inline UNROLL_ISA {

/// Sees what recurrent layers and gates compute while it is on a tape: see Inspector.
template <Real T>
class Watcher {
 public:
  virtual ~Watcher() = default;
  /// A recurrent layer begins a sequence, and ends it.
  virtual void begin(const Place& layer) = 0;
  virtual void end() = 0;
  /// Array `k` of its state after a step. Returns what the next step is to read.
  virtual Var<T> state(int k, Index step, Var<T> v) = 0;
  /// The values of a named gate in a formula.
  virtual void gate(const char* name, std::span<const T> values) = 0;
};

/// The history of a computation. Nodes stand in the order they were computed in, which is a topological
/// order, and backward is one reverse loop over them. Not for use by two threads at once; parameters may be
/// shared between the tapes of several threads.
template <Real T>
class Tape {
 public:
  using scalar = T;

  /// The seed is that of dropout and noise.
  explicit Tape(std::uint64_t seed = 0) : Tape(seed, true) {}
  /// A tape that computes and records nothing: dropout is the identity, backward throws.
  static Tape inference() { return Tape(0, false); }
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  bool training() const { return recording_; }

  /// Enters data whose gradient nobody asks for.
  template <class E>
    requires(!Real<E> &&
             requires(const E& e) {
               e.shape();
               e.dimension();
             })
  Var<T> constant(const E& array) {
    return enter_array(array, false);
  }
  Var<T> constant(T value) { return filled({}, value); }
  Var<T> constant(const Shape& shape, std::span<const T> values) { return enter(shape, values, false); }
  /// Enters data whose gradient is wanted.
  template <class E>
    requires(!Real<E> &&
             requires(const E& e) {
               e.shape();
               e.dimension();
             })
  Var<T> variable(const E& array) {
    return enter_array(array, true);
  }
  Var<T> variable(T value);
  Var<T> variable(const Shape& shape, std::span<const T> values) { return enter(shape, values, true); }
  Var<T> zeros(const Shape& shape) { return filled(shape, T(0)); }
  Var<T> filled(const Shape& shape, T value);
  /// The leaf of a parameter: one per tape and version, without a copy.
  Var<T> use(const Parameter<T>& parameter);

  /// While it lives, each of `parameters` that an op uses stands for of(leaf): a thinned or normalised weight. That is
  /// computed once, when it is first used.
  class Substitution {
   public:
    using Function = std::function<Var<T>(Var<T>)>;
    Substitution(Tape& tape, std::vector<const Parameter<T>*> parameters, Function of);
    Substitution(Substitution&& other) noexcept;
    Substitution& operator=(Substitution&&) = delete;
    ~Substitution();

   private:
    friend class Tape;
    Tape* tape_;
    std::vector<const Parameter<T>*> parameters_;
    std::vector<Var<T>> values_;
    Function of_;
    Substitution* outer_;
  };

  /// Adds the gradient of a scalar to the parameters it depends on. Throws ShapeError if `loss` has more
  /// than one element and TapeError if a parameter was edited since it was used. Again on the same history, it
  /// adds again.
  void backward(Var<T> loss);
  /// The same for any `y`, with the gradient of the result with respect to `y` given in its shape.
  void backward(Var<T> y, const Tensor<T>& seed);
  /// The same, adding into `gradients` and leaving the parameters' own alone.
  void backward(Var<T> loss, Gradients<T>& gradients);
  void backward(Var<T> y, const Tensor<T>& seed, Gradients<T>& gradients);
  /// The vector-Jacobian product of `seed` with dy/dwrt; no parameter is touched.
  Tensor<T> gradient(Var<T> y, const Tensor<T>& seed, Var<T> wrt);
  std::vector<Tensor<T>> gradient(Var<T> y, const Tensor<T>& seed, std::span<const Var<T>> wrt);

  /// Forgets everything recorded; memory is kept. The random source goes on.
  void rewind();
  /// Rewinds and enters the values of `state` (a Var, or a struct whose `fields` lists Vars) as constants:
  /// truncated back-propagation through time.
  template <class State>
  State restart(const State& state);

  /// The source of dropout and noise.
  Rng& rng() { return rng_; }

  std::size_t size() const { return nodes_.size(); }
  /// Bytes that values take; gradients take as many once backward ran.
  std::size_t value_bytes() const { return values_.used(); }
  /// Bytes that all takes that was recorded since the last rewind, and what was computed again in backward.
  std::size_t bytes() const;
  /// The parameters used since the last rewind.
  std::vector<const Parameter<T>*> used_parameters() const;
  const Node<T>& node(std::uint32_t index) const { return nodes_[index]; }
  Var<T> var(std::uint32_t index) { return {this, index, epoch_}; }

  /// The first value that is not finite, if there is one.
  std::unique_ptr<NonFinite> find_nonfinite() const;
  /// Where a node was recorded, such as "in encoder/cell, step 7"; empty if unknown.
  std::string place_of(std::uint32_t index) const;

  /// Puts a watcher on the tape, or null; it must outlive its stay. Returns the one before.
  Watcher<T>* watch(Watcher<T>* watcher) { return std::exchange(watcher_, watcher); }
  Watcher<T>* watcher() const { return watcher_; }

  // What follows is for ops and for layers that unroll.

  /// The node of a handle; throws TapeError if it is stale, foreign, or was consumed.
  const Node<T>& checked(const Var<T>& v, const char* op) const {
    if (v.tape_ == this && v.epoch_ == epoch_) [[likely]] {
      const Node<T>& n = nodes_[v.index_];
      if (n.slice == 0 || !slices_[n.slice - 1].is_consumed()) [[likely]]
        return n;
    }
    return examined(v, op);
  }
  /// Throws E with the message and the place in the model.
  template <class E = Error, class... Args>
  [[gnu::always_inline]] void require(bool ok, fmt::format_string<Args...> text, Args&&... args) const {
    if (!ok) [[unlikely]]
      fail<E>(text, std::forward<Args>(args)...);
  }
  std::string located(std::string message, std::span<const Var<T>> inputs) const;

  /// A new node with memory of its own. `inputs` decide whether a gradient is wanted.
  Var<T> append(const Op<T>& op, const Shape& shape, std::span<const Var<T>> inputs);
  /// A new node that takes over the memory of `x`, the first of `inputs`, after consume(x) allowed it.
  Var<T> append_over(const Op<T>& op, Var<T> x, std::span<const Var<T>> inputs);
  /// Where a value lies, and its gradient.
  struct Memory {
    T* value = nullptr;
    T* grad = nullptr;
    std::uint32_t block = 0;
  };
  /// Memory for values that are computed one after the other and come to lie side by side: the steps of a sequence.
  struct Slab {
    Memory memory;
    Shape shape;
  };
  Slab reserve(const Shape& shape);
  /// The value that append() makes after `ahead` more nodes will lie `offset` elements into the slab, if it has
  /// `shape`.
  void await(const Slab& slab, Index offset, const Shape& shape, std::uint32_t ahead);
  bool awaits() const { return awaited_.expected; }
  bool lies_at(Var<T> v, const Slab& slab, Index offset) const {
    return nodes_[v.index()].value == slab.memory.value + offset;
  }
  /// The values in the slab as one, when all have come.
  Var<T> whole(const Slab& slab, std::span<const Var<T>> parts);
  /// Attaches the rule that backward will call. Does nothing when no gradient is wanted, but for a rule that says
  /// `kept_always`: products look at how rows were selected.
  template <class Rule>
  void keep_rule(Var<T> y, const Rule& rule) {
    static_assert(std::is_trivially_destructible_v<Rule>, "a rule is never destroyed");
    Node<T>& n = nodes_[y.index()];
    constexpr bool always = requires { requires Rule::kept_always; };
    if (!always && n.grad == nullptr) return;
    if constexpr (std::is_empty_v<Rule>) {
      alignas(Rule) static constexpr std::array<std::byte, sizeof(Rule)> nothing{};
      n.rule = nothing.data();
    } else {
      n.rule = new (payloads_.allocate(sizeof(Rule)).data) Rule(rule);
    }
  }
  /// A node that looks at part of the memory of `x`.
  Var<T> alias(const char* name, Var<T> x, const Shape& shape, Index offset, Index stride);
  /// A node that looks at `x` and wants no gradient.
  Var<T> detach(Var<T> x);
  /// A copy of `items` that lives until the tape is rewound.
  template <class U>
  std::span<const U> keep(std::span<const U> items) {
    static_assert(std::is_trivially_copyable_v<U>);
    U* data = payloads_.allocate<U>(items.size());
    std::copy(items.begin(), items.end(), data);
    return {data, items.size()};
  }
  /// Memory for `count` elements that lives until the tape is rewound.
  template <class U>
  std::span<U> room(Index count) {
    return {payloads_.allocate<U>(static_cast<std::size_t>(count)), static_cast<std::size_t>(count)};
  }

  /// Memory for the duration of one rule's forward or backward.
  template <class U>
  std::span<U> scratch(Index count) {
    scratch_.rewind();
    return {scratch_.allocate<U>(static_cast<std::size_t>(count)), static_cast<std::size_t>(count)};
  }

  View<const T> values(std::uint32_t index) const {
    const Node<T>& n = nodes_[index];
    put_rows(n);
    return n.values();
  }
  View<T> writable(std::uint32_t index) const {
    const Node<T>& n = nodes_[index];
    return {n.value, n.shape.rows(), n.shape.cols(), n.stride};
  }
  /// Row i of `y`, a new value, is row i of `rows`, which live until the tape is rewound: it is put there when it is
  /// read.
  void postpone(Var<T> y, const RowList<T>& rows);
  /// What a product in the place of `x` is added to, after consume(x) allowed it.
  Addend<T> addend(Var<T> x) const {
    const Node<T>& n = nodes_[x.index()];
    return slices_[n.slice - 1].addend(n.values());
  }
  /// During backward: does anyone want the gradient of this value?
  bool wanted(std::uint32_t index) const {
    const Node<T>& n = nodes_[index];
    return n.grad != nullptr && (n.leaf == 0 || leaves_[n.leaf].sink != nullptr);
  }
  /// During backward: the gradient of a value, to be added to (zeroed before its first use).
  View<T> gradient_of(std::uint32_t index) {
    const Node<T>& n = nodes_[index];
    return {gradient_data(index), n.shape.rows(), n.shape.cols(), n.stride};
  }
  /// The first element of that.
  T* gradient_data(std::uint32_t index) {
    const Node<T>& n = nodes_[index];
    if (n.leaf != 0) [[unlikely]]
      return gradient_of_leaf(n);
    gradient_memory_.reach(n);
    return n.grad;
  }
  /// The same; if the second is true the memory holds anything, and every element of the view must be overwritten
  /// before more of it is asked for. `meanwhile`: other values whose gradients the rule adds to before it is done with
  /// that.
  std::pair<View<T>, bool> claim_gradient(std::uint32_t index, std::initializer_list<std::uint32_t> meanwhile = {});
  /// Whether a value is known to be 0: the state that a sequence starts from. Products of it need not be taken.
  bool is_zero(std::uint32_t index) const { return nodes_[index].zero; }
  /// Whether two values may look at the same memory.
  bool share_memory(std::uint32_t a, std::uint32_t b) const {
    return nodes_[a].leaf == nodes_[b].leaf && nodes_[a].block == nodes_[b].block;
  }
  /// Whether a value is still what it was when it was recorded: not that of a parameter that was edited since.
  bool is_current(std::uint32_t index) const {
    const Node<T>& n = nodes_[index];
    return n.leaf == 0 || leaves_[n.leaf].is_current();
  }
  /// During backward: the gradient of matrix `w` will grow by a^T b. Such products of one matrix are gathered and done
  /// together, `product_rows` rows or so at a time, while they are in the cache.
  static constexpr Index product_rows = 384;
  void defer_product(std::uint32_t w, View<const T> a, View<const T> b);
  /// The parameter behind a leaf, or null.
  const Parameter<T>* parameter_of(std::uint32_t index) const;
  /// The parameter whose value this is, whole and in its own shape, or null.
  const Parameter<T>* whole_parameter_of(std::uint32_t index) const;
  /// The gradient a leaf's parameter receives in this backward, or null.
  Gradient<T>* sink_of(std::uint32_t index) const;

  /// A tape for what is computed again: it belongs to this one, and is empty between uses.
  Tape& inner();
  /// A handle on tape `to` for the memory of `x`: its value and, if asked for, its gradient, to which backward there
  /// adds.
  Var<T> lend(Tape& to, Var<T> x, bool with_gradient);
  /// On an inner tape: backward from several values with their gradients given, into the parameters as `outer` says.
  void backward_within(const Tape& outer, std::span<const Var<T>> ys, std::span<const View<const T>> seeds);
  /// During backward: the rule of `y` added to the gradient of what `xs` were made of, and nothing to their own. Should
  /// somebody read that of xs[k], `pay(rule, y, k)` will add what is missing.
  using Payment = void (*)(const void* rule, Var<T> y, std::size_t k);
  void owe(std::span<const Var<T>> xs, Var<T> y, Payment pay) { debts_.push_back({xs, y, pay, 0}); }
  /// During backward: did any gradient arrive at this value?
  bool reached(Var<T> y) const { return gradient_memory_.reached(nodes_[y.index()]); }

  /// Names what is running, for messages. Returns what was running before.
  Place enter_place(Place place);
  const Place& current_place() const { return places_.current(); }
  /// Marks `x`, a value nobody else will read, as one whose memory addmm may take over.
  void grant(Var<T> x, std::uint32_t recorded_before);
  /// Gives the memory of `x` to its successor if it may: marks it consumed and returns true.
  bool consume(Var<T> x);
  /// Marks nodes recorded so far; see grant().
  std::uint32_t mark() const { return static_cast<std::uint32_t>(nodes_.size()); }

 private:
  /// What takes a place in a slab: the node of this index, if it has this shape.
  struct Awaited {
    std::size_t index = 0;
    Shape shape;
    Memory memory;
    bool expected = false;
  };
  /// See owe().
  struct Debt {
    std::span<const Var<T>> xs;
    Var<T> y;
    Payment pay;
    std::uint64_t paid;  // a bit for each of xs
  };

  Tape(std::uint64_t seed, bool recording) : rng_(seed), recording_(recording) { forget(); }

  template <class E, class... Args>
  [[noreturn, gnu::noinline, gnu::cold]] void fail(fmt::format_string<Args...> text, Args&&... args) const {
    throw E(located(fmt::format(text, std::forward<Args>(args)...), {}));
  }
  const Node<T>& examined(const Var<T>& v, const char* op) const;

  template <class E>
  Var<T> enter_array(const E& array, bool wanted) {
    const Var<T> v = enter_empty(shape_of(array), wanted);
    T* out = nodes_[v.index()].value;
    for (auto it = array.template begin<xt::layout_type::row_major>(),
              end = array.template end<xt::layout_type::row_major>();
         it != end; ++it)
      *out++ = static_cast<T>(*it);
    return v;
  }
  void forget();
  Var<T> leaf_of(const Parameter<T>& parameter);
  Var<T> newest() { return var(mark() - 1); }
  Var<T> enter_empty(const Shape& shape, bool wanted);
  Var<T> enter(const Shape& shape, std::span<const T> values, bool wanted);
  Node<T>& push_node(const Op<T>& op, const Shape& shape, const Memory& memory, bool wants_gradient);
  /// Memory for a value of this shape, in a block of its own.
  Memory add_block(const Shape& shape);
  /// Memory for the next node: what was prepared for it, or a block of its own.
  Memory memory_for(const Shape& shape) {
    const bool awaited = awaited_.expected && nodes_.size() == awaited_.index && shape == awaited_.shape;
    if (!awaited) return add_block(shape);
    awaited_.expected = false;
    return awaited_.memory;
  }
  void keep_inputs(Node<T>& n, std::span<const Var<T>> inputs);
  void note_read(const Node<T>& n) {
    // What reads the result of addmm does not read the slab it lies in.
    if (n.leaf != 0 || n.over) return;
    if (n.slice == 0) [[likely]] {
      put_rows(n);
      gradient_memory_.note_read(n.block);
    } else {
      slices_[n.slice - 1].note_read(n.values());
    }
  }
  /// Before a value is read: what was postponed of it.
  void put_rows(const Node<T>& n) const {
    if (gradient_memory_.is_postponed(n.block) && !n.over) [[unlikely]]
      put_postponed(n);
  }
  void put_postponed(const Node<T>& n) const;
  void put_all_of(detail::PostponedRows<T>& rows) const;
  detail::PostponedRows<T>* postponed_of(const Node<T>& n) const;
  using SinkFor = std::function<Gradient<T>*(std::uint32_t, const Parameter<T>&)>;
  void sweep(Var<T> y, const T* seed, const SinkFor& sink_for);
  void start_sweep(Var<T> y, const SinkFor& sink_for);
  void add_seed(Var<T> y, const T* seed);
  void run_sweep(std::uint32_t last);
  T* gradient_of_leaf(const Node<T>& n);
  /// Adds what is owed to the gradient of a value.
  void settle(std::uint32_t index);
  void flush(std::uint32_t index);
  void name_operand(Place& place, std::uint32_t index) const;

  Rng rng_;
  bool recording_;
  bool sweeping_ = false;
  std::uint32_t epoch_ = 1;
  Arena values_, payloads_, scratch_;
  std::vector<Node<T>> nodes_;
  detail::GradientMemory<T> gradient_memory_;
  Awaited awaited_;
  detail::DeferredProducts<T> products_;
  std::vector<Debt> debts_;
  detail::Leaves<T> leaves_;
  Substitution* substitution_ = nullptr;  // the innermost
  Watcher<T>* watcher_ = nullptr;
  Places places_;
  std::vector<detail::ExclusiveSlice<T>> slices_;
  std::vector<detail::PostponedRows<T>*> postponed_;
  std::vector<std::unique_ptr<Op<T>>> alias_ops_;
  std::unique_ptr<Tape> inner_;
  std::size_t inner_bytes_ = 0;  // the most that the inner tape has held since the last rewind

  friend class Var<T>;
};

// Handles, seen through their tape.

template <Real T>
[[gnu::always_inline]] inline Tape<T>& Var<T>::tape() const {
  unroll::require<TapeError>(tape_ != nullptr, "var: this handle was never given a value");
  return *tape_;
}

/// The value of a handle as a rectangle of memory.
template <Real T>
View<const T> values(const Var<T>& v) {
  return v.tape().values(v.index());
}

extern template class Tape<float>;
extern template class Tape<double>;
extern template class Var<float>;
extern template class Var<double>;

}  // namespace unroll::inline UNROLL_ISA
