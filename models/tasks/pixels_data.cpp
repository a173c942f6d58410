#include <unroll/models/tasks/pixels_data.h>

#include <unroll/autograd/tensor/error.h>
#include <unroll/models/data/files.h>
#include <unroll/models/data/idx.h>

namespace unroll::inline UNROLL_ISA {

std::string labels_beside(const std::string& file) { return file_beside(file, "", ".labels"); }

std::vector<Image> read_images(const std::string& file) {
  const IdxArray array = IdxArray::read(file);
  require<FileError>(array.extents.size() == 3 && array.stride() > 0, "{}: byte 4: images have two extents above 0",
                     file);
  std::vector<Image> images;
  const auto size = static_cast<std::ptrdiff_t>(array.stride());
  for (Index i = 0; i < array.extents[0]; ++i) {
    const auto first = array.values.begin() + i * size;
    images.push_back(
        {{first, first + size}, array.extents[1], array.extents[2], -1, fmt::format("{}: image {}", file, i + 1)});
  }
  return images;
}

std::vector<Image> read_labelled_images(const std::vector<std::string>& files) {
  std::vector<Image> all;
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::vector<Image> images = read_images(files[i]);
    const std::string beside = labels_beside(files[i]);
    const std::string name = i + 1 < files.size() ? files[++i] : beside;
    require<FileError>(name != beside || is_there(beside), "{}: its labels are missing: --data IMAGES LABELS",
                       files[i]);
    const IdxArray labels = IdxArray::read(name);
    require<FileError>(labels.extents.size() == 1, "{}: byte 3: labels have one extent", name);
    require<FileError>(labels.values.size() == images.size(), "{}: byte 4: {} labels for {} images", name,
                       labels.values.size(), images.size());
    for (std::size_t k = 0; k < images.size(); ++k) {
      images[k].target = labels.values[k];
      all.push_back(std::move(images[k]));
    }
  }
  return all;
}

void write_strokes(const std::string& path, Index count, Rng& rng) {
  constexpr Index side = 28, kinds = 6;
  IdxArray images{{count, side, side}, std::vector<std::uint8_t>(static_cast<std::size_t>(count * side * side))};
  IdxArray labels{{count}, {}};
  for (Index i = 0; i < count; ++i) {
    const Index kind = rng.below(kinds), half = 5 + rng.below(5);
    const Index row = 10 + rng.below(8), column = 10 + rng.below(8);
    labels.values.push_back(static_cast<std::uint8_t>(kind));
    std::uint8_t* const image = images.values.data() + i * side * side;
    for (Index p = 0; p < side * side; ++p) image[p] = static_cast<std::uint8_t>(rng.below(40));
    const auto draw = [&](Index down, Index right) {
      for (Index k = -half; k <= half; ++k)
        for (const Index thick : {0, 1}) {
          const Index r = row + k * down + (right != 0 ? thick : 0), c = column + k * right + (right != 0 ? 0 : thick);
          image[r * side + c] = static_cast<std::uint8_t>(200 + rng.below(56));
        }
    };
    if (kind == 0 || kind == 4) draw(0, 1);
    if (kind == 1 || kind == 4) draw(1, 0);
    if (kind == 2) draw(1, 1);
    if (kind == 3) draw(1, -1);
  }
  images.write(path);
  labels.write(path + ".labels");
}

}  // namespace unroll::inline UNROLL_ISA
