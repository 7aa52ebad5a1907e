// A few rows times a matrix that is kept in fewer bits: a step of few rows waits for its matrices to be read.
//
// As for other products a row's result depends on that row alone. A way to keep a matrix says how many numbers of memory
// a panel takes, packs it, and multiplies ROWS rows.
#pragma once

#include "products.h"

namespace recurra {
namespace {

constexpr std::size_t kWide = kPanel<float>;

// `at` numbers into a line of which `left` are there: zeros behind them, and nothing is written there.
RECURRA_INLINE Floats load_at(const float* line, std::size_t at, std::size_t left) {
    return at + kLanes <= left ? load(line + at) : at < left ? load_part(line + at, left - at) : Floats{};
}

RECURRA_INLINE void store_at(float* line, std::size_t at, std::size_t left, Floats value) {
    if (at + kLanes <= left)
        store(line + at, value);
    else if (at < left)
        store_part(line + at, value, left - at);
}

// So many panels at a time, as a type.
template <std::size_t COUNT>
struct Panels {
    static constexpr std::size_t count = COUNT;
};

// Calls tile(Panels, first column). Fewer rows take more panels at a time: a chain of sums for each hides how long one
// addition takes.
template <std::size_t ROWS, class F>
RECURRA_INLINE void by_panels(std::size_t width, F tile) {
    constexpr std::size_t most = ROWS == 1 ? 4 : ROWS == 2 ? 2 : 1;
    std::size_t column = 0;
    for (; column + most * kWide <= width; column += most * kWide) tile(Panels<most>{}, column);
    for (; column < width; column += kWide) tile(Panels<1>{}, column);
}

// All rows, a few at a time.
template <class Kept>
void few_rows(const Product<float>& p) {
    for (std::size_t row = 0, size; row < p.rows; row += size) {
        size = p.rows - row < 4 ? p.rows - row : 4;
        switch (size) {
            case 1: Kept::template rows<1>(p, row); break;
            case 2: Kept::template rows<2>(p, row); break;
            case 3: Kept::template rows<3>(p, row); break;
            default: Kept::template rows<4>(p, row); break;
        }
    }
}

template <class Kept>
constexpr Products<float> kept_as = {Kept::panel, few_rows<Kept>, nullptr, Kept::pack, nullptr};

// A pair of lines of the depth in each 32 bits, the first one in the upper half: as floats they are one instruction away.
struct InBfloat16 {
    static std::size_t panel(std::size_t depth) { return (depth + 1) / 2 * kWide; }

    // The nearest, the even one of two; NaN stays NaN.
    static std::uint32_t rounded(float value) {
        std::uint32_t all;
        __builtin_memcpy(&all, &value, sizeof all);
        if (value != value) return all >> 16 | 0x40u;
        return (all + 0x7fffu + (all >> 16 & 1u)) >> 16;
    }

    static void pack(const Packing<float>& p) {
        for (std::size_t n = 0; n < (p.width + kWide - 1) / kWide * kWide; ++n) {
            float* to = p.to + n / kWide * panel(p.depth) + n % kWide;
            const float* from = p.from + static_cast<std::ptrdiff_t>(n) * p.width_stride;
            for (std::size_t k = 0; k < p.depth; k += 2, to += kWide, from += 2 * p.depth_stride) {
                std::uint32_t pair = 0;
                if (n < p.width) pair = rounded(*from) << 16 | (k + 1 < p.depth ? rounded(from[p.depth_stride]) : 0u);
                __builtin_memcpy(to, &pair, sizeof pair);
            }
        }
    }

    template <std::size_t ROWS>
    RECURRA_INLINE void rows(const Product<float>& p, std::size_t row) {
        by_panels<ROWS>(p.width, [&](auto of, std::size_t column) __attribute__((always_inline)) {
            tile<ROWS, 2 * decltype(of)::count>(p, row, column);
        });
    }

    template <std::size_t ROWS, std::size_t VECTORS>
    RECURRA_INLINE void tile(const Product<float>& p, std::size_t row, std::size_t column) {
        const std::size_t apart = panel(p.depth), left = p.width - column;
        const float* w = p.packed + column / kWide * apart;
        const float* x[ROWS];
        Floats sum[ROWS][VECTORS];
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m) {
            x[m] = p.x[row + m];
            RECURRA_UNROLL
            for (std::size_t v = 0; v < VECTORS; ++v)
                sum[m][v] = p.adds ? load_at(p.add[row + m] + column, v * kLanes, left) : Floats{};
        }
        const auto lines = [&](std::size_t k, bool both) __attribute__((always_inline)) {
            RECURRA_UNROLL
            for (std::size_t v = 0; v < VECTORS; ++v) {
                const Bits pair = bits(load(w + v / 2 * apart + v % 2 * kLanes));
                RECURRA_UNROLL
                for (std::size_t m = 0; m < ROWS; ++m) {
                    sum[m][v] = fma(splat(x[m][k]), floats(pair & 0xffff0000u), sum[m][v]);
                    if (both) sum[m][v] = fma(splat(x[m][k + 1]), floats(pair << 16), sum[m][v]);
                }
            }
            w += kWide;
        };
        std::size_t k = 0;
        for (; k + 1 < p.depth; k += 2) lines(k, true);
        if (k < p.depth) lines(k, false);
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m)
            RECURRA_UNROLL
            for (std::size_t v = 0; v < VECTORS; ++v) store_at(p.out[row + m] + column, v * kLanes, left, sum[m][v]);
    }
};

}  // namespace
}  // namespace recurra
