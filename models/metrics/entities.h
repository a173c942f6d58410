#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <unroll/models/metrics/classification.h>

// Entities (names, phrases, chunks) in sentences whose tokens have tags, and how many of them are found.

namespace unroll::inline UNROLL_ISA {

/// The place of a token in an entity and the entity's type: `B-PER` is {'B', "PER"}, `O` is {'O', ""}. A tag without a
/// type, such as `B`, has the type "_".
struct Tag {
  char place;  // O outside, B first, I inside, E last, S single
  std::string_view type;
};

/// Reads O, or one of B, I, E and S, alone or with a hyphen and a type, which may hold hyphens itself. Throws
/// ValueError for anything else.
Tag parse_tag(std::string_view tag);

/// Tokens first..end-1 of a sentence.
struct Entity {
  std::string type;
  Index first, end;

  friend bool operator==(const Entity&, const Entity&) = default;
};

/// The entities of a sentence in order, for tags of the schemes IOB1 (B- only where two entities of a type touch), IOB2
/// (B- first), and BIOES (E- last, S- single). Ill-formed sequences have a reading too, that of conlleval and of
/// seqeval by default: an entity ends before O, before B- or S-, after E- or S-, and where the type changes; what is
/// neither outside nor in an entity begins one. Throws ValueError, with the position, for what is not a tag.
std::vector<Entity> find_entities(std::span<const std::string> tags);

/// Precision, recall and F1 of entities over sentences. An entity is correct when type, first and last token are (Tjong
/// Kim Sang & De Meulder 2003). Undefined scores are 0, as in seqeval and conlleval.
class EntityScores {
 public:
  /// Counts one sentence. Throws ValueError, and then counts nothing, for different lengths or what is not a tag.
  void add(std::span<const std::string> truth, std::span<const std::string> predicted);
  EntityScores& operator+=(const EntityScores& other);

  /// By type, in the order of their bytes: types that occur as truth or prediction.
  const std::map<std::string, Detections, std::less<>>& types() const { return types_; }
  /// Of one type; all 0 for a type that does not occur.
  Detections of(std::string_view type) const;
  /// Of all entities together: micro average.
  Detections total() const;
  /// Means over the types. Throws ValueError when there are none.
  MacroScores macro() const;
  /// Share of equal tags. Throws ValueError when there are none.
  double tag_accuracy() const;

  /// The report of conlleval, letter for letter. Throws ValueError when there are no tags.
  std::string report() const;

 private:
  std::map<std::string, Detections, std::less<>> types_;
  std::int64_t tags_ = 0, correct_tags_ = 0;
};

}  // namespace unroll::inline UNROLL_ISA
