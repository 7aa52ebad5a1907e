#include "threads.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
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

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// How long a thread without work looks for some before it sleeps: longer than it takes to call one that sleeps, which
// on a virtual machine is a tenth of a millisecond. And how often it looks before it looks at the clock.
constexpr microseconds kAwake(250);
constexpr int kLooks = 64;

// Calls that are no further apart come one after another. Of so many one calls those who sleep.
constexpr microseconds kSoon(20);
constexpr int kStreak = 16;

// Where other programs take the cores, so many calls are done alone before a worker is trusted again.
constexpr int kFew = 64, kMany = 8192;

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

// A worker looks for an offer. One that is not taken, because it sleeps or does not run just now, is withdrawn: who
// offers never waits for a thread that has not begun.
struct Worker {
    enum State { idle, offered, taken, done };
    std::atomic<int> state{idle};
    std::atomic<bool> asleep{false};
    std::mutex mutex;
    std::condition_variable wake;
    bool called = false;  // by the mutex
    std::thread thread;
    int away_from = -1;  // the core that it keeps away from
    void (*task)(void*, std::size_t) = nullptr;
    void* data = nullptr;

    bool moves(int from, int to) { return state.compare_exchange_strong(from, to); }
};

void work(Worker& worker, std::size_t part) {
    Flush flush;
    for (;;) {
        for (Clock::time_point until = Clock::now() + kAwake; Clock::now() < until;)
            for (int looks = 0; looks < kLooks; ++looks) {
                if (worker.state.load(std::memory_order_relaxed) == Worker::offered &&
                    worker.moves(Worker::offered, Worker::taken)) {
                    worker.task(worker.data, part);
                    worker.state.store(Worker::done, std::memory_order_release);
                    until = Clock::now() + kAwake;
                }
                breathe();
            }
        std::unique_lock<std::mutex> lock(worker.mutex);
        worker.asleep.store(true);
        // What was offered before this one was seen to sleep is looked for once more.
        if (worker.state.load() != Worker::offered) worker.wake.wait(lock, [&] { return worker.called; });
        worker.called = false;
        worker.asleep.store(false);
    }
}

// A thread that is called is often put on the core of the one that calls, and takes its turn there: it is told to keep
// away.
void keep_away(Worker& worker) {
#if defined(__linux__)
    const int here = sched_getcpu();
    cpu_set_t cores;
    if (here < 0 || here == worker.away_from || here >= CPU_SETSIZE) return;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) return;
    CPU_CLR(static_cast<std::size_t>(here), &cores);
    if (CPU_COUNT(&cores) > 0) pthread_setaffinity_np(worker.thread.native_handle(), sizeof cores, &cores);
    worker.away_from = here;
#else
    (void)worker;
#endif
}

class Pool {
public:
    // Those who sleep are called, unless they would come too late. Returns whether one that had begun was waited for much
    // longer than a part takes: its core has been taken from it.
    bool run(std::size_t parts, void (*task)(void*, std::size_t), void* data, bool call) {
        std::lock_guard<std::mutex> turn(mutex_);
        while (workers_.size() + 1 < parts) {
            auto worker = std::make_unique<Worker>();
            workers_.reserve(workers_.size() + 1);
            worker->thread = std::thread(work, std::ref(*worker), workers_.size() + 1);
            workers_.push_back(std::move(worker));  // only where it has its thread
        }
        for (std::size_t i = 0; i + 1 < parts; ++i) {
            Worker& worker = *workers_[i];
            worker.task = task;
            worker.data = data;
            worker.state.store(Worker::offered);
            if (call && worker.asleep.load()) {
                keep_away(worker);
                std::lock_guard<std::mutex> lock(worker.mutex);
                worker.called = true;
                worker.wake.notify_one();
            }
        }
        Flush flush;
        const Clock::time_point begin = Clock::now();
        task(data, 0);
        const Clock::time_point done = Clock::now();
        bool late = false;
        for (std::size_t i = 0; i + 1 < parts; ++i) {
            Worker& worker = *workers_[i];
            if (worker.moves(Worker::offered, Worker::idle)) {
                task(data, i + 1);
                continue;
            }
            for (int looks = 0; worker.state.load(std::memory_order_acquire) != Worker::done; ++looks)
                looks < 32 * kLooks ? breathe() : std::this_thread::yield();
            worker.state.store(Worker::idle, std::memory_order_relaxed);
            late |= Clock::now() - done > 2 * (done - begin) + kSoon;
        }
        return late;
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
        if (parallel == nullptr) {
            own.run(parts, task, data, true);
            return;
        }
        Team team{task, data, parts};
        return parallel(join_team, &team, static_cast<unsigned>(parts), 0);
    }
    Flush flush;
    if (parts == 1) task(data, 0);
}

void run_parts_soon(std::size_t parts, void (*task)(void*, std::size_t), void* data) {
    thread_local Clock::time_point last;
    thread_local int streak = 0;
    thread_local int alone = 0, next = kFew;  // calls that are done here alone, now and after the next delay
    if (alone > 0) {
        --alone;
        Flush flush;
        for (std::size_t part = 0; part < parts; ++part) task(data, part);
        return;
    }
    streak = Clock::now() - last < kSoon ? streak + 1 : 0;
    const bool late = the_pool().run(parts, task, data, streak % kStreak == kStreak - 1);
    last = Clock::now();
    if (late) {
        alone = next;
        next = std::min(2 * next, kMany);
    } else if (next > kFew) {
        --next;
    }
}

void use_threads_of(Parallel parallel) { others = forked ? nullptr : parallel; }

void watch_forks() { the_pool(); }

}  // namespace recurra
