#include <structured.h>

#include <unroll/layers/layers.h>
#include <unroll/layers/safetensors.h>

namespace unroll::bench {
namespace {

Tensor<float> normal(const Shape& shape, Rng& rng) { return init::normal<float>(shape, 1.0, rng); }

StructuredCase ctc() {
  struct Data {
    Rng rng{1};
    Tensor<float> logits = normal({200, 32, 32}, rng), labels = make_tensor<float>({32, 40});
    Labels targets;
    Tape<> tape;
  };
  const auto d = std::make_shared<Data>();
  for (Index b = 0; b < 32; ++b) {
    std::vector<std::int32_t> row;
    for (Index i = 0; i < 40; ++i) row.push_back(static_cast<std::int32_t>(1 + d->rng.below(31)));
    for (std::size_t i = 0; i < row.size(); ++i) d->labels(b, i) = static_cast<float>(row[i]);
    d->targets.push_back(std::move(row));
  }
  return {"ctc", "loss and gradient, batch 32, 200 steps, 32 classes, 40 labels",
          [d](const std::string& file) {
            Safetensors out;
            out.put("logits", d->logits), out.put("labels", d->labels);
            out.write(file);
          },
          [d] {
            d->tape.rewind();
            const Var<> loss = ctc_loss(d->tape.variable(d->logits), d->targets);
            d->tape.backward(loss);
            return static_cast<double>(loss.item());
          }};
}

StructuredCase crf() {
  struct Data {
    Rng rng{2};
    Tensor<float> emissions = normal({40, 32, 9}, rng), labels = make_tensor<float>({40, 32});
    std::vector<std::int32_t> ids;
    LinearChainCrf<> crf{9, rng};
    Tape<> tape;
  };
  const auto d = std::make_shared<Data>();
  for (float& label : d->labels) {
    d->ids.push_back(static_cast<std::int32_t>(d->rng.below(9)));
    label = static_cast<float>(d->ids.back());
  }
  return {"crf", "loss and gradient, batch 32, 40 steps, 9 labels",
          [d](const std::string& file) {
            Safetensors out;
            out.put("emissions", d->emissions), out.put("labels", d->labels);
            out.put("transitions", d->crf.transitions.value());
            out.put("start", d->crf.start.value()), out.put("end", d->crf.end.value());
            out.write(file);
          },
          [d] {
            d->tape.rewind();
            const Var<> loss = d->crf.loss(d->tape.variable(d->emissions), d->ids);
            d->tape.backward(loss);
            for (auto* p : parameters(d->crf)) p->clear_grad();
            return static_cast<double>(loss.item());
          }};
}

StructuredCase beam() {
  struct Model {
    Embedding<> embed;
    LSTM<> rnn;
    Linear<> head;
    static void fields(auto& m, auto&& f) { f("embed", m.embed), f("rnn", m.rnn), f("head", m.head); }
  };
  struct Data {
    Rng rng{3};
    Model model{{1000, 256, rng}, {256, 256, rng}, {256, 1000, rng}};
    std::vector<std::int32_t> first;
    Tape<> tape = Tape<>::inference();
  };
  const auto d = std::make_shared<Data>();
  for (float& x : d->model.head.weight.edit()) x *= 20;  // so that hypotheses differ
  for (std::int32_t b = 0; b < 16; ++b) d->first.push_back(b);
  return {"beam", "16 sources, width 5, LSTM of 256, 1000 symbols, 30 steps",
          [d](const std::string& file) { save(d->model, file); },
          [d] {
            d->tape.rewind();
            const Model& m = d->model;
            const auto step = [&m](Tape<>& tape, std::span<const std::int32_t> tokens, const LSTM<>::State& state) {
              const auto next = m.rnn.step(m.embed(tape, tokens, Shape{static_cast<Index>(tokens.size())}), state);
              return std::pair{Var<>(m.head(next.h)), next};
            };
            double total = 0;
            for (const auto& found :
                 beam_search(d->tape, m.rnn.initial(d->tape, 16), d->first, step, {.width = 5, .steps = 30}))
              total += found[0].log_probability;
            return total;
          }};
}

}  // namespace

const std::vector<std::string>& structured_case_names() {
  static const std::vector<std::string> names{"ctc", "crf", "beam"};
  return names;
}

StructuredCase structured_case(const std::string& name) {
  if (name == "ctc") return ctc();
  if (name == "crf") return crf();
  require<ValueError>(name == "beam", "bench: there is no case '{}'", name);
  return beam();
}

}  // namespace unroll::bench
