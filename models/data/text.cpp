#include <unroll/models/data/text.h>

#include <algorithm>
#include <array>
#include <fstream>

#include <unroll/models/data/files.h>
#include <unroll/models/data/utf8.h>

namespace unroll::inline UNROLL_ISA {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

std::string read_limited(const std::filesystem::path& path, std::uintmax_t max_bytes) {
  const std::string name = path.string();
  require<FileError>(!is_folder(name), "text: {} is a directory", name);
  require<FileError>(is_there(name), "text: {} does not exist", name);
  std::ifstream file(path, std::ios::binary);
  require<FileError>(file.is_open(), "text: {} cannot be opened", name);
  const auto check_size = [&](std::uintmax_t bytes) {
    require<FileError>(bytes <= max_bytes, "text: {} is larger than the limit of {} bytes", name, max_bytes);
  };
  constexpr std::array compressed{".gz", ".bz2", ".xz", ".zst"};
  if (std::ranges::find(compressed, path.extension().string()) != compressed.end()) {
    std::string unpacked = read_file(name);
    check_size(unpacked.size());
    return unpacked;
  }
  std::string content;
  std::error_code unknown;
  const std::uintmax_t size = std::filesystem::file_size(path, unknown);
  if (!unknown) {
    check_size(size);
    content.reserve(size);
  }
  std::vector<char> chunk(std::size_t{1} << 16);
  while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || file.gcount() > 0) {
    const std::string_view read(chunk.data(), static_cast<std::size_t>(file.gcount()));
    const std::size_t nul = read.find('\0');
    require<FileError>(nul == read.npos, "text: {} looks binary: byte {} is NUL", name, content.size() + nul);
    check_size(content.size() + read.size());
    content += read;
  }
  require<FileError>(!file.bad(), "text: {} cannot be read beyond byte {}", name, content.size());
  return content;
}

/// What f makes of a text; says the line of what is not UTF-8.
template <class F>
auto by_lines(const std::string& content, const std::string& name, F f) {
  try {
    return f();
  } catch (const FileError&) {
    const std::size_t byte = detail::well_formed(content);
    const auto line = 1 + std::count(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(byte), '\n');
    throw FileError(fmt::format("{}:{}: invalid UTF-8 at byte {}", name, line, byte));
  }
}

/// Checks a text, and ends its last line, if lines matter. A byte order mark is no part of it.
std::string checked(std::string content, bool words, std::string_view name) {
  content.erase(0, content.size() - without_byte_order_mark(content).size());
  require<FileError>(!content.empty(), "text: {} is empty", name);
  const std::size_t nul = content.find('\0');
  require<FileError>(nul == content.npos, "text: {} looks binary: byte {} is NUL", name, nul);
  if (words && content.back() != '\n') content += '\n';
  return content;
}

}  // namespace

Windows::Windows(std::shared_ptr<const std::vector<std::int32_t>> storage, std::span<const std::int32_t> ids,
                 const WindowOptions& options, std::string_view name)
    : storage_(std::move(storage)), ids_(ids), batch_(options.batch), steps_(options.steps) {
  require<ValueError>(batch_ > 0 && steps_ > 0, "windows: batch {} and steps {} should be positive", batch_, steps_);
  const auto predicted = static_cast<Index>(ids.size()) - 1;
  require<ValueError>(predicted >= batch_, "windows: {} has {} symbols, too few for {} lanes and their targets", name,
                      ids.size(), batch_);
  lane_ = predicted / batch_;
}

void Windows::fill(Index k, Window& window) const {
  require<IndexError>(k >= 0 && k < count(), "windows: window {} of {}", k, count());
  const Index first = k * steps_, steps = std::min(steps_, lane_ - first);
  for (Tokens* tokens : {&window.inputs, &window.targets}) {
    tokens->shape = {steps, batch_};
    tokens->ids.resize(at(steps * batch_));
    tokens->lengths.clear();
  }
  for (Index b = 0; b < batch_; ++b) {
    const std::int32_t* source = ids_.data() + b * lane_ + first;
    for (Index t = 0; t < steps; ++t) {
      window.inputs.ids[at(t * batch_ + b)] = source[t];
      window.targets.ids[at(t * batch_ + b)] = source[t + 1];
    }
  }
}

Window Windows::operator[](Index k) const {
  Window window;
  fill(k, window);
  return window;
}

Windows::Iterator Windows::begin() const { return Iterator(*this); }

Windows::Iterator::Iterator(Windows windows) : windows_(std::move(windows)) { windows_.fill(0, window_); }

Windows::Iterator& Windows::Iterator::operator++() {
  if (++k_ < windows_.count()) windows_.fill(k_, window_);
  return *this;
}

Text::Text(std::string name, std::shared_ptr<const Vocabulary> symbols, std::vector<std::int32_t> ids)
    : name_(std::move(name)),
      symbols_(std::move(symbols)),
      storage_(std::make_shared<const std::vector<std::int32_t>>(std::move(ids))),
      ids_(*storage_) {}

std::string read_text(const std::filesystem::path& path, std::uintmax_t max_bytes) {
  return checked(read_limited(path, max_bytes), false, path.string());
}

Text Text::of(std::string content, const TextOptions& options, std::string name) {
  content = checked(std::move(content), options.words, name);
  const std::string where = "text: " + name;
  auto symbols = by_lines(content, name, [&] {
    return std::make_shared<const Vocabulary>(options.words ? Vocabulary::words(content, options.max_words, where)
                                                            : Vocabulary::characters(content, options.unknown, where));
  });
  auto ids = symbols->encode(content, symbols->unknown(), where);
  Text text(std::move(name), std::move(symbols), std::move(ids));
  if (options.words) {
    text.source_ = std::make_shared<const std::string>(std::move(content));
    text.max_words_ = options.max_words;
  }
  return text;
}

Text Text::of(std::string content, const Vocabulary& vocabulary, std::string name) {
  content = checked(std::move(content), vocabulary.has_words(), name);
  auto ids = by_lines(content, name, [&] { return vocabulary.encode(content, vocabulary.unknown(), "text: " + name); });
  return Text(std::move(name), std::make_shared<const Vocabulary>(vocabulary), std::move(ids));
}

Text Text::read(const std::filesystem::path& path, const TextOptions& options) {
  return of(read_limited(path, options.max_bytes), options, path.string());
}

Text Text::read(const std::filesystem::path& path, const Vocabulary& vocabulary, std::uintmax_t max_bytes) {
  return of(read_limited(path, max_bytes), vocabulary, path.string());
}

Index Text::unknowns() const {
  return symbols_->unknown() ? std::count(ids_.begin(), ids_.end(), *symbols_->unknown()) : 0;
}

Text Text::part(std::size_t first, std::size_t count) const {
  Text text = *this;
  text.ids_ = ids_.subspan(first, count);
  text.source_ = nullptr;
  return text;
}

std::pair<Text, Text> Text::split(double held_out) const {
  require<ValueError>(held_out > 0 && held_out < 1, "split: the share held out should be between 0 and 1, not {}",
                      held_out);
  const auto tail = static_cast<std::size_t>(held_out * static_cast<double>(ids_.size()));
  require<ValueError>(tail > 0 && tail < ids_.size(), "split: {} has {} symbols, too few to hold out {}", name_,
                      ids_.size(), held_out);
  const std::size_t head = ids_.size() - tail;
  Text whole = *this;
  if (source_ != nullptr) {
    const std::size_t cut = detail::word_offset(*source_, head);
    auto symbols =
        std::make_shared<const Vocabulary>(Vocabulary::words(std::string_view(*source_).substr(0, cut), max_words_));
    auto ids = symbols->encode(*source_);
    whole = Text(name_, std::move(symbols), std::move(ids));
  }
  return {whole.part(0, head), whole.part(head, tail)};
}

Windows Text::windows(const WindowOptions& options) const { return Windows(storage_, ids_, options, name_); }

}  // namespace unroll::inline UNROLL_ISA
