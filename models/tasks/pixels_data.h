#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <unroll/autograd/tensor/rng.h>

namespace unroll::inline UNROLL_ISA {

struct Image {
  std::vector<std::uint8_t> pixels;  // [rows, columns]
  Index rows = 0, columns = 0;
  std::int32_t target = -1;  // -1: not known
  std::string place;         // "file: image 12"
  Index length() const { return rows; }
};

/// The file X.labels beside a file X or X.gz, which may be packed itself.
std::string labels_beside(const std::string& file);
/// The images of an IDX file, without what they show. Throws FileError for what is none, or has no two extents above 0.
std::vector<Image> read_images(const std::string& file);
/// The images of files with their labels: a file of labels follows each, or else stands beside the last as FILE.labels.
/// Throws FileError, also when there are more or fewer labels than images.
std::vector<Image> read_labelled_images(const std::vector<std::string>& files);

/// Writes made-up images as IDX: strokes of four directions, crosses, and nothing but noise. The labels go to
/// `path`.labels. Throws FileError.
void write_strokes(const std::string& path, Index count, Rng& rng);

}  // namespace unroll::inline UNROLL_ISA
