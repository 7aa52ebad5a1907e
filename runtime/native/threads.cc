#include "threads.h"

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__SSE__)
#include <immintrin.h>
#endif

namespace recurra {
namespace {

// How often a waiting thread looks before it sleeps: some 30 microseconds.
constexpr int kLooks = 2000;

void breathe() {
#if defined(__SSE__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Numbers below the normal ones are flushed to zero: they are a hundred times slower, and vanish anyway.
class Flush {
public:
#if defined(__SSE__)
    Flush() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
    ~Flush() { _mm_setcsr(before_); }

private:
    unsigned before_;
#elif defined(__aarch64__)
    Flush() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" : : "r"(before_ | std::uint64_t{1} << 24));
    }
    ~Flush() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

private:
    std::uint64_t before_;
#else
    Flush() {}
#endif
};

struct Job {
    void (*task)(void*, std::size_t) = nullptr;
    void* data = nullptr;
};

// A worker waits for its number of jobs to grow.
struct Worker {
    std::atomic<std::uint64_t> asked{0}, done{0};
    std::atomic<bool> asleep{false};
    std::mutex mutex;
    std::condition_variable wake;
    Job job;
};

void work(Worker& worker, std::size_t part) {
    Flush flush;
    for (std::uint64_t next = 1;; ++next) {
        for (int looks = 0; worker.asked.load(std::memory_order_acquire) < next && looks < kLooks; ++looks)
            breathe();
        if (worker.asked.load(std::memory_order_acquire) < next) {
            std::unique_lock<std::mutex> lock(worker.mutex);
            worker.asleep.store(true);
            worker.wake.wait(lock, [&] { return worker.asked.load() >= next; });
            worker.asleep.store(false);
        }
        worker.job.task(worker.job.data, part);
        worker.done.store(next, std::memory_order_release);
    }
}

class Pool {
public:
    void run(std::size_t parts, void (*task)(void*, std::size_t), void* data) {
        std::lock_guard<std::mutex> turn(mutex_);
        while (workers_.size() + 1 < parts) {
            auto worker = std::make_unique<Worker>();
            workers_.reserve(workers_.size() + 1);
            std::thread(work, std::ref(*worker), workers_.size() + 1).detach();
            workers_.push_back(std::move(worker));  // only where it has its thread
        }
        for (std::size_t i = 0; i + 1 < parts; ++i) {
            Worker& worker = *workers_[i];
            worker.job = {task, data};
            worker.asked.fetch_add(1);
            if (worker.asleep.load()) {
                std::lock_guard<std::mutex> lock(worker.mutex);
                worker.wake.notify_one();
            }
        }
        {
            Flush flush;
            task(data, 0);
        }
        for (std::size_t i = 0; i + 1 < parts; ++i)
            for (int looks = 0; workers_[i]->done.load(std::memory_order_acquire) !=
                                workers_[i]->asked.load(std::memory_order_relaxed);
                 ++looks)
                looks < kLooks ? breathe() : std::this_thread::yield();
    }

private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<Worker>> workers_;
};

std::atomic<Parallel> others{nullptr};
std::atomic<bool> forked{false};  // this process is a child: the threads of other libraries are not in it

// However many threads come, each takes parts until none is left.
struct Team {
    void (*task)(void*, std::size_t);
    void* data;
    std::size_t parts;
    std::atomic<std::size_t> next{0};
};

void join_team(void* given) {
    Flush flush;
    Team& team = *static_cast<Team*>(given);
    for (std::size_t part; (part = team.next.fetch_add(1, std::memory_order_relaxed)) < team.parts;)
        team.task(team.data, part);
}

// Never destroyed: its threads run until the process ends. A child of fork() has none of them.
Pool* pool = nullptr;

Pool& the_pool() {
    static const bool once = [] {
        pool = new Pool;
        return pthread_atfork(nullptr, nullptr, [] { pool = new Pool; others = nullptr; forked = true; }) == 0;
    }();
    (void)once;
    return *pool;
}

}  // namespace

void run_parts(std::size_t parts, void (*task)(void*, std::size_t), void* data) {
    if (parts > 1) {
        Pool& own = the_pool();  // made here, so that a child of fork() is seen
        const Parallel parallel = others;
        if (parallel == nullptr) return own.run(parts, task, data);
        Team team{task, data, parts};
        return parallel(join_team, &team, static_cast<unsigned>(parts), 0);
    }
    Flush flush;
    if (parts == 1) task(data, 0);
}

void use_threads_of(Parallel parallel) { others = forked ? nullptr : parallel; }

void watch_forks() { the_pool(); }

}  // namespace recurra
