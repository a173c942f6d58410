#include <unroll/models/tasks/language_reading.h>

#include <algorithm>

#include <unroll/models/data/utf8.h>
#include <unroll/optim/shards.h>

namespace unroll::inline UNROLL_ISA {
namespace {

struct Part {
  Tape<> tape = Tape<>::inference();
  LanguageModel::State state;
  Tokens inputs, targets;
  double nats = 0;
};

}  // namespace

std::string read_texts(const std::vector<std::string>& files, BadLines& bad) {
  std::string all;
  for (const std::string& file : files) {
    const std::string content = bad.skips() ? read_file(file) : read_text(file);
    const std::string_view text = without_byte_order_mark(content);
    if (!all.empty() && all.back() != '\n') all += '\n';
    Index number = 1;
    for (std::size_t first = 0, end = 0; first < text.size(); first = end, ++number) {
      end = std::min(text.find('\n', first), text.size() - 1) + 1;
      const std::string_view line = text.substr(first, end - first);
      const std::size_t good = std::min(detail::well_formed(line), line.find('\0'));
      if (good != line.size()) {
        bad.report(fmt::format("{}:{}", file, number), fmt::format("invalid UTF-8 at byte {}", first + good));
      } else if (line.ends_with("\r\n")) {
        all += line.substr(0, line.size() - 2);
        all += '\n';
      } else {
        all += line;
      }
    }
  }
  require<FileError>(!all.empty(), "{}: there is nothing to read", files[0]);
  return all;
}

const Tokens& rows_of(const Tokens& all, Index first, Index last, Tokens& part) {
  part.shape = {all.time(), last - first};
  part.ids.clear();
  for (Index t = 0; t < all.time(); ++t) {
    const auto step = all.ids.begin() + t * all.batch_size();
    part.ids.insert(part.ids.end(), step + first, step + last);
  }
  return part;
}

std::pair<double, std::int64_t> read_text_with(const LanguageModel& model, const Text& text, const ReadingOptions& o,
                                               Workers& workers) {
  const auto windows = text.windows({.batch = o.lanes, .steps = o.steps});
  const Index count = std::min(o.parts, o.lanes);
  std::vector<std::unique_ptr<Part>> parts;
  for (Index p = 0; p < count; ++p) parts.push_back(std::make_unique<Part>());
  double total = 0;
  Window window;
  for (Index k = 0; k < windows.count(); ++k) {
    windows.fill(k, window);
    workers.run(count, [&](Index p) {
      Part& part = *parts[static_cast<std::size_t>(p)];
      const Index first = part_begin(o.lanes, p, count), end = part_begin(o.lanes, p + 1, count);
      if (k == 0) part.state = model.initial(part.tape, end - first);
      const auto [loss, next] = model.loss(part.tape, rows_of(window.inputs, first, end, part.inputs),
                                           rows_of(window.targets, first, end, part.targets), part.state);
      part.nats = static_cast<double>(loss.item()) * static_cast<double>((end - first) * window.inputs.time());
      part.state = part.tape.restart(next);
    });
    for (const auto& part : parts) total += part->nats;
  }
  return {total / static_cast<double>(windows.targets()), windows.targets()};
}

}  // namespace unroll::inline UNROLL_ISA
