#pragma once

#include <numeric>
#include <vector>

#include <unroll/autograd/ops/loss.h>

namespace unroll::inline UNROLL_ISA::detail {

/// The rows of h [..., width] that have a target, side by side, and their targets; the others are never read.
/// Throws ShapeError unless there is a target for each row, and IndexError for one that is no class and not `ignore`.
template <Real T>
struct TargetRows {
  Var<T> h;                               // [count, width]
  std::span<const std::int32_t> targets;  // [count]
  std::span<Index> rows;                  // [count] row of h of each
  Shape shape;                            // of h, less its last axis
  Index count;

  /// Rows are ordered by group_of(target), a number; those of a group keep their order.
  template <class F>
  TargetRows(Var<T> all, std::span<const std::int32_t> ids, Index width, Index classes, std::int32_t ignore,
             const char* op, F group_of) {
    Tape<T>& tape = all.tape();
    const Shape of_all = tape.checked(all, op).shape;
    tape.template require<ShapeError>(of_all.rank() >= 1 && of_all.cols() == width,
                                      "{}: rows [..., {}] are needed, not {}", op, width, of_all);
    tape.template require<ShapeError>(of_all.rows() == static_cast<Index>(ids.size()), "{}: {} targets for {}", op,
                                      ids.size(), of_all);
    shape = of_all.without(-1);
    count = 0;
    rows = tape.template room<Index>(static_cast<Index>(ids.size()));
    for (std::size_t r = 0; r < ids.size(); ++r) {
      if (ids[r] == ignore) continue;
      tape.template require<IndexError>(ids[r] >= 0 && ids[r] < classes, "{}: class {} of row {} is outside 0 .. {}",
                                        op, ids[r], r, classes - 1);
      rows[static_cast<std::size_t>(count++)] = static_cast<Index>(r);
    }
    rows = rows.first(static_cast<std::size_t>(count));
    std::ranges::stable_sort(rows, {}, [&](Index r) { return group_of(ids[static_cast<std::size_t>(r)]); });
    const std::span<std::int32_t> kept = tape.template room<std::int32_t>(count);
    for (std::size_t i = 0; i < kept.size(); ++i) kept[i] = ids[static_cast<std::size_t>(rows[i])];
    targets = kept;
    h = gather_rows(all, std::span<const Index>(rows), Shape{count, width});
  }

  /// What is made of the losses [count] of the rows: one number, or one for each row of h and 0 where there is no
  /// target. Throws ValueError for the mean of none.
  Var<T> reduce(Var<T> losses, Reduction reduction, const char* op) const {
    Tape<T>& tape = losses.tape();
    if (reduction == Reduction::sum) return sum(losses);
    if (reduction == Reduction::mean) {
      tape.template require<ValueError>(count > 0, "{}: there is no target to average over", op);
      return sum(losses) * (1.0 / static_cast<double>(count));
    }
    const std::span<Index> back = tape.template room<Index>(shape.size());
    std::ranges::fill(back, Index{-1});
    for (std::size_t i = 0; i < rows.size(); ++i) back[static_cast<std::size_t>(rows[i])] = static_cast<Index>(i);
    const Var<T> column = gather_rows(reshape(losses, {count, 1}), back, Shape{shape.size(), 1});
    return reshape(column, shape);
  }
};

}  // namespace unroll::inline UNROLL_ISA::detail
