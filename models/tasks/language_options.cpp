#include <array>
#include <cmath>

#include <unroll/models/tasks/language_task.h>
#include <unroll/models/tasks/output_file.h>

namespace unroll::inline UNROLL_ISA {

LanguageTraining LanguageTraining::of_words() {
  LanguageTraining o;
  o.words = true;
  // The small model of Zaremba, Sutskever and Vinyals (2014), whose loss is summed over the steps, with a little
  // dropout.
  o.hidden = o.embed = 200;
  o.steps = o.batch = 20;
  o.epochs = 7;
  o.dropout = 0.1;
  o.init = 0.1;
  o.optimizer = "sgd";
  o.schedule = "steps";
  o.rate = 20;
  o.clip = 0.25;
  return o;
}

void check_language_training(const LanguageTraining& o) {
  const auto positive = [](const char* name, Index value, Index most) {
    require<ValueError>(value > 0 && value <= most, "train: --{} {} is not in 1 .. {}", name, value, most);
  };
  positive("hidden", o.hidden, 1 << 16);
  positive("layers", o.layers, 64);
  positive("embed", o.embed, 1 << 16);
  positive("steps", o.steps, 1 << 20);
  positive("batch", o.batch, 1 << 16);
  positive("epochs", o.epochs, 1 << 20);
  positive("threads", o.threads, 1024);
  positive("shards", o.shards, 64);
  require<ValueError>(o.shards <= o.batch, "train: {} shards of a batch of {}", o.shards, o.batch);
  for (const auto& [name, rate] : {std::pair{"dropout", o.dropout}, std::pair{"dropout-input", o.dropout_input},
                                   std::pair{"dropout-recurrent", o.dropout_recurrent}})
    require<ValueError>(rate >= 0 && rate < 1, "train: --{} {} is not in 0 <= dropout < 1", name, rate);
  require<ValueError>(!o.tied || o.embed == o.hidden, "train: with --tied, --embed {} should be --hidden {}", o.embed,
                      o.hidden);
  require<ValueError>(o.optimizer == "adam" || o.optimizer == "sgd", "train: --optimizer '{}' is not adam or sgd",
                      o.optimizer);
  require<ValueError>(o.schedule == "cosine" || o.schedule == "steps", "train: --schedule '{}' is not cosine or steps",
                      o.schedule);
  require<ValueError>(o.hold >= 0, "train: --hold {} is negative", o.hold);
  require<ValueError>(o.patience >= 0, "train: --patience {} is negative", o.patience);
  require<ValueError>(o.factor > 0 && o.factor <= 1, "train: --factor {} is not in 0 < factor <= 1", o.factor);
  require<ValueError>(o.init >= 0 && std::isfinite(o.init), "train: --init {} is negative", o.init);
  require<ValueError>(o.rate > 0 && std::isfinite(o.rate), "train: --rate {} is not positive", o.rate);
  require<ValueError>(o.clip >= 0, "train: --clip {} is negative", o.clip);
  check_output("train", o.out, std::array{o.data, o.valid, o.test});
}

}  // namespace unroll::inline UNROLL_ISA
