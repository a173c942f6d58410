#include <unroll/models/tasks/tasks.h>

#include <doctest/doctest.h>

#include <models/tasks/task_run.h>
#include <unroll/models/tasks/genome.h>

using namespace unroll;

namespace {

std::string file(const TaskRun& run, const std::string& name, const std::string& text) {
  run.write(name, text);
  return run.path(name);
}

std::string message_of(const std::string& file) {
  BadLines bad;
  try {
    read_nucleotides({file}, bad);
  } catch (const FileError& error) { return std::string(error.what()).substr(file.size()); }
  return "";
}

}  // namespace

TEST_CASE("dna: the format is seen from the first line") {
  const TaskRun run("dna");
  BadLines bad;
  const auto records = read_nucleotides({file(run, "a",
                                              "\xEF\xBB\xBF"
                                              "EI, one,  ACGTN\r\n\n-,two,\t\tacgu\n"),
                                         file(run, "b", "ACG\nTTR\n"), file(run, "c", ">x y\nAC\nGT\n\n>z\nTT\n")},
                                        bad);
  REQUIRE(records.size() == 6);
  CHECK(records[0].label == "EI");
  CHECK(records[0].name == "one");
  CHECK(records[0].sequence == "ACGTN");
  CHECK(records[1].label == "-");
  CHECK(records[1].sequence == "ACGT");
  CHECK(records[3].label.empty());
  CHECK_FALSE(records[3].genome);
  CHECK(records[3].sequence == "TTR");
  CHECK(records[4].genome);
  CHECK(records[4].name == "x y");
  CHECK(records[4].sequence == "ACGT");
  CHECK(records[5].sequence == "TT");
}

TEST_CASE("dna: what cannot be read is named by its line, or left out") {
  const TaskRun run("dna");
  CHECK(message_of(file(run, "a", "EI,one,ACGT\nEI,ACGT\n")) == ":2: class,name,sequence is expected");
  CHECK(message_of(file(run, "b", "EI,one,ACGT\n,two,ACGT\n")) == ":2: class,name,sequence is expected");
  CHECK(message_of(file(run, "c", "EI,one,AC!T\n")) == ":1: '!' is no nucleotide");
  CHECK(message_of(file(run, "d", "EI,one,\n")) == ":1: there is no sequence");
  CHECK(message_of(file(run, "e", "ACGT\n\x01\xff\n")) == ":2: byte 1 is no nucleotide");
  CHECK(message_of(file(run, "f", ">x\nACGT\nAC,T\n")) == ":3: ',' is no nucleotide");
  BadLines bad(true);
  const auto records = read_nucleotides({file(run, "g", "EI,one,ACGT\nEI,ACGT\nIE,two,AX\nIE,three,TT\n")}, bad);
  CHECK(records.size() == 2);
  CHECK(bad.count() == 2);
}

TEST_CASE("dna: letters that may be several nucleotides are equal shares of them, and so are their complements") {
  CHECK(nucleotide_shares('G') == std::array<float, 4>{0, 0, 1, 0});
  CHECK(nucleotide_shares('R') == std::array<float, 4>{0.5F, 0, 0.5F, 0});
  CHECK(nucleotide_shares('N') == std::array<float, 4>{0.25F, 0.25F, 0.25F, 0.25F});
  CHECK(nucleotide_id('T') == 3);
  CHECK(nucleotide_id('S') == -1);
  CHECK(reverse_complement("AACGR") == "YCGTT");
  for (const char c : std::string("ACGTRYSWKMBDHVN")) {
    const auto there = nucleotide_shares(c), other = nucleotide_shares(reverse_complement(std::string(1, c))[0]);
    for (std::size_t k = 0; k < 4; ++k) CHECK(there[k] == other[3 - k]);
  }
}

TEST_CASE("dna: windows of a genome predict each nucleotide once, and see what is before it") {
  const auto around = genome_windows("ACGTNNNNACGT", 4, 2);  // nothing is known of the second
  REQUIRE(around.size() == 2);
  CHECK(around[1].sequence == "NNACGT");
  CHECK(around[1].skip == 2);
  const auto windows = genome_windows("ACGTACGTAC", 4, 3);
  REQUIRE(windows.size() == 3);
  std::string predicted;
  for (const GenomeWindow& w : windows) predicted += w.sequence.substr(static_cast<std::size_t>(w.skip));
  CHECK(predicted == "ACGTACGTAC");
  CHECK(windows[1].sequence == "CGTACGT");
  CHECK(windows[2].skip == 3);
}

TEST_CASE("dna: the Markov model counts what follows each context, plus one") {
  MarkovModel markov(2);
  markov.count({"AACAACAAG", 0});  // AA: C C G
  Likelihood nats;
  markov.score({"AAC", 2}, nats);
  CHECK(nats.tokens() == 1);
  CHECK(nats.nats() == doctest::Approx(-std::log(3.0 / 7)));
  markov.score({"ANC", 2}, nats);
  CHECK(nats.nats() == doctest::Approx(-std::log(3.0 / 7) + std::log(4.0)));
}

TEST_CASE("dna: a genome's nucleotide is predicted without looking at it or behind it") {
  Rng rng{3};
  const GenomeModel model({.filters = 5, .window = 4, .hidden = 3}, rng);
  Tape<> tape = Tape<>::inference();
  const std::vector<std::string> pair{"ACGTTAGC", "ACGTGCTA"};  // alike up to the fourth
  const Var<> x = model.logits(tape, pair);
  const View<const float> rows = values(x);
  for (Index t = 0; t < 8; ++t) {
    bool same = true;
    for (Index k = 0; k < 4; ++k) same = same && rows.row(2 * t)[k] == rows.row(2 * t + 1)[k];
    CHECK(same == (t <= 4));
  }
}

TEST_CASE("dna: classes are learned from made-up junctions, and a saved model says what training said") {
  const TaskRun run("dna");
  run.task.synthesize(run.path("data"), 600, 1);
  run.task.synthesize(run.path("test"), 100, 2);
  run.set({{"epochs", 12}, {"batch", 16}, {"hidden", 16}, {"filters", 16}});
  const auto trained = run.train({.data = {run.path("data")}, .valid = {run.path("test")}});
  CHECK(trained["error"].get<double>() < 0.1);
  const auto again = run.evaluate({.data = {run.path("test")}});
  CHECK(again["error"] == trained["error"]);
  CHECK(again["matthews"] == trained["matthews"]);

  BadLines bad;
  Index wrong = 0;
  for (const NucleotideRecord& r : read_nucleotides({run.path("test")}, bad))
    wrong += run.answer(r.sequence).starts_with(r.label + " ") ? 0 : 1;
  CHECK(static_cast<double>(wrong) == doctest::Approx(100 * trained["error"].get<double>()));
  CHECK_THROWS_WITH_AS(run.answer("AC-T"), "'-' is no nucleotide", ValueError);
  CHECK_THROWS_WITH_AS(run.answer(" "), "dna: there is no sequence", ValueError);
  run.set({{"hidden", 0}});
  CHECK_THROWS_AS(run.train({.data = {run.path("data")}}), ValueError);
  run.set_generator({{"form", "genome"}});
  run.task.synthesize(run.path("genome"), 2, 1);
  CHECK_THROWS_WITH_AS(run.evaluate({.data = {run.path("genome")}}),
                       (run.path("genome") + ":1: the model is of classes, the data are of a genome").c_str(),
                       FileError);
  run.write("other", "EI,a,ACGT\nXX,b,ACGT\n");
  CHECK_THROWS_WITH_AS(run.evaluate({.data = {run.path("other")}}),
                       (run.path("other") + ":2: symbols: 'XX' is not among the 3 known: EI, IE, N").c_str(),
                       FileError);
}

TEST_CASE("dna: promoters are told from sequences of which 12 of 20 parts are replaced") {
  const TaskRun run("dna");
  run.set_generator({{"form", "promoters"}});
  run.task.synthesize(run.path("data"), 200, 4);
  run.set({{"epochs", 12}, {"hidden", 8}, {"filters", 16}});
  const auto trained = run.train({.data = {run.path("data")}});
  CHECK(trained["examples"] == 40);  // a promoter and what was made from it are held out together
  CHECK(trained["matthews"].get<double>() > 0.8);
  CHECK(run.evaluate({.data = {run.path("data")}})["examples"] == 400);
}

TEST_CASE("dna: the end of a genome is held out, and predicted better than by the Markov model") {
  const TaskRun run("dna");
  run.set_generator({{"form", "genome"}});
  run.task.synthesize(run.path("data"), 134, 5);
  BadLines bad;
  const std::string genome = read_nucleotides({run.path("data")}, bad).at(0).sequence;
  run.set({{"epochs", 8}, {"batch", 4}, {"hidden", 16}, {"filters", 32}});
  const auto trained = run.train({.data = {run.path("data")}});
  const double bits = trained["bits_per_base"];
  CHECK(trained["markov_bits_per_base"].get<double>() > 1.5);
  CHECK(bits < 0.7);  // the genome has 0.50
  const double said = std::stod(run.answer(genome.substr(7000)));
  CHECK(said < 0.7);
  CHECK(run.answer(genome.substr(7000)).ends_with(" bits per base"));
}
