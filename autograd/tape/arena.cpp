#include <unroll/autograd/tape/arena.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

#ifdef UNROLL_POISON
#include <sanitizer/asan_interface.h>
#endif

namespace unroll::inline UNROLL_ISA {
namespace {

constexpr std::size_t first_chunk = std::size_t{1} << 18;
constexpr std::size_t large_page = std::size_t{1} << 21;
constexpr std::size_t largest_growth = std::size_t{1} << 28;

void poison([[maybe_unused]] const std::byte* p, [[maybe_unused]] std::size_t n) {
#ifdef UNROLL_POISON
  ASAN_POISON_MEMORY_REGION(p, n);
#endif
}
std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

}  // namespace

void Arena::Free::operator()(std::byte* p) const { std::free(p); }

#ifdef UNROLL_POISON
void Arena::unpoison(std::size_t begin, std::size_t bytes) const {
  ASAN_UNPOISON_MEMORY_REGION(data_ + begin, bytes);
  ASAN_UNPOISON_MEMORY_REGION(data_ + size_ + begin, bytes);
}
#endif

void Arena::enter_chunk(std::size_t index) {
  current_ = index;
  data_ = chunks_[index].memory.get();
  size_ = chunks_[index].size;
  offset_ = 0;
}

Arena::Block Arena::allocate_elsewhere(std::size_t bytes) {
  const std::size_t needed = std::max(bytes, std::size_t{1});
  std::size_t next = data_ == nullptr ? 0 : current_ + 1;
  while (next < chunks_.size() && chunks_[next].size < needed) ++next;
  if (next == chunks_.size()) {
    const std::size_t grown = std::clamp(capacity_, first_chunk, largest_growth);
    const std::size_t size = round_up(std::max(needed, grown), alignment);
    if (size > SIZE_MAX / 2) throw std::bad_alloc();
    const std::size_t total = 2 * size, page = total >= 2 * large_page ? large_page : alignment;
    std::unique_ptr<std::byte[], Free> memory(static_cast<std::byte*>(std::aligned_alloc(page, round_up(total, page))));
    if (!memory) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (page == large_page) madvise(memory.get(), round_up(total, page), MADV_HUGEPAGE);  // a hint: it may fail
#endif
    poison(memory.get(), 2 * size);
    chunks_.push_back({std::move(memory), size});
    capacity_ += size;
  }
  enter_chunk(next);
  return allocate(bytes);
}

void Arena::rewind() {
  for (const Chunk& chunk : chunks_) poison(chunk.memory.get(), 2 * chunk.size);
  if (!chunks_.empty()) enter_chunk(0);
  used_ = 0;
}

}  // namespace unroll::inline UNROLL_ISA
