// A small pool of threads of our own: one that waits spins for a moment, then sleeps.
#pragma once

#include <cstddef>
#include <memory>

namespace recurra {

using Task = void (*)(void* data, std::size_t part);

// Calls task(data, part) for each part below `parts`, part 0 on this thread and the others on the pool's where they are
// there in time, and returns when all are done. Two callers at once take turns. Denormal numbers are flushed to zero meanwhile.
// The task must not throw, nor call this function. After fork() the child has a pool of its own.
void run_parts(std::size_t parts, Task task, void* data);

// The same for parts of microseconds, on threads of this pool that are awake: they are if such calls come one after
// another, and else all is done here.
void run_parts_soon(std::size_t parts, Task task, void* data);

// Threads of one call of run_parts, of which the first shares parts of microseconds with the others: they stand by until
// it is over. One that is not there yet, or never comes, is not waited for.
class Crew {
public:
    explicit Crew(std::size_t members);
    ~Crew();
    void run(Task task, void* data);  // by the first: a part for each member
    void serve(std::size_t member);   // by another one, until the first one closes
    void close();

private:
    struct Seats;
    std::unique_ptr<Seats> seats_;
};

// Whose threads run_parts takes: those of a GNU OpenMP that the process has already, given its GOMP_parallel; of this pool
// again with null. Threads of another library that wait by spinning take the cores from those of the pool, and
// are there at once if they are asked themselves. Where they are late, because other programs have their cores, the pool's
// own are asked for a while: what they have not begun is taken back.
using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
void use_threads_of(Parallel parallel);

// From now on a child of fork() has a pool of its own, and uses no threads of another library.
void watch_forks();

template <class F>
void for_each_part(std::size_t parts, F function) {
    run_parts(parts, [](void* data, std::size_t part) { (*static_cast<F*>(data))(part); }, &function);
}

}  // namespace recurra
