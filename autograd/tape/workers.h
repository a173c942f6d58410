#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <unroll/autograd/tensor/shape.h>

namespace unroll::inline UNROLL_ISA {

/// Threads that wait, without spinning, for a batch of tasks. One tape per task, and results combined in the order of
/// the tasks, make a computation that does not depend on the number of threads.
class Workers {
 public:
  /// `threads` in all, the calling one included. Throws ValueError unless there is one, and Error where the system
  /// starts no more.
  explicit Workers(int threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int threads() const { return static_cast<int>(threads_.size()) + 1; }
  /// Runs task(0) .. task(count - 1) and returns when all are done. Throws what the first of them to fail threw.
  void run(Index count, const std::function<void(Index)>& task);

 private:
  void work();
  void stop();
  void take_tasks(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable start_, done_;
  const std::function<void(Index)>* task_ = nullptr;
  Index count_ = 0, next_ = 0, running_ = 0;
  Index failed_ = 0;
  std::exception_ptr error_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

/// The same on the calling thread alone when there are no workers.
template <class Task>
void run(Workers* workers, Index count, const Task& task) {
  if (workers != nullptr) return workers->run(count, std::ref(task));
  for (Index i = 0; i < count; ++i) task(i);
}

}  // namespace unroll::inline UNROLL_ISA
