#include <unroll/models/output_file.h>

#include <unistd.h>

#include <filesystem>

#include <unroll/autograd/tensor/error.h>

namespace unroll::inline UNROLL_ISA {

void check_output(const char* command, const std::string& path, std::span<const std::string> read) {
  if (path.empty()) return;
  const std::filesystem::path out(path);
  const std::filesystem::path folder = out.has_parent_path() ? out.parent_path() : ".";
  std::error_code unknown;  // a file that is not there is no other one
  require<FileError>(std::filesystem::is_directory(folder, unknown) && ::access(folder.c_str(), W_OK) == 0,
                     "{}: {}: {} is no folder that can be written to", command, path, folder.string());
  const auto status = std::filesystem::status(out, unknown);
  require<FileError>(std::filesystem::status_known(status), "{}: {}: {}", command, path, unknown.message());
  require<FileError>(!std::filesystem::is_directory(status), "{}: {} is a folder", command, path);
  for (const std::string& file : read)
    require<FileError>(!std::filesystem::equivalent(out, file, unknown), "{}: {} would be written over, and is read",
                       command, path);
}

void check_model_output(const char* command, const std::string& path, std::span<const std::string> read) {
  check_output(command, path, read);
  std::error_code unknown;
  require<FileError>(
      path.empty() || !std::filesystem::exists(path, unknown) || std::filesystem::is_regular_file(path, unknown),
      "{}: {} is no regular file", command, path);
}

}  // namespace unroll::inline UNROLL_ISA
