#include <unroll/autograd/tape/dump.h>

namespace unroll::inline UNROLL_ISA {
namespace {

template <Real T>
std::string title(const Tape<T>& tape, std::uint32_t index) {
  const Node<T>& n = tape.node(index);
  if (n.input_count == 0)
    if (const Parameter<T>* p = tape.parameter_of(index); p != nullptr && !p->path().empty()) return p->path();
  return n.op->describe != nullptr ? n.op->describe() : n.op->name;
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"') result += '\\';
    result += c;
  }
  return result + "\"";
}

}  // namespace

template <Real T>
std::string dump_table(const Tape<T>& tape) {
  std::string text = fmt::format("{:>6}  {:<32} {:<16} {:<16} {}\n", "node", "op", "shape", "inputs", "place");
  for (std::uint32_t i = 0; i < tape.size(); ++i) {
    const Node<T>& n = tape.node(i);
    std::string inputs;
    for (std::uint32_t k = 0; k < n.input_count; ++k) inputs += fmt::format("{}{}", k == 0 ? "" : " ", n.inputs[k]);
    text += fmt::format("{:>6}  {:<32} {:<16} {:<16} {}\n", i, title(tape, i), fmt::format("{}", n.shape), inputs,
                        tape.place_of(i));
  }
  return text;
}

template <Real T>
std::string dump_dot(const Tape<T>& tape) {
  std::string text = "digraph tape {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", shape=ellipse];\n";
  for (std::uint32_t i = 0; i < tape.size(); ++i) {
    const Node<T>& n = tape.node(i);
    const bool is_leaf = n.input_count == 0, is_view = !is_leaf && n.op->backward == nullptr;
    text += fmt::format("  n{} [label={}{}];\n", i, quoted(fmt::format("{}\\n{}", title(tape, i), n.shape)),
                        is_leaf   ? ", shape=box"
                        : is_view ? ", style=dashed"
                                  : "");
    for (std::uint32_t k = 0; k < n.input_count; ++k) text += fmt::format("  n{} -> n{};\n", n.inputs[k], i);
  }
  return text + "}\n";
}

template std::string dump_table(const Tape<float>&);
template std::string dump_table(const Tape<double>&);
template std::string dump_dot(const Tape<float>&);
template std::string dump_dot(const Tape<double>&);

}  // namespace unroll::inline UNROLL_ISA
