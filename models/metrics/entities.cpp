#include <unroll/models/metrics/entities.h>

#include <algorithm>

namespace unroll::inline UNROLL_ISA {

namespace {

constexpr std::string_view no_type = "_";

bool read_tag(std::string_view text, Tag& tag) {
  if (text.empty() || std::string_view("OBIES").find(text[0]) == std::string_view::npos) return false;
  tag = {text[0], text == "O" ? "" : no_type};
  if (text.size() == 1) return true;
  tag.type = text.substr(2);
  return tag.place != 'O' && text[1] == '-' && !tag.type.empty();
}

bool ends(const Tag& before, const Tag& now) {
  return now.place == 'O' || now.place == 'B' || now.place == 'S' || before.place == 'E' || before.place == 'S' ||
         before.type != now.type;
}

std::string percentages(const Detections& found) {
  return fmt::format("precision: {:6.2f}%; recall: {:6.2f}%; FB1: {:6.2f}", 100 * found.precision(),
                     100 * found.recall(), 100 * found.f1());
}

}  // namespace

Tag parse_tag(std::string_view text) {
  Tag tag{};
  require<ValueError>(read_tag(text, tag), "tag '{}' is neither O nor B, I, E or S with a type, as in B-PER", text);
  return tag;
}

std::vector<Entity> find_entities(std::span<const std::string> tags) {
  std::vector<Entity> entities;
  Tag before{'O', ""};
  for (std::size_t i = 0; i < tags.size(); ++i) {
    Tag now{};
    require<ValueError>(read_tag(tags[i], now),
                        "entities: tag '{}' at position {} is neither O nor B, I, E or S with a type, as in B-PER",
                        tags[i], i);
    const bool inside = before.place != 'O' && !ends(before, now);
    const auto place = static_cast<Index>(i);
    if (inside)
      entities.back().end = place + 1;
    else if (now.place != 'O')
      entities.push_back({std::string(now.type), place, place + 1});
    before = now;
  }
  return entities;
}

void EntityScores::add(std::span<const std::string> truth, std::span<const std::string> predicted) {
  require<ValueError>(truth.size() == predicted.size(), "entities: a sentence of {} true tags and {} predicted ones",
                      truth.size(), predicted.size());
  const std::vector<Entity> actual = find_entities(truth), found = find_entities(predicted);
  for (const Entity& entity : actual) ++types_[entity.type].actual;
  auto candidate = actual.begin();
  for (const Entity& entity : found) {
    Detections& counts = types_[entity.type];
    ++counts.predicted;
    while (candidate != actual.end() && candidate->first < entity.first) ++candidate;
    counts.correct += candidate != actual.end() && *candidate == entity;
  }
  tags_ += static_cast<std::int64_t>(truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i) correct_tags_ += truth[i] == predicted[i];
}

EntityScores& EntityScores::operator+=(const EntityScores& other) {
  for (const auto& [type, counts] : other.types_) types_[type] += counts;
  tags_ += other.tags_;
  correct_tags_ += other.correct_tags_;
  return *this;
}

Detections EntityScores::of(std::string_view type) const {
  const auto found = types_.find(type);
  return found == types_.end() ? Detections{} : found->second;
}

Detections EntityScores::total() const {
  Detections sum;
  for (const auto& [type, counts] : types_) sum += counts;
  return sum;
}

MacroScores EntityScores::macro() const {
  require<ValueError>(!types_.empty(), "entities: there are no entities to average over");
  MacroScores sum;
  for (const auto& [type, counts] : types_) {
    sum.precision += counts.precision();
    sum.recall += counts.recall();
    sum.f1 += counts.f1();
  }
  const auto n = static_cast<double>(types_.size());
  return {sum.precision / n, sum.recall / n, sum.f1 / n};
}

double EntityScores::tag_accuracy() const {
  require<ValueError>(tags_ > 0, "entities: there are no tags");
  return static_cast<double>(correct_tags_) / static_cast<double>(tags_);
}

std::string EntityScores::report() const {
  const double accuracy = tag_accuracy();
  const Detections all = total();
  std::string text =
      fmt::format("processed {} tokens with {} phrases; found: {} phrases; correct: {}.\naccuracy: {:6.2f}%; {}\n",
                  tags_, all.actual, all.predicted, all.correct, 100 * accuracy, percentages(all));
  for (const auto& [type, counts] : types_)
    text += fmt::format("{:>17}: {}  {}\n", type, percentages(counts), counts.predicted);
  return text;
}

}  // namespace unroll::inline UNROLL_ISA
