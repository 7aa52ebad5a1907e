// A small pool of threads of our own: one that waits spins for a moment, then sleeps.
#pragma once

#include <cstddef>

namespace recurra {

// Calls task(data, part) for each part below `parts`, part 0 on this thread and the others on the pool's where they are
// there in time, and returns when all are done. Two callers at once take turns. Denormal numbers are flushed to zero meanwhile.
// The task must not throw, nor call this function. After fork() the child has a pool of its own.
void run_parts(std::size_t parts, void (*task)(void* data, std::size_t part), void* data);

// The same for parts of microseconds, on threads of this pool that are awake: they are if such calls come one after
// another, and else all is done here.
void run_parts_soon(std::size_t parts, void (*task)(void* data, std::size_t part), void* data);

// Whose threads run_parts takes: those of a GNU OpenMP that the process has already, given its GOMP_parallel; of this pool
// again with null. Threads of another library that wait by spinning take the cores from those of the pool, and
// are there at once if they are asked themselves.
using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
void use_threads_of(Parallel parallel);

// From now on a child of fork() has a pool of its own, and uses no threads of another library.
void watch_forks();

template <class F>
void for_each_part(std::size_t parts, F function) {
    run_parts(parts, [](void* data, std::size_t part) { (*static_cast<F*>(data))(part); }, &function);
}

}  // namespace recurra
