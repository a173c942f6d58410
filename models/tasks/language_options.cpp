#include <unroll/models/output_file.h>
#include <unroll/models/tasks/language_task.h>

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
  check_options(o);
  check_running(o);
  check_range("train", "minutes", o.minutes, range::not_negative);
  require<ValueError>(o.shards <= o.batch, "train: {} shards of a batch of {}", o.shards, o.batch);
  require<ValueError>(!o.tied || o.embed == o.hidden, "train: with --tied, --embed {} should be --hidden {}", o.embed,
                      o.hidden);
  require<ValueError>(o.optimizer == "adam" || o.optimizer == "sgd", "train: --optimizer '{}' is not adam or sgd",
                      o.optimizer);
  require<ValueError>(o.schedule == "cosine" || o.schedule == "steps", "train: --schedule '{}' is not cosine or steps",
                      o.schedule);
  for (const auto* files : {&o.data, &o.valid, &o.test}) check_model_output("train", o.out, *files);
}

}  // namespace unroll::inline UNROLL_ISA
