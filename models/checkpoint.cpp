#include <unroll/models/checkpoint.h>

namespace unroll::inline UNROLL_ISA {

void Checkpoint::write(const std::filesystem::path& path) {
  file_.metadata = metadata;
  file_.write(path);
}

Checkpoint Checkpoint::read(const std::filesystem::path& path) {
  Checkpoint result;
  result.file_ = Safetensors::read(path);
  result.metadata = result.file_.metadata;
  result.path_ = path.string();
  return result;
}

}  // namespace unroll::inline UNROLL_ISA
