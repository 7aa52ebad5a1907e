// Matrices kept in 8 bits. The depth is cut into blocks of kBlockLines lines. Of a block each column of W has a scale,
// its largest size / 127, and whole numbers from -127 to 127; each row of x has one too, its largest size / 32767. A block
// adds scale(x) scale(W) sum(x W), whose sum of whole numbers is exact, and so the same on each CPU.
//
// A column that holds NaN or infinity gives NaN, and so does a row: their scale is NaN.
#pragma once

#include "narrow.h"

namespace recurra {
namespace {

// So many that no sum is beyond 32 bits: 127 * 32767 * 512 < 2^31.
constexpr std::size_t kBlockLines = 512;
// With fewer lines than this, scales would take more than is saved: such a matrix is kept as it is.
constexpr std::size_t kFewestLines = 16;

constexpr float kLargest = 3.402823466e38f, kNone = __builtin_nanf("");
// Largest sizes below this count as this: its inverse is finite.
constexpr float kSmallest = 1e-30f;

// Adding it leaves the nearest whole number, the even one of two, in the lowest bits. What it is added to is rounded
// before: the same on each level.
constexpr float kRounding = 12582912.0f;

typedef std::int16_t Shorts __attribute__((vector_size(kBytes / 2)));

// A row's numbers of a block as whole ones, and its scale. `to` has room for whole vectors, filled up with zeros.
RECURRA_INLINE float quantize(const float* x, std::size_t count, std::int16_t* to) {
    Floats most = splat(kSmallest);
    Ints bad = {};
    for (std::size_t k = 0; k < count; k += kLanes) {
        const Floats size = magnitude(load_at(x, k, count));
        most = size > most ? size : most;
        bad |= ~(size <= splat(kLargest));
    }
    float top = most[0];
    for (std::size_t i = 1; i < kLanes; ++i) top = most[i] > top ? most[i] : top;
    const bool finite = !any(bad);
    const Floats inverse = splat(finite ? 32767.0f / top : 0.0f);
    for (std::size_t k = 0; k < count; k += kLanes) {
        const Floats value = finite ? load_at(x, k, count) : Floats{};
        const Ints whole = reinterpret_cast<Ints>(bits(value * inverse + splat(kRounding)) - bits(splat(kRounding)));
        const Shorts some = __builtin_convertvector(whole, Shorts);
        __builtin_memcpy(to + k, &some, sizeof some);
    }
    return finite ? top / 32767.0f : kNone;
}

// Dot says how whole numbers lie and how they are multiplied: `group` lines of the depth stand beside each other for each
// column; `more` numbers a column follow its scale.
template <class Dot>
struct InInt8 {
    static std::size_t groups(std::size_t lines) { return (lines + Dot::group - 1) / Dot::group; }

    static std::size_t block(std::size_t lines) {
        return (1 + Dot::more) * kWide + groups(lines) * Dot::group * kWide / sizeof(float);
    }

    static std::size_t panel(std::size_t depth) {
        if (depth < kFewestLines) return panel_of<float>(depth);
        const std::size_t rest = depth % kBlockLines;
        return depth / kBlockLines * block(kBlockLines) + (rest > 0 ? block(rest) : 0);
    }

    static void pack(const Packing<float>& p) {
        if (p.depth < kFewestLines) return recurra::pack(p);
        for (std::size_t n = 0; n < (p.width + kWide - 1) / kWide * kWide; ++n) {
            float* to = p.to + n / kWide * panel(p.depth);
            for (std::size_t k = 0, lines; k < p.depth; k += lines, to += block(lines)) {
                lines = p.depth - k < kBlockLines ? p.depth - k : kBlockLines;
                const float* const from = p.from + static_cast<std::ptrdiff_t>(n) * p.width_stride +
                                          static_cast<std::ptrdiff_t>(k) * p.depth_stride;
                column(n < p.width ? from : nullptr, p.depth_stride, lines, n % kWide, to);
            }
        }
    }

    // One column of a block; null: there is none.
    static void column(const float* from, std::ptrdiff_t stride, std::size_t lines, std::size_t n, float* to) {
        auto* const numbers = reinterpret_cast<std::int8_t*>(to + (1 + Dot::more) * kWide);
        float top = 0;
        bool finite = true;
        for (std::size_t k = 0; from != nullptr && k < lines; ++k) {
            const float value = from[static_cast<std::ptrdiff_t>(k) * stride], size = value < 0 ? -value : value;
            finite &= size <= kLargest;
            top = size > top ? size : top;
        }
        top = top < kSmallest ? kSmallest : top;
        to[n] = finite ? top / 127.0f : kNone;
        const float inverse = finite ? 127.0f / top : 0.0f;
        std::int32_t sum = 0;
        for (std::size_t k = 0; k < groups(lines) * Dot::group; ++k) {
            std::int32_t whole = 0;
            if (from != nullptr && finite && k < lines) {
                const float scaled = from[static_cast<std::ptrdiff_t>(k) * stride] * inverse;
                const float shifted = scaled + kRounding;
                __builtin_memcpy(&whole, &shifted, sizeof whole);
                whole -= 0x4b400000;  // the bits of kRounding
            }
            sum += whole;
            numbers[k / Dot::group * Dot::group * kWide + n * Dot::group + k % Dot::group] = static_cast<std::int8_t>(whole);
        }
        Dot::note(to + kWide, n, sum);
    }

    template <std::size_t ROWS>
    RECURRA_INLINE void rows(const Product<float>& p, std::size_t row) {
        if (p.depth < kFewestLines) return as_it_is(p, row, ROWS);
        alignas(kLine) typename Dot::Row x[ROWS];
        float scale[ROWS];
        for (std::size_t k = 0, lines, begin = 0; k < p.depth; k += lines, begin += block(lines)) {
            lines = p.depth - k < kBlockLines ? p.depth - k : kBlockLines;
            RECURRA_UNROLL
            for (std::size_t m = 0; m < ROWS; ++m) scale[m] = Dot::read(p.x[row + m] + k, lines, x[m]);
            by_panels<ROWS>(p.width, [&](auto of, std::size_t column) __attribute__((always_inline)) {
                tile<ROWS, 2 * decltype(of)::count>(p, row, column, lines, begin, x, scale, k > 0);
            });
        }
    }

    template <std::size_t ROWS, std::size_t VECTORS>
    RECURRA_INLINE void tile(const Product<float>& p, std::size_t row, std::size_t column, std::size_t lines,
                             std::size_t begin, const typename Dot::Row* x, const float* scale, bool later) {
        const std::size_t apart = panel(p.depth), left = p.width - column;
        const float* const from = p.packed + column / kWide * apart + begin;
        Ints sum[ROWS][VECTORS];
        Dot::template sums<ROWS, VECTORS>(from, apart, groups(lines), x, sum);
        const Lines<float>& start = later ? p.out : p.add;
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m)
            RECURRA_UNROLL
            for (std::size_t v = 0; v < VECTORS; ++v) {
                const Floats scales = splat(scale[m]) * load(from + v / 2 * apart + v % 2 * kLanes);
                const Floats before = later || p.adds ? load_at(start[row + m] + column, v * kLanes, left) : Floats{};
                const Floats whole = __builtin_convertvector(sum[m][v], Floats);
                store_at(p.out[row + m] + column, v * kLanes, left, fma(whole, scales, before));
            }
    }

    static void as_it_is(Product<float> p, std::size_t row, std::size_t rows) {
        for (std::size_t m = 0; m < rows; ++m) {
            const Lines<float> x{nullptr, p.x[row + m], 0}, add{nullptr, p.adds ? p.add[row + m] : nullptr, 0};
            recurra::product<float>({1, p.depth, p.width, x, add, {nullptr, p.out[row + m], 0}, p.adds, p.packed});
        }
    }
};

// Pairs of 16 bits, whose products are added in 32: each level has an instruction for it.
struct Pairs {
    static constexpr std::size_t group = 2, more = 0;
    using Row = std::int16_t[kBlockLines];

    static float read(const float* x, std::size_t count, Row& to) { return quantize(x, count, to); }

    static void note(float*, std::size_t, std::int32_t) {}

    // For each column, two lines of a vector of columns times those of x, added to `sum`.
    RECURRA_INLINE Ints add(const std::int8_t* w, std::int32_t x, Ints sum) {
#if defined(__AVX512F__)
        const __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)));
        return sum + reinterpret_cast<Ints>(_mm512_madd_epi16(wide, _mm512_set1_epi32(x)));
#elif defined(__AVX2__)
        const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
        return sum + reinterpret_cast<Ints>(_mm256_madd_epi16(wide, _mm256_set1_epi32(x)));
#elif defined(__SSE2__)
        const __m128i narrow = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(w));
        const __m128i wide = _mm_srai_epi16(_mm_unpacklo_epi8(narrow, narrow), 8);
        return sum + reinterpret_cast<Ints>(_mm_madd_epi16(wide, _mm_set1_epi32(x)));
#elif defined(__aarch64__)
        const int16x8_t wide = vmovl_s8(vld1_s8(w)), pair = vreinterpretq_s16_s32(vdupq_n_s32(x));
        const int32x4_t low = vmull_s16(vget_low_s16(wide), vget_low_s16(pair)), high = vmull_high_s16(wide, pair);
        return sum + reinterpret_cast<Ints>(vpaddq_s32(low, high));
#else
        const std::int32_t second = x >> 16, first = static_cast<std::int16_t>(x & 0xffff);
        for (std::size_t n = 0; n < kLanes; ++n) sum[n] += w[2 * n] * first + w[2 * n + 1] * second;
        return sum;
#endif
    }

    template <std::size_t ROWS, std::size_t VECTORS>
    RECURRA_INLINE void sums(const float* from, std::size_t apart, std::size_t groups, const Row* x,
                             Ints (&sum)[ROWS][VECTORS]) {
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m)
            RECURRA_UNROLL
            for (std::size_t v = 0; v < VECTORS; ++v) sum[m][v] = Ints{};
        const std::int8_t* w[(VECTORS + 1) / 2];
        RECURRA_UNROLL
        for (std::size_t v = 0; v < VECTORS; v += 2)
            w[v / 2] = reinterpret_cast<const std::int8_t*>(from + v / 2 * apart + kWide);
        for (std::size_t k = 0; k < groups; ++k) {
            RECURRA_UNROLL
            for (std::size_t m = 0; m < ROWS; ++m) {
                std::int32_t pair;
                __builtin_memcpy(&pair, x[m] + 2 * k, sizeof pair);
                RECURRA_UNROLL
                for (std::size_t v = 0; v < VECTORS; ++v)
                    sum[m][v] = add(w[v / 2] + (k * kWide + v % 2 * kLanes) * group, pair, sum[m][v]);
            }
        }
    }
};

}  // namespace
}  // namespace recurra
