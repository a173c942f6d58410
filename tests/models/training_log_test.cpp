#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <protozero/pbf_reader.hpp>
#include <sstream>

#include <unroll/models/training_log.h>

using namespace unroll;

namespace {

struct Folder {
  std::string path = std::filesystem::temp_directory_path() / fmt::format("unroll-log-{}", ::getpid());
  ~Folder() { std::filesystem::remove_all(path); }

  std::string read(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(path + "/" + name, std::ios::binary).rdbuf();
    return text.str();
  }
  std::vector<std::string> event_files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path))
      if (const std::string name = entry.path().filename(); name.find("tfevents") != std::string::npos)
        names.push_back(name);
    return names;
  }
  std::string events() const {
    const auto names = event_files();
    REQUIRE(names.size() == 1);
    return read(names[0]);
  }
};

std::uint64_t number(const std::string& bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
  return value;
}

/// Bit by bit, by its definition.
std::uint32_t crc32c(const std::string& data) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : data) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int k = 0; k < 8; ++k) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
  }
  return crc ^ 0xffffffff;
}

/// The messages of an event file, whose frames are checked: length, its masked checksum, message, its masked checksum.
std::vector<std::string> records(const std::string& file) {
  const auto masked = [](const std::string& data) {
    const std::uint32_t crc = crc32c(data);
    return static_cast<std::uint32_t>((crc >> 15 | crc << 17) + 0xa282ead8);
  };
  std::vector<std::string> all;
  for (std::size_t at = 0; at < file.size();) {
    const std::size_t length = number(file.substr(at, 8));
    REQUIRE(at + length + 16 <= file.size());
    CHECK(number(file.substr(at + 8, 4)) == masked(file.substr(at, 8)));
    all.push_back(file.substr(at + 12, length));
    CHECK(number(file.substr(at + 12 + length, 4)) == masked(all.back()));
    at += length + 16;
  }
  return all;
}

}  // namespace

TEST_CASE("training log: what is logged stands in the CSV and, in valid frames, in the event file") {
  CHECK(crc32c("123456789") == 0xe3069283);  // the check value of CRC-32C
  const Folder folder;
  {
    TrainingLog log(folder.path);
    log.scalar(3, "train/loss", 0.25);
    log.scalars(300, "valid", {{"accuracy", 0.5}, {"task", std::string("ner")}, {"right", std::int64_t{7}}});
  }
  CHECK(folder.read("metrics.csv") ==
        "step,name,value\n3,train/loss,0.25\n300,valid/accuracy,0.5\n300,valid/right,7\n");
  const auto messages = records(folder.events());
  REQUIRE(messages.size() == 4);
  std::vector<std::string> said;
  for (const std::string& message : messages) {
    protozero::pbf_reader event(message);
    std::int64_t step = 0;
    while (event.next()) {
      if (event.tag() == 1)
        CHECK(event.get_double() > 1.7e9);  // seconds since 1970
      else if (event.tag() == 2)
        step = event.get_int64();
      else if (event.tag() == 3)
        said.push_back(event.get_string());
      else {
        protozero::pbf_reader summary = event.get_message();
        REQUIRE(summary.next(1));
        protozero::pbf_reader value = summary.get_message();
        REQUIRE(value.next(1));
        const std::string name = value.get_string();
        REQUIRE(value.next(2));
        said.push_back(fmt::format("{} {} {}", step, name, value.get_float()));
      }
    }
  }
  CHECK(said ==
        std::vector<std::string>{"brain.Event:2", "3 train/loss 0.25", "300 valid/accuracy 0.5", "300 valid/right 7"});
}

TEST_CASE("training log: the table is begun anew, or goes on") {
  const Folder folder;
  TrainingLog(folder.path).scalar(1, "a", 1.0);
  TrainingLog(folder.path, true).scalar(2, "a", 2.0);
  CHECK(folder.read("metrics.csv") == "step,name,value\n1,a,1\n2,a,2\n");
  TrainingLog(folder.path).scalar(3, "a", 3.0);
  CHECK(folder.read("metrics.csv") == "step,name,value\n3,a,3\n");
}

TEST_CASE("training log: each has a file of events of its own, however soon it comes") {
  const Folder folder;
  for (Index i = 0; i < 20; ++i) TrainingLog(folder.path, true).scalar(i, "a", 1.0);
  CHECK(folder.event_files().size() == 20);
}

TEST_CASE("training log: another table of that name is not written over") {
  const Folder folder;
  std::filesystem::create_directories(folder.path);
  std::ofstream(folder.path + "/metrics.csv") << "day,metric\n1,2\n";
  CHECK_THROWS_AS(TrainingLog(folder.path), FileError);
  CHECK(folder.read("metrics.csv") == "day,metric\n1,2\n");
}

TEST_CASE("training log: no folder writes nothing, and one that cannot be made is an error") {
  TrainingLog("").scalar(1, "train/loss", 1.0);
  const Folder folder;
  std::ofstream(folder.path) << "a file";
  CHECK_THROWS_AS(TrainingLog(folder.path), FileError);
}
