#pragma once

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unroll/layers/tokens.h>
#include <unroll/models/data/vocabulary.h>

namespace unroll::inline UNROLL_ISA {

/// What a language model reads and what it should predict: targets are the inputs one step later.
struct Window {
  Tokens inputs, targets;
};

struct WindowOptions {
  Index batch = 32;  // lanes read side by side
  Index steps = 64;  // steps of a window, the distance of truncated BPTT
};

/// A text cut into `batch` contiguous lanes of equal length, read side by side in windows of
/// `steps` steps: window k holds steps [k * steps, (k + 1) * steps) of every lane, and the last may
/// be shorter. Row b of a window continues row b of the one before, so that a model's state can be
/// carried over. Up to `batch` symbols at the end of the text that fill no step of all lanes are
/// left out.
class Windows {
 public:
  class Iterator;

  /// Number of windows.
  Index count() const { return (lane_ - 1) / steps_ + 1; }
  /// Number of predicted symbols in all windows.
  Index targets() const { return lane_ * batch_; }
  /// Throws IndexError unless 0 <= k < count().
  Window operator[](Index k) const;
  /// Writes window k into `window`, whose memory is reused.
  void fill(Index k, Window& window) const;

  Iterator begin() const;
  std::default_sentinel_t end() const { return {}; }

 private:
  friend class Text;
  Windows(std::shared_ptr<const std::vector<std::int32_t>> storage, std::span<const std::int32_t> ids,
          const WindowOptions& options, std::string_view name);

  std::shared_ptr<const std::vector<std::int32_t>> storage_;
  std::span<const std::int32_t> ids_;
  Index batch_, steps_;
  Index lane_ = 0;  // steps of each lane
};

/// Walks over the windows in order with one buffer: a window is valid until the iterator moves on.
class Windows::Iterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using difference_type = Index;
  using value_type = Window;

  explicit Iterator(Windows windows);
  const Window& operator*() const { return window_; }
  const Window* operator->() const { return &window_; }
  Iterator& operator++();
  void operator++(int) { ++*this; }
  friend bool operator==(const Iterator& i, std::default_sentinel_t) { return i.k_ == i.windows_.count(); }

 private:
  Windows windows_;
  Window window_;
  Index k_ = 0;
};

/// The content of a text file. Throws FileError for a file that cannot be read, is empty, too large
/// or binary.
std::string read_text(const std::filesystem::path& path, std::uintmax_t max_bytes = std::uintmax_t{4} << 30);

struct TextOptions {
  bool words = false;                                  // words instead of characters
  Index max_words = 10000;                             // symbols of a word vocabulary, `<unk>` and `<eos>` included
  bool unknown = false;                                // a character vocabulary has `<unk>` too
  std::uintmax_t max_bytes = std::uintmax_t{4} << 30;  // a larger file is refused
};

/// A text as a sequence of ids with its vocabulary. Copies are cheap: they share the ids.
class Text {
 public:
  /// Reads a UTF-8 file as it is but for a byte order mark, line ends included, or unpacked if its name ends in .gz,
  /// .bz2, .xz or .zst. For words, a last line without an end is given one. Throws FileError for a file that cannot be
  /// read, is empty, too large, binary or not UTF-8, which it says with the line.
  static Text read(const std::filesystem::path& path, const TextOptions& options = {});
  /// Reads a file with a given vocabulary, such as that of a trained model. Also throws IndexError
  /// for a character that is not in it, unless it has `<unk>`.
  static Text read(const std::filesystem::path& path, const Vocabulary& vocabulary,
                   std::uintmax_t max_bytes = TextOptions{}.max_bytes);
  /// The same for a text in memory; `name` is for messages.
  static Text of(std::string content, const TextOptions& options = {}, std::string name = "text");
  static Text of(std::string content, const Vocabulary& vocabulary, std::string name = "text");

  /// Number of different symbols, the size of a model's embedding and output.
  Index vocabulary() const { return symbols_->size(); }
  const Vocabulary& symbols() const { return *symbols_; }
  /// That of the file, or what else it was called.
  const std::string& name() const { return name_; }
  std::span<const std::int32_t> ids() const { return ids_; }
  Index size() const { return static_cast<Index>(ids_.size()); }
  /// How many of the ids are `<unk>`.
  Index unknowns() const;

  /// The text without its last part, and that part, which is the share `held_out` of the ids. Both
  /// have the same vocabulary: of characters, that of the whole; of words, that of the first part.
  /// Splitting a part again does not change the vocabulary. Throws ValueError unless 0 < held_out <
  /// 1 and no part is empty.
  std::pair<Text, Text> split(double held_out) const;

  /// Windows for truncated BPTT. Throws ValueError unless batch and steps are positive and every
  /// lane has a step, which takes batch + 1 ids.
  Windows windows(const WindowOptions& options = {}) const;

 private:
  Text(std::string name, std::shared_ptr<const Vocabulary> symbols, std::vector<std::int32_t> ids);
  Text part(std::size_t first, std::size_t count) const;

  std::string name_;
  std::shared_ptr<const Vocabulary> symbols_;
  std::shared_ptr<const std::vector<std::int32_t>> storage_;
  std::span<const std::int32_t> ids_;
  // A text of words whose vocabulary is not final yet keeps its source.
  std::shared_ptr<const std::string> source_;
  Index max_words_ = 0;
};

}  // namespace unroll::inline UNROLL_ISA
