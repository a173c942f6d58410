#include <unroll/autograd/tape/workers.h>

namespace unroll::inline UNROLL_ISA {

Workers::Workers(int threads) {
  require<ValueError>(threads >= 1, "workers: {} threads", threads);
  try {
    for (int i = 1; i < threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    stop();
    throw Error(
        fmt::format("workers: {} of {} threads could be started: {}", threads_.size() + 1, threads, error.what()));
  }
}

Workers::~Workers() { stop(); }

void Workers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  start_.notify_all();
}

void Workers::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    start_.wait(lock, [this] { return stopping_ || next_ < count_; });
    if (stopping_) return;
    take_tasks(lock);
  }
}

void Workers::take_tasks(std::unique_lock<std::mutex>& lock) {
  while (next_ < count_) {
    const Index mine = next_++;
    ++running_;
    lock.unlock();
    std::exception_ptr error;
    try {
      (*task_)(mine);
    } catch (...) { error = std::current_exception(); }
    lock.lock();
    --running_;
    if (error && (!error_ || mine < failed_)) {
      error_ = error;
      failed_ = mine;
    }
  }
  if (running_ == 0) done_.notify_all();
}

void Workers::run(Index count, const std::function<void(Index)>& task) {
  std::unique_lock lock(mutex_);
  task_ = &task;
  count_ = count;
  next_ = 0;
  error_ = nullptr;
  start_.notify_all();
  take_tasks(lock);
  done_.wait(lock, [this] { return running_ == 0; });
  count_ = next_ = 0;
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

}  // namespace unroll::inline UNROLL_ISA
