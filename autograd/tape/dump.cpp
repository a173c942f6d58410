#include <unroll/autograd/tape/dump.h>

#include <algorithm>
#include <vector>

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
std::string dump_dot(const Tape<T>& tape, const DotOptions& options) {
  std::string text =
      "digraph tape {\n  graph [ranksep=0.2, nodesep=0.1];\n"
      "  node [fontname=\"sans-serif\", fontsize=11, height=0.3, margin=\"0.08,0.03\", shape=box, style=rounded];\n";
  std::vector<std::uint32_t> drawn(tape.size());  // the node that stands for each
  for (std::uint32_t i = 0; i < tape.size(); ++i) {
    const Node<T>& n = tape.node(i);
    const bool is_leaf = n.input_count == 0, is_view = !is_leaf && n.op->backward == nullptr;
    drawn[i] = is_view && !options.views ? drawn[n.inputs[0]] : i;
    if (drawn[i] != i) continue;
    text += fmt::format("  n{} [label={}{}];\n", i, quoted(fmt::format("{}\\n{}", title(tape, i), n.shape)),
                        is_leaf   ? ", style=\"\""
                        : is_view ? ", style=\"rounded,dashed\""
                                  : "");
    std::vector<std::uint32_t> sources;
    for (std::uint32_t k = 0; k < n.input_count; ++k) {
      const std::uint32_t from = drawn[n.inputs[k]];
      if (options.views || std::ranges::find(sources, from) == sources.end())
        text += fmt::format("  n{} -> n{};\n", from, i);
      sources.push_back(from);
    }
  }
  return text + "}\n";
}

template std::string dump_table(const Tape<float>&);
template std::string dump_table(const Tape<double>&);
template std::string dump_dot(const Tape<float>&, const DotOptions&);
template std::string dump_dot(const Tape<double>&, const DotOptions&);

}  // namespace unroll::inline UNROLL_ISA
