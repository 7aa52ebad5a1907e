// What the checks of kernels share: counting what is wrong, numbers to compute with, and how near a result has to be.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "../native/isa.h"

namespace recurra {

using Real = long double;

inline int failures = 0;

#define EXPECT(good, ...)                      \
    do {                                       \
        if (!(good) && ++failures <= 20) {     \
            std::printf("FAILED: " __VA_ARGS__); \
            std::printf("\n");                 \
        }                                      \
    } while (false)

// Numbers that hang on the seed alone.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
    std::uint64_t bits() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }
    double uniform(double from, double to) { return from + (to - from) * static_cast<double>(bits() >> 11) * 0x1p-53; }

private:
    std::uint64_t state_;
};

template <class T>
bool same(T a, T b) {
    return std::memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

template <class T>
std::vector<T> drawn(std::size_t count, Random& random, double from = -2, double to = 2) {
    std::vector<T> all(count);
    for (T& x : all) x = static_cast<T>(random.uniform(from, to));
    return all;
}

// What is right, and what its error is measured by: the result, or what it is the difference of.
struct Exact {
    Real value, scale;
};

inline Exact of(Real value) { return {value, std::fabs(value)}; }

template <class T>
bool near(T got, const Exact& wanted, double ulps) {
    if (got != got || wanted.value != wanted.value) return got != got && wanted.value != wanted.value;
    const T rounded = static_cast<T>(wanted.value);
    if (same(got, rounded) || got == rounded) return true;
    if (std::isinf(got) || std::isinf(rounded)) return false;
    const Real smallest = std::numeric_limits<T>::denorm_min(), unit = std::numeric_limits<T>::epsilon();
    // Of a number just above a power of two a unit is twice as large, in proportion, as of one just below.
    return std::fabs(got - wanted.value) <= static_cast<Real>(ulps) * std::fmax(wanted.scale * unit, smallest);
}

// One file for each kind of kernel.
template <class T>
void check_elementwise(const Kernels<T>& kernels);
template <class T>
void check_products(const Kernels<T>& kernels);
void check_narrow_products(const Level& level);

}  // namespace recurra
