#include <unroll/autograd/tape/arena.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define UNROLL_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNROLL_POISON 1
#endif
#endif
#ifdef UNROLL_POISON
#include <sanitizer/asan_interface.h>
#endif

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr std::size_t alignment = 64;
constexpr std::size_t first_chunk = std::size_t{1} << 18;
constexpr std::size_t largest_growth = std::size_t{1} << 28;

void poison([[maybe_unused]] const std::byte* p, [[maybe_unused]] std::size_t n) {
#ifdef UNROLL_POISON
  ASAN_POISON_MEMORY_REGION(p, n);
#endif
}
void unpoison([[maybe_unused]] const std::byte* p, [[maybe_unused]] std::size_t n) {
#ifdef UNROLL_POISON
  ASAN_UNPOISON_MEMORY_REGION(p, n);
#endif
}

std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

}  // namespace

void Arena::Free::operator()(std::byte* p) const { std::free(p); }

void Arena::next_chunk(std::size_t bytes) {
  if (!chunks_.empty()) ++current_;
  offset_ = 0;
  while (current_ < chunks_.size() && chunks_[current_].size < bytes) ++current_;
  if (current_ < chunks_.size()) return;
  const std::size_t grown = std::clamp(capacity_, first_chunk, largest_growth);
  const std::size_t size = round_up(std::max(bytes, grown), alignment);
  if (size > SIZE_MAX / 2) throw std::bad_alloc();
  std::unique_ptr<std::byte[], Free> memory(static_cast<std::byte*>(std::aligned_alloc(alignment, 2 * size)));
  if (!memory) throw std::bad_alloc();
  poison(memory.get(), 2 * size);
  chunks_.push_back({std::move(memory), size});
  capacity_ += size;
}

Arena::Block Arena::allocate(std::size_t bytes) {
  // Small blocks are packed more tightly than a cache line, so that scalars stay cheap.
  const std::size_t align = bytes >= alignment ? alignment : 16;
  offset_ = round_up(offset_, align);
  if (chunks_.empty() || offset_ + bytes > chunks_[current_].size) next_chunk(std::max(bytes, std::size_t{1}));
  Chunk& chunk = chunks_[current_];
  std::byte* data = chunk.memory.get() + offset_;
  offset_ += std::max(bytes, std::size_t{1});
  used_ += bytes;
  unpoison(data, bytes);
  unpoison(data + chunk.size, bytes);
  return {data, data + chunk.size};
}

void Arena::rewind() {
  for (const Chunk& chunk : chunks_) poison(chunk.memory.get(), 2 * chunk.size);
  current_ = offset_ = used_ = 0;
}

}  // namespace unroll::inline UNROLL_ISA
