#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>

#include <unroll/models/data/text.h>

using namespace unroll;

namespace {

/// A file that is removed again.
struct File {
  std::filesystem::path path;
  explicit File(std::string_view content) {
    static int count = 0;
    path = std::filesystem::temp_directory_path() /
           fmt::format("unroll-text-{}-{}", reinterpret_cast<std::uintptr_t>(this), count++);
    std::ofstream(path, std::ios::binary) << content;
  }
  ~File() { std::filesystem::remove(path); }
};

template <class E, class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const E& e) { return e.what(); }
  return "nothing of that kind was thrown";
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

/// A text of `size` characters in which every place is recognisable.
std::string digits(Index size) {
  std::string s;
  for (Index i = 0; i < size; ++i) s += static_cast<char>('!' + i % 90);
  return s;
}

using Ids = std::vector<std::int32_t>;

}  // namespace

TEST_CASE("tokens: ragged sequences are padded with -1 and keep their lengths") {
  const auto tokens = Tokens::batch({{1, 2, 3}, {}, {4}});
  CHECK(tokens.time() == 3);
  CHECK(tokens.batch_size() == 3);
  CHECK(tokens.ids == Ids{1, -1, 4, 2, -1, -1, 3, -1, -1});
  CHECK(tokens.lengths == std::vector<Index>{3, 0, 1});
  CHECK(Tokens::batch({{1, 2}, {3, 4}}).lengths.empty());
  CHECK(Tokens::batch({}).shape == Shape{0, 0});
  CHECK(Tokens().shape.size() == 0);
}

TEST_CASE("tokens: what does not fit together is refused") {
  CHECK(Tokens(2, 3, {0, 1, 2, 3, 4, 5}).shape == Shape{2, 3});
  CHECK(Tokens({2, 1}, {0, 1}, {2}).lengths.size() == 1);
  CHECK_THROWS_AS(Tokens(2, 3, {0, 1}), ShapeError);
  CHECK_THROWS_AS(Tokens(-1, 3, {}), ShapeError);
  CHECK_THROWS_AS(Tokens(Shape{2}, {0, 1}), ShapeError);
  CHECK_THROWS_AS(Tokens(2, 1, {0, 1}, {1, 1}), ShapeError);
  CHECK_THROWS_AS(Tokens(2, 1, {0, 1}, {3}), ShapeError);
  CHECK_THROWS_AS(Tokens(2, 1, {0, 1}, {-1}), ShapeError);
}

TEST_CASE("vocabulary: characters are code points in their order, and text makes the round trip") {
  const std::string text = "zä\n語🙂a語 \r\n";
  const auto v = Vocabulary::characters(text);
  CHECK_FALSE(v.has_words());
  CHECK(v.size() == 8);
  CHECK(v.symbol(0) == "\n");
  CHECK(v.symbol(v.id("語")) == "語");
  CHECK(v.id("ä") < v.id("語"));
  CHECK(v.id("語") < v.id("🙂"));
  CHECK(v.encode(text).size() == 10);
  CHECK(v.decode(v.encode(text)) == text);
  CHECK(v.decode(Ids{v.id("a"), -1, v.id("z")}) == "az");
  CHECK(v.encode("").empty());
  CHECK_FALSE(v.find("b"));
  CHECK_FALSE(v.unknown());
  CHECK_THROWS_AS(v.symbol(8), IndexError);
  CHECK_THROWS_AS(v.symbol(-1), IndexError);
  CHECK_THROWS_AS(v.decode(Ids{-2}), IndexError);
  CHECK_THROWS_AS(v.id("b"), IndexError);
}

TEST_CASE("vocabulary: an unknown character is named with its position, or counted and replaced") {
  const auto v = Vocabulary::characters("abä");
  CHECK(message<IndexError>([&] { v.encode("äbéa"); }) ==
        "vocabulary: character 'é' (U+00E9) at position 2 (byte 3) is not in the vocabulary");
  CHECK(contains(message<IndexError>([&] { v.encode("a\n"); }), "character U+000A at position 1"));
  CHECK(v.count_unknown("xaéb\n") == 3);
  CHECK(v.encode("axb", -1) == Ids{0, -1, 1});
  const auto with = Vocabulary::characters("abä", true);
  CHECK(with.size() == 4);
  CHECK(with.unknown() == 3);
  CHECK(with.encode("a?ä") == Ids{0, 3, 2});
  CHECK(with.id("?") == 3);
  CHECK(with.decode(Ids{0, 3}) == "a\uFFFD");
}

TEST_CASE("vocabulary: invalid UTF-8 is an error at its byte") {
  const std::string bad[] = {
      "ab\xC3", "ab\x80",     "ab\xC0\xAF",         "ab\xE0\x80\xAF", "ab\xED\xA0\x80", "ab\xF4\x90\x80\x80",
      "ab\xFF", "ab\xE8\xAA", "ab\xF0\x8F\xBF\xBF", "ab\xC3(",        "ab\xF0\x9F\x99("};
  const auto v = Vocabulary::characters("ab");
  for (const std::string& text : bad) {
    CAPTURE(text.size());
    CHECK(message<FileError>([&] { Vocabulary::characters(text); }) == "vocabulary: invalid UTF-8 at byte 2");
    CHECK_THROWS_AS(Vocabulary::words(text), FileError);
    CHECK_THROWS_AS(v.encode(text), FileError);
  }
  for (const char* text : {"\u0080", "\u07FF", "\u0800", "\uD7FF", "\uE000", "\uFFFF", "\U00010000", "\U0010FFFF"})
    CHECK(Vocabulary::characters(text).symbol(0) == text);
}

TEST_CASE("vocabulary: words are ranked by frequency, then by their bytes, and capped") {
  const std::string text = "the cat\tsaw  the\r\ndog\n\nthe bird saw a ant";
  const auto v = Vocabulary::words(text);
  CHECK(v.has_words());
  CHECK(v.symbol(0) == "<unk>");
  CHECK(v.symbol(1) == "<eos>");
  CHECK(v.symbol(2) == "the");
  CHECK(v.symbol(3) == "saw");
  CHECK(v.symbol(4) == "a");
  CHECK(v.symbol(5) == "ant");
  CHECK(v.size() == 9);
  CHECK(v.encode("the dog\n\nsaw") == Ids{2, v.id("dog"), 1, 1, 3});
  CHECK(v.decode(v.encode("  the dog \n saw\n\na")) == "the dog\nsaw\n\na");
  const auto capped = Vocabulary::words(text, 5);
  CHECK(capped.size() == 5);
  CHECK(capped.encode("a ant the") == Ids{4, 0, 2});
  CHECK(capped.count_unknown("a ant dog\n") == 2);
  CHECK(capped.encode("ant a", 4) == Ids{4, 4});
  CHECK(capped.decode(Ids{2, 0, 1, 4}) == "the <unk>\na");
  CHECK(capped.id("elephant") == 0);
  CHECK(Vocabulary::words("a <unk> <eos> <unk>\n").size() == 3);
  CHECK(Vocabulary::words("a b c", 2).size() == 2);
  CHECK_THROWS_AS(Vocabulary::words(text, 1), ValueError);
  CHECK_THROWS_AS(Vocabulary::words(text, Index{1} << 40), ValueError);
}

TEST_CASE("vocabulary: JSON makes the round trip") {
  for (const auto& v : {Vocabulary::characters("a\"\\\n\t語🙂\x01"), Vocabulary::characters("ba", true),
                        Vocabulary::words("the \"cat\" öl\\\n\x02"), Vocabulary::words("")}) {
    CHECK(Vocabulary::from_json(v.to_json()) == v);
    CHECK(Vocabulary::from_json(v.to_json()).unknown() == v.unknown());
  }
  CHECK(Vocabulary::characters("ba").to_json() == R"({"characters":"ab","unknown":false})");
  CHECK(Vocabulary::words("hi").to_json() == R"({"words":["<unk>","<eos>","hi"]})");
  CHECK(Vocabulary::from_json(R"({"characters":"ba","later":[1]})").symbol(0) == "b");
}

TEST_CASE("vocabulary: hostile JSON is a FileError") {
  const std::string bad[] = {
      "",
      "{",
      "null",
      "[]",
      "3",
      "{}",
      "\"characters\"",
      R"({"characters":3})",
      R"({"characters":""})",
      R"({"characters":["a"]})",
      R"({"characters":"aba"})",
      R"({"characters":"ab","unknown":1})",
      R"({"characters":"ab","words":["<unk>","<eos>"]})",
      R"({"words":"ab"})",
      R"({"words":{}})",
      R"({"words":[]})",
      R"({"words":["<unk>"]})",
      R"({"words":["<eos>","<unk>"]})",
      R"({"words":["<unk>","<eos>",7]})",
      R"({"words":["<unk>","<eos>",null]})",
      R"({"words":["<unk>","<eos>",""]})",
      R"({"words":["<unk>","<eos>","a b"]})",
      R"({"words":["<unk>","<eos>","a","a"]})",
      R"({"words":["<unk>","<eos>","<unk>"]})",
      R"({"characters":"\ud800"})",
      "{\"characters\":\"\xC3\"}",
      R"({"characters":"a"} x)",
      R"({"characters":1e999})",
      std::string(100000, '['),
      std::string("{\"characters\":\"a\0b\"}", 20),
  };
  for (const std::string& json : bad) {
    CAPTURE(json.substr(0, 60));
    CHECK_THROWS_AS(Vocabulary::from_json(json), FileError);
  }
  CHECK(message<FileError>([] { Vocabulary::from_json("{\"words\" 3}"); }) == "vocabulary: invalid JSON at byte 10");
}

TEST_CASE("text: a file is read as it is") {
  const File file("b\r\nä\n");
  const auto text = Text::read(file.path);
  CHECK(text.size() == 5);
  CHECK(text.vocabulary() == 4);
  CHECK(text.vocabulary() == text.symbols().size());
  CHECK(text.symbols().decode(text.ids()) == "b\r\nä\n");
  CHECK(text.unknowns() == 0);
  const auto words = Text::read(file.path, {.words = true});
  CHECK(words.symbols().decode(words.ids()) == "b\nä\n");
  CHECK(read_text(file.path) == "b\r\nä\n");
  CHECK_THROWS_AS(read_text(file.path, 3), FileError);
}

TEST_CASE("text: a byte order mark is no part of it") {
  for (const bool words : {false, true}) {
    const Text text = Text::read(File("\uFEFFa b\n").path, {.words = words});
    CHECK(text.size() == (words ? 3 : 4));
    CHECK(text.symbols().decode(text.ids()) == "a b\n");
  }
  CHECK(contains(message<FileError>([] { read_text(File("\uFEFF").path); }), "is empty"));
}

TEST_CASE("text: every line of words ends in <eos>") {
  const auto text = Text::of("a b\n\na", {.words = true});
  CHECK(Ids(text.ids().begin(), text.ids().end()) == Ids{2, 3, 1, 1, 2, 1});
  const auto capped = Text::of("a b c a", {.words = true, .max_words = 3});
  CHECK(capped.vocabulary() == 3);
  CHECK(capped.unknowns() == 2);
}

TEST_CASE("text: a file can be read with the vocabulary of another") {
  const auto v = Vocabulary::characters("abc");
  const File good("cab"), bad("cabx");
  CHECK(Text::read(good.path, v).ids()[0] == 2);
  CHECK(Text::read(good.path, v).vocabulary() == 3);
  const auto m = message<IndexError>([&] { Text::read(bad.path, v); });
  CHECK(contains(m, bad.path.string()));
  CHECK(contains(m, "'x' (U+0078) at position 3"));
  CHECK(Text::read(bad.path, Vocabulary::characters("abc", true)).unknowns() == 1);
  CHECK(Text::of("new words", Vocabulary::words("words")).unknowns() == 1);
  CHECK_THROWS_AS(Text::read(good.path, v, 2), FileError);
}

TEST_CASE("text: what cannot be read is an error with its path") {
  const auto says = [](const std::filesystem::path& path, std::string_view what, const TextOptions& options = {}) {
    const auto m = message<FileError>([&] { Text::read(path, options); });
    CAPTURE(m);
    CHECK(contains(m, path.string()));
    CHECK(contains(m, what));
  };
  const auto directory = std::filesystem::temp_directory_path();
  const File empty(""), binary(std::string_view("ab\0c", 4)), latin("caf\xE9 au lait"), ten("0123456789");
  says(directory / "unroll-there-is-no-such-file", "does not exist");
  says(directory, "is a directory");
  says(empty.path, "is empty");
  says(binary.path, "looks binary: byte 2 is NUL");
  says(latin.path, ":1: invalid UTF-8 at byte 3");
  says(latin.path, ":1: invalid UTF-8 at byte 3", {.words = true});
  says(ten.path, "larger than the limit of 9 bytes", {.max_bytes = 9});
  CHECK(Text::read(ten.path, {.max_bytes = 10}).size() == 10);
  CHECK_THROWS_AS(Text::of(""), FileError);
  CHECK_THROWS_AS(Text::of(std::string("a\0b", 3)), FileError);
}

TEST_CASE("text: a file longer than one block is read whole, and a late NUL is found") {
  std::string content;
  for (int i = 0; content.size() < 200000; ++i) content += fmt::format("{} ä\n", i);
  const File file(content);
  const auto text = Text::read(file.path);
  CHECK(text.symbols().decode(text.ids()) == content);
  content[150000] = '\0';
  const File binary(content);
  CHECK(contains(message<FileError>([&] { Text::read(binary.path); }), "byte 150000 is NUL"));
}

TEST_CASE("split: the parts of characters follow each other and share the whole vocabulary") {
  const auto text = Text::of("aaaaaaaabc");
  const auto [train, tail] = text.split(0.2);
  CHECK(train.size() == 8);
  CHECK(tail.size() == 2);
  CHECK(train.vocabulary() == 3);
  CHECK(&train.symbols() == &tail.symbols());
  CHECK(tail.symbols().decode(tail.ids()) == "bc");
}

TEST_CASE("split: the words of the held-out part do not enter the vocabulary") {
  const auto text = Text::of("b a b c\nb c\nd d\n", {.words = true});
  const auto [train, tail] = text.split(0.3);
  CHECK(text.symbols().find("d"));
  CHECK_FALSE(train.symbols().find("d"));
  CHECK(train.symbols().decode(train.ids()) == "b a b c\nb c\n");
  CHECK(tail.symbols().decode(tail.ids()) == "<unk> <unk>\n");
  CHECK(train.unknowns() == 0);
  CHECK(tail.unknowns() == 2);
  CHECK(train.symbols() == tail.symbols());
  const auto [first, second] = train.split(0.5);
  CHECK(first.symbols() == tail.symbols());
  CHECK(first.size() + second.size() == train.size());
}

TEST_CASE("split: shares that leave nothing are refused") {
  const auto text = Text::of("abcde");
  for (const double share : {0.0, 1.0, -0.1, 2.0, std::nan(""), 0.1}) CHECK_THROWS_AS(text.split(share), ValueError);
  CHECK(text.split(0.99).first.size() == 1);
}

TEST_CASE("windows: targets are the inputs one step later, across windows and lanes") {
  for (const Index size : {14, 61, 62, 64, 89}) {
    const auto text = Text::of(digits(size));
    const Index batch = 4, steps = 3, lane = (size - 1) / batch;
    const auto windows = text.windows({.batch = batch, .steps = steps});
    CAPTURE(size);
    CHECK(windows.count() == (lane + steps - 1) / steps);
    CHECK(windows.targets() == lane * batch);
    Index k = 0, seen = 0;
    for (const auto& [inputs, targets] : windows) {
      const Index here = std::min(steps, lane - k * steps);
      REQUIRE(inputs.shape == Shape{here, batch});
      REQUIRE(targets.shape == inputs.shape);
      REQUIRE(inputs.lengths.empty());
      for (Index t = 0; t < here; ++t)
        for (Index b = 0; b < batch; ++b) {
          const auto at = static_cast<std::size_t>(b * lane + k * steps + t);
          const auto i = static_cast<std::size_t>(t * batch + b);
          CHECK(inputs.ids[i] == text.ids()[at]);
          CHECK(targets.ids[i] == text.ids()[at + 1]);
        }
      const Window same = windows[k];
      CHECK(same.inputs.ids == inputs.ids);
      CHECK(same.targets.ids == targets.ids);
      ++k;
      seen += targets.shape.size();
    }
    CHECK(k == windows.count());
    CHECK(seen == windows.targets());
  }
}

TEST_CASE("windows: iterating reuses one buffer") {
  static_assert(std::input_iterator<Windows::Iterator>);
  static_assert(std::ranges::input_range<const Windows>);
  const auto text = Text::of(digits(80));
  const std::int32_t *inputs = nullptr, *targets = nullptr;
  for (const Window& window : text.windows({.batch = 3, .steps = 4})) {
    if (inputs != nullptr) CHECK(window.inputs.ids.data() == inputs);
    if (targets != nullptr) CHECK(window.targets.ids.data() == targets);
    inputs = window.inputs.ids.data(), targets = window.targets.ids.data();
  }
}

TEST_CASE("windows: they outlive the text they came from") {
  Index seen = 0;
  for (const auto& [inputs, targets] : Text::of(digits(50)).windows({.batch = 2, .steps = 5}))
    seen += std::accumulate(inputs.ids.begin(), inputs.ids.end(), Index{0});
  CHECK(seen == 47 * 48 / 2);
}

TEST_CASE("windows: the held-out part starts with its own first symbol") {
  const auto tail = Text::of(digits(40)).split(0.5).second;
  CHECK(tail.windows({.batch = 1, .steps = 64})[0].inputs.ids[0] == 20);
}

TEST_CASE("windows: more steps than there are give one short window") {
  const auto windows = Text::of("abcdef").windows({.batch = 2, .steps = PTRDIFF_MAX});
  CHECK(windows.count() == 1);
  CHECK(windows[0].inputs.ids == Ids{0, 2, 1, 3});
  CHECK(windows[0].targets.ids == Ids{1, 3, 2, 4});
}

TEST_CASE("windows: sizes that do not fit are refused with their numbers") {
  const auto text = Text::of("abcd", TextOptions{}, "four.txt");
  CHECK(text.windows({.batch = 3, .steps = 1}).count() == 1);
  const auto m = message<ValueError>([&] { text.windows({.batch = 4, .steps = 2}); });
  CHECK(m == "windows: four.txt has 4 symbols, too few for 4 lanes and their targets");
  CHECK_THROWS_AS(text.windows({.batch = PTRDIFF_MAX}), ValueError);
  CHECK_THROWS_AS(text.windows({.batch = 0}), ValueError);
  CHECK_THROWS_AS(text.windows({.batch = 1, .steps = 0}), ValueError);
  CHECK_THROWS_AS(text.windows({.batch = 1, .steps = -3}), ValueError);
  const auto windows = text.windows({.batch = 1, .steps = 2});
  CHECK_THROWS_AS(windows[2], IndexError);
  CHECK_THROWS_AS(windows[-1], IndexError);
}
