// Numbers below the normal ones are flushed to zero while one of these lives: they are a hundred times slower, and
// vanish anyway. It is its thread's alone: whoever computes for another thread has one too.
#pragma once

#include <cstdint>

#if defined(__SSE__)
#include <immintrin.h>
#endif

namespace recurra {

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
public:
    Flush(const Flush&) = delete;
    Flush& operator=(const Flush&) = delete;
};

}  // namespace recurra
