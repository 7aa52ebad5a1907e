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

#include "flush.h"

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

// Where a thread looks for work. An offer that is not taken, because the thread sleeps or does not run just now, is
// withdrawn: who offers never waits for a thread that has not begun.
struct alignas(64) Seat {
    enum State { idle, offered, taken, done };
    std::atomic<int> state{idle};
    Task task = nullptr;
    void* data = nullptr;

    bool moves(int from, int to) { return state.compare_exchange_strong(from, to); }

    void offer(Task what, void* with) {
        task = what;
        data = with;
        state.store(offered);
    }

    // By who looks: whether there was something, which is done now.
    bool work(std::size_t part) {
        if (state.load(std::memory_order_relaxed) != offered || !moves(offered, taken)) return false;
        task(data, part);
        state.store(done, std::memory_order_release);
        return true;
    }

    // By who offered: it is done, here if nobody has begun. Whether somebody had.
    bool collect(std::size_t part) {
        if (moves(offered, idle)) {
            task(data, part);
            return false;
        }
        for (int looks = 0; state.load(std::memory_order_acquire) != done; ++looks)
            looks < 32 * kLooks ? breathe() : std::this_thread::yield();
        state.store(idle, std::memory_order_relaxed);
        return true;
    }
};

// Whether those who are waited for much longer than a part takes, because their cores are taken from them, are asked at
// all: after a delay so many parts are done alone, and more after the next one.
class Trust {
public:
    bool there() { return alone_ == 0 || alone_-- == 0; }

    void told(bool late) {
        if (late) {
            alone_ = next_;
            next_ = std::min(2 * next_, kMany);
        } else if (next_ > kFew) {
            --next_;
        }
    }

private:
    int alone_ = 0, next_ = kFew;
};

Trust& trust() {
    thread_local Trust own;
    return own;
}

// The same of threads that are asked as a region of another library, which ends when the last of them has been there,
// whether or not there was anything left to do.
Trust& trust_in_regions() {
    thread_local Trust own;
    return own;
}

// A region whose end comes so much later than that of its last part waited for a thread that had no core.
constexpr microseconds kPrompt(50);

// Does a part here, and collects the others. Returns whether one that had begun was waited for too long.
template <class SeatOf>
bool together(std::size_t parts, Task task, void* data, SeatOf seat) {
    const Clock::time_point begin = Clock::now();
    task(data, 0);
    const Clock::time_point done = Clock::now();
    bool late = false;
    for (std::size_t part = 1; part < parts; ++part) {
        const bool begun = seat(part).collect(part);
        late |= begun && Clock::now() - done > 2 * (done - begin) + kSoon;
    }
    return late;
}

void all_here(std::size_t parts, Task task, void* data) {
    for (std::size_t part = 0; part < parts; ++part) task(data, part);
}

// A thread of the pool, which sleeps if nothing is offered for a while.
struct Worker : Seat {
    std::atomic<bool> asleep{false};
    std::mutex mutex;
    std::condition_variable wake;
    bool called = false;  // by the mutex
    std::thread thread;
    int away_from = -1;  // the core that it keeps away from
};

void work(Worker& worker, std::size_t part) {
    Flush flush;
    for (;;) {
        for (Clock::time_point until = Clock::now() + kAwake; Clock::now() < until;)
            for (int looks = 0; looks < kLooks; ++looks) {
                if (worker.work(part)) until = Clock::now() + kAwake;
                breathe();
            }
        std::unique_lock<std::mutex> lock(worker.mutex);
        worker.asleep.store(true);
        // What was offered before this one was seen to sleep is looked for once more.
        if (worker.state.load() != Seat::offered) worker.wake.wait(lock, [&] { return worker.called; });
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
    // Those who sleep are called, unless they would come too late. Returns what together() does.
    bool run(std::size_t parts, Task task, void* data, bool call) {
        std::lock_guard<std::mutex> turn(mutex_);
        while (workers_.size() + 1 < parts) {
            auto worker = std::make_unique<Worker>();
            workers_.reserve(workers_.size() + 1);
            worker->thread = std::thread(work, std::ref(*worker), workers_.size() + 1);
            workers_.push_back(std::move(worker));  // only where it has its thread
        }
        for (std::size_t i = 0; i + 1 < parts; ++i) {
            Worker& worker = *workers_[i];
            worker.offer(task, data);
            if (call && worker.asleep.load()) {
                keep_away(worker);
                std::lock_guard<std::mutex> lock(worker.mutex);
                worker.called = true;
                worker.wake.notify_one();
            }
        }
        Flush flush;
        return together(parts, task, data, [&](std::size_t part) -> Seat& { return *workers_[part - 1]; });
    }

private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<Worker>> workers_;
};

std::atomic<Parallel> others{nullptr};
std::atomic<bool> forked{false};  // this process is a child: the threads of other libraries are not in it

// However many threads come, each takes parts until none is left.
struct Team {
    Task task;
    void* data;
    std::size_t parts;
    std::atomic<std::size_t> next{0};
    std::atomic<Clock::rep> done{0};  // when the last part was
};

void join_team(void* given) {
    Flush flush;
    Team& team = *static_cast<Team*>(given);
    for (std::size_t part; (part = team.next.fetch_add(1, std::memory_order_relaxed)) < team.parts;) {
        team.task(team.data, part);
        const Clock::rep now = Clock::now().time_since_epoch().count();
        for (Clock::rep last = team.done; last < now && !team.done.compare_exchange_weak(last, now);) {
        }
    }
}

// As a region of another library. Returns whether its end was late.
bool in_region(Parallel parallel, std::size_t parts, Task task, void* data) {
    Team team{task, data, parts};
    const Clock::time_point begin = Clock::now();
    parallel(join_team, &team, static_cast<unsigned>(parts), 0);
    const Clock::time_point done{Clock::duration{team.done.load()}};
    return Clock::now() - done > kPrompt + (done - begin) / 4;
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

void run_parts(std::size_t parts, Task task, void* data) {
    if (parts > 1) {
        Pool& own = the_pool();  // made here, so that a child of fork() is seen
        const Parallel parallel = others;
        if (parallel == nullptr || !trust_in_regions().there())
            own.run(parts, task, data, true);
        else
            trust_in_regions().told(in_region(parallel, parts, task, data));
        return;
    }
    Flush flush;
    if (parts == 1) task(data, 0);
}

void run_parts_soon(std::size_t parts, Task task, void* data) {
    thread_local Clock::time_point last;
    thread_local int streak = 0;
    if (!trust().there()) {
        Flush flush;
        return all_here(parts, task, data);
    }
    streak = Clock::now() - last < kSoon ? streak + 1 : 0;
    trust().told(the_pool().run(parts, task, data, streak % kStreak == kStreak - 1));
    last = Clock::now();
}

struct Crew::Seats {
    explicit Seats(std::size_t count) : each(count) {}
    std::vector<Seat> each;
    std::atomic<bool> closed{false};
};

Crew::Crew(std::size_t members) : seats_(std::make_unique<Seats>(members)) {}
Crew::~Crew() = default;

void Crew::serve(std::size_t member) {
    Flush flush;
    while (!seats_->closed.load(std::memory_order_acquire))
        for (int looks = 0; looks < kLooks; ++looks) {
            seats_->each[member].work(member);
            breathe();
        }
}

void Crew::run(Task task, void* data) {
    std::vector<Seat>& seats = seats_->each;
    if (!trust().there()) return all_here(seats.size(), task, data);
    for (std::size_t part = 1; part < seats.size(); ++part) seats[part].offer(task, data);
    trust().told(together(seats.size(), task, data, [&](std::size_t part) -> Seat& { return seats[part]; }));
}

void Crew::close() { seats_->closed.store(true, std::memory_order_release); }

void use_threads_of(Parallel parallel) { others = forked ? nullptr : parallel; }

void watch_forks() { the_pool(); }

}  // namespace recurra
