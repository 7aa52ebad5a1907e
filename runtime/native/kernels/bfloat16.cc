// Products of numbers that are rounded to bfloat16, summed in float32: AVX512-BF16. Compiled once, with its flags.
//
// A panel holds pairs of lines of the depth, the first one in the upper half of each 32 bits: VDPBF16PS adds the product
// of the upper halves first, then that of the lower ones, each rounded once. So a number is one chain of additions in the
// order of the depth, as in float32, and its bits do not depend on where pairs begin.
#include "bfloat16_pairs.h"

namespace recurra {
namespace {

using Pairs = __m512bh;

constexpr std::size_t kMostRows = 8;

// Two lines of the depth as one of a panel: `width` numbers from each, zeros behind them. `second` may be null.
RECURRA_INLINE void pack_pair(const T* first, const T* second, std::size_t width, T* to) {
    for (std::size_t n = 0; n < kWide; n += kLane, to += kLane) {
        const std::size_t left = width > n ? width - n : 0;
        const Floats a = left > 0 ? load_some(first + n, left) : Floats{};
        const Floats b = left > 0 && second != nullptr ? load_some(second + n, left) : Floats{};
        _mm512_storeu_si512(to, paired(a, b));
    }
}

std::size_t panel_of(std::size_t depth) { return (depth + 1) / 2 * kWide; }

void pack(const Packing<T>& p) {
    T lines[2][kWide];
    for (std::size_t column = 0; column < p.width; column += kWide) {
        const std::size_t here = p.width - column < kWide ? p.width - column : kWide;
        T* to = p.to + column / kWide * panel_of(p.depth);
        for (std::size_t k = 0; k < p.depth; k += 2, to += kWide) {
            const T* from[2];
            two_lines(p, k, column, here, lines, from);
            pack_pair(from[0], from[1], here, to);
        }
    }
}

void pack_rows(const PackingRows<T>& p) {
    for (std::size_t column = 0; column < p.width; column += kWide) {
        const std::size_t here = p.width - column < kWide ? p.width - column : kWide;
        T* to = p.to + column / kWide * panel_of(p.depth);
        for (std::size_t k = 0; k < p.depth; k += 2, to += kWide)
            pack_pair(p.from[k] + column, k + 1 < p.depth ? p.from[k + 1] + column : nullptr, here, to);
    }
}

// ROWS rows and VECTORS vectors of columns; pair k of row m is block[m * row + k * apart].
template <std::size_t ROWS, std::size_t VECTORS>
RECURRA_INLINE void tile(const Product<T>& p, std::size_t first, std::size_t column, Depth d, const std::uint32_t* block,
                         std::size_t row, std::size_t apart) {
    const std::size_t panel = panel_of(p.depth);
    const T* w = p.packed + column / kWide * panel + d.from / 2 * kWide;
    const Lines<T>& start = d.from == 0 ? p.add : p.out;
    const std::size_t left = p.width - column;
    __m512 sum[ROWS][VECTORS];
    RECURRA_UNROLL
    for (std::size_t m = 0; m < ROWS; ++m)
        RECURRA_UNROLL
        for (std::size_t v = 0; v < VECTORS; ++v) {
            const std::size_t at = v * kLane;
            sum[m][v] = _mm512_setzero_ps();
            if ((d.from > 0 || p.adds) && at < left)
                sum[m][v] = (__m512)load_some(start[first + m] + column + at, left - at);
        }
    for (std::size_t pairs = (d.to - d.from + 1) / 2; pairs > 0; --pairs, w += kWide, block += apart) {
        Pairs of_w[VECTORS];
        RECURRA_UNROLL
        for (std::size_t v = 0; v < VECTORS; ++v)
            of_w[v] = (Pairs)_mm512_loadu_si512(w + v / 2 * panel + v % 2 * kLane);
        RECURRA_UNROLL
        for (std::size_t m = 0; m < ROWS; ++m) {
            const Pairs x = (Pairs)_mm512_set1_epi32(static_cast<int>(block[m * row]));
            RECURRA_UNROLL
            for (std::size_t v = 0; v < VECTORS; ++v) sum[m][v] = _mm512_dpbf16_ps(sum[m][v], x, of_w[v]);
        }
    }
    RECURRA_UNROLL
    for (std::size_t m = 0; m < ROWS; ++m)
        RECURRA_UNROLL
        for (std::size_t v = 0; v < VECTORS; ++v) {
            const std::size_t at = v * kLane;
            if (at < left) store_some(p.out[first + m] + column + at, (Floats)sum[m][v], left - at);
        }
}

template <std::size_t ROWS, std::size_t PANELS>
RECURRA_INLINE void panels_of(const Product<T>& p, std::size_t first, Depth d, const std::uint32_t* block,
                              std::size_t row, std::size_t apart) {
    std::size_t column = 0;
    for (; column + PANELS * kWide <= p.width; column += PANELS * kWide)
        tile<ROWS, 2 * PANELS>(p, first, column, d, block, row, apart);
    for (; column < p.width; column += kWide) tile<ROWS, 2>(p, first, column, d, block, row, apart);
}

// Rows that are rounded already, from `first` on. A matrix is read once for all of them: with many rows they take turns
// at each panel.
RECURRA_INLINE void multiply(const Product<T>& p, std::size_t first, std::size_t rows, Depth d,
                             const std::uint32_t* block, std::size_t row, std::size_t apart) {
    const std::size_t tiles = (rows + kMostRows - 1) / kMostRows;
    if (tiles == 1) {
        switch (rows) {
            case 1: return panels_of<1, 4>(p, first, d, block, row, apart);
            case 2: return panels_of<2, 4>(p, first, d, block, row, apart);
            case 3: return panels_of<3, 2>(p, first, d, block, row, apart);
            case 4: return panels_of<4, 2>(p, first, d, block, row, apart);
            case 5: return panels_of<5, 2>(p, first, d, block, row, apart);
            case 6: return panels_of<6, 2>(p, first, d, block, row, apart);
            case 7: return panels_of<7, 1>(p, first, d, block, row, apart);
            default: return panels_of<8, 1>(p, first, d, block, row, apart);
        }
    }
    for (std::size_t column = 0; column < p.width; column += kWide)
        for (std::size_t left = tiles, at = 0, size; left > 0; --left, at += size) {
            size = (rows - at) / left;
            const std::uint32_t* const from = block + at * row;
            switch (size) {
                case 4: tile<4, 2>(p, first + at, column, d, from, row, apart); break;
                case 5: tile<5, 2>(p, first + at, column, d, from, row, apart); break;
                case 6: tile<6, 2>(p, first + at, column, d, from, row, apart); break;
                case 7: tile<7, 2>(p, first + at, column, d, from, row, apart); break;
                default: tile<8, 2>(p, first + at, column, d, from, row, apart); break;
            }
        }
}

// A row of x: neighbors become pairs.
RECURRA_INLINE void round_row(const T* from, std::size_t count, std::uint32_t* to) {
    for (std::size_t k = 0; k < count; k += kWide, to += kLane) {
        const std::size_t left = count - k;
        const Floats a = load_some(from + k, left);
        const Floats b = left > kLane ? load_some(from + k + kLane, left - kLane) : Floats{};
        // Halves in the order of the numbers, then those of each pair exchanged.
        const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
        _mm512_storeu_si512(to, _mm512_rol_epi32(halves, 16));
    }
}

void product(const Product<T>& p) {
    constexpr std::size_t row = kDepth / 2 + kLane;  // the last vector of a row may be short; rows apart from a page
    alignas(64) std::uint32_t block[kRows * row];
    for (std::size_t first = 0; first < p.rows; first += kRows) {
        const std::size_t rows = p.rows - first < kRows ? p.rows - first : kRows;
        for (Depth d{0, 0}; d.to < p.depth;) {
            d = part_of(p.depth, d.to);
            for (std::size_t m = 0; m < rows; ++m) round_row(p.x[first + m] + d.from, d.to - d.from, block + m * row);
            multiply(p, first, rows, d, block, row, 1);
        }
    }
}

void turned_product(const Product<T>& p) {
    alignas(64) std::uint32_t block[kDepth / 2 * kLane];
    for (Depth d{0, 0}; d.to < p.depth;) {
        d = part_of(p.depth, d.to);
        for (std::size_t first = 0; first < p.rows; first += kLane) {
            const std::size_t rows = p.rows - first < kLane ? p.rows - first : kLane;
            std::uint32_t* to = block;
            for (std::size_t k = d.from; k < d.to; k += 2, to += kLane) {
                const Floats a = load_some(p.x[k] + first, rows);
                const Floats b = k + 1 < d.to ? load_some(p.x[k + 1] + first, rows) : Floats{};
                _mm512_storeu_si512(to, paired(a, b));
            }
            multiply(p, first, rows, d, block, 1, kLane);
        }
    }
}

// Ticks of the quickest of a few rounds of `step`, which leaves its results in `sum`.
template <class F>
RECURRA_INLINE unsigned long long ticks_of(__m512 (&sum)[12], F step) {
    unsigned long long least = ~0ull;
    for (int round = 0; round < 16; ++round) {
        const unsigned long long begin = __builtin_ia32_rdtsc();
        for (int i = 0; i < 128; ++i) {
            RECURRA_UNROLL
            for (std::size_t s = 0; s < 12; ++s) {
                sum[s] = step(sum[s]);
                asm volatile("" : "+v"(sum[s]));
            }
        }
        const unsigned long long took = __builtin_ia32_rdtsc() - begin;
        least = took < least ? took : least;
    }
    return least;
}

}  // namespace

namespace avx512_bf16 {

extern const Products<float> products;
const Products<float> products = {panel_of, product, turned_product, pack, pack_rows};

// Some CPUs take four times as long for the instruction, which makes twice as many products, as for one in float32.
bool quicker() {
    __m512 sum[12] = {};
    const __m512 one = _mm512_set1_ps(1.0f);
    const unsigned long long plain = ticks_of(sum, [one](__m512 s) { return _mm512_fmadd_ps(one, one, s); });
    const unsigned long long paired = ticks_of(sum, [one](__m512 s) { return _mm512_dpbf16_ps(s, (Pairs)one, (Pairs)one); });
    return 3 * paired < 5 * plain;
}

}  // namespace avx512_bf16

}  // namespace recurra
