// Products of numbers that are rounded to bfloat16, summed in float32: AMX tiles. Compiled once, with their flags.
//
// TDPBF16PS adds to 16 x 16 sums the products of 32 lines of the depth. Within these it adds even and odd lines apart, so
// a result is not one chain; but a row's hangs on that row alone, as the blocks of 32 lines begin where the depth begins.
// A panel is the tiles of its two halves, by turns, for each 32 lines: pairs of lines, the first in the lower half of each
// 32 bits, zeros behind the last one.
#include "bfloat16_pairs.h"

namespace recurra {
namespace {

// Lines of a tile.
constexpr std::size_t kLines = 32;
// Numbers of a tile of W, in float32; bytes from row to row of a tile of W, and of rounded rows.
constexpr std::size_t kTile = 256, kTileRow = 64, kRow = kDepth * 2 + 64;

std::size_t blocks_of(std::size_t depth) { return (depth + kLines - 1) / kLines; }

std::size_t panel_of(std::size_t depth) { return blocks_of(depth) * 2 * kTile; }

// Lines k and k + 1 of a panel of `width` columns, of which there may be fewer; null: none.
RECURRA_INLINE void pack_pair(const T* first, const T* second, std::size_t width, std::size_t k, T* panel) {
    T* const to = panel + k / kLines * 2 * kTile + k % kLines / 2 * kLane;
    for (std::size_t half = 0; half < 2; ++half) {
        const std::size_t at = half * kLane, left = width > at ? width - at : 0;
        const Floats a = left > 0 && first != nullptr ? load_some(first + at, left) : Floats{};
        const Floats b = left > 0 && second != nullptr ? load_some(second + at, left) : Floats{};
        _mm512_storeu_si512(to + half * kTile, paired(b, a));
    }
}

void pack(const Packing<T>& p) {
    T lines[2][kWide];
    for (std::size_t column = 0; column < p.width; column += kWide) {
        const std::size_t here = p.width - column < kWide ? p.width - column : kWide;
        for (std::size_t k = 0; k < blocks_of(p.depth) * kLines; k += 2) {
            const T* from[2];
            two_lines(p, k, column, here, lines, from);
            pack_pair(from[0], from[1], here, k, p.to + column / kWide * panel_of(p.depth));
        }
    }
}

void pack_rows(const PackingRows<T>& p) {
    for (std::size_t column = 0; column < p.width; column += kWide) {
        const std::size_t here = p.width - column < kWide ? p.width - column : kWide;
        for (std::size_t k = 0; k < blocks_of(p.depth) * kLines; k += 2)
            pack_pair(k < p.depth ? p.from[k] + column : nullptr, k + 1 < p.depth ? p.from[k + 1] + column : nullptr, here,
                      k, p.to + column / kWide * panel_of(p.depth));
    }
}

// ---- the tiles: 0 to 3 sums of two halves of rows and two of columns, 4 and 5 rows, 6 and 7 columns ----

struct alignas(64) Shapes {
    std::uint8_t palette = 1, start = 0, none[14] = {};
    std::uint16_t bytes[16] = {};
    std::uint8_t rows[16] = {};
};

// Of so many rows, up to 32.
RECURRA_INLINE void shape(std::size_t rows) {
    Shapes shapes;
    const auto upper = static_cast<std::uint8_t>(rows < 16 ? rows : 16);
    const auto lower = static_cast<std::uint8_t>(rows > 16 ? rows - 16 : 1);
    const std::uint8_t all[8] = {upper, upper, lower, lower, upper, lower, 16, 16};
    for (std::size_t tile = 0; tile < 8; ++tile) {
        shapes.bytes[tile] = kTileRow;
        shapes.rows[tile] = all[tile];
    }
    _tile_loadconfig(&shapes);
}

// Sums of 32 columns that lie at even distances.
struct Sums {
    T* at;
    std::size_t bytes;  // from row to row
};

template <bool BOTH>
RECURRA_INLINE void begin(bool zero, const Sums& from) {
    if (zero) {
        _tile_zero(0);
        _tile_zero(1);
        if (BOTH) _tile_zero(2);
        if (BOTH) _tile_zero(3);
        return;
    }
    const char* const lower = reinterpret_cast<const char*>(from.at) + 16 * from.bytes;
    _tile_loadd(0, from.at, from.bytes);
    _tile_loadd(1, from.at + kLane, from.bytes);
    if (BOTH) _tile_loadd(2, lower, from.bytes);
    if (BOTH) _tile_loadd(3, lower + kTileRow, from.bytes);
}

template <bool BOTH>
RECURRA_INLINE void finish(const Sums& to) {
    char* const lower = reinterpret_cast<char*>(to.at) + 16 * to.bytes;
    _tile_stored(0, to.at, to.bytes);
    _tile_stored(1, to.at + kLane, to.bytes);
    if (BOTH) _tile_stored(2, lower, to.bytes);
    if (BOTH) _tile_stored(3, lower + kTileRow, to.bytes);
}

template <bool BOTH>
RECURRA_INLINE void add(const char* rows, const T* w, std::size_t blocks) {
    for (; blocks > 0; --blocks, rows += kTileRow, w += 2 * kTile) {
        _tile_loadd(4, rows, kRow);
        _tile_loadd(6, w, kTileRow);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, w + kTile, kTileRow);
        _tile_dpbf16ps(1, 4, 7);
        if (!BOTH) continue;
        _tile_loadd(5, rows + 16 * kRow, kRow);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}

// Rows [first, first + rows) that are rounded already, up to 32, times all columns.
template <bool BOTH>
RECURRA_INLINE void multiply(const Product<T>& p, std::size_t first, std::size_t rows, Depth d, const char* rounded) {
    alignas(64) T aside[kRows * kWide];
    const bool zero = d.from == 0 && !p.adds;
    const Lines<T>& start = d.from == 0 ? p.add : p.out;
    for (std::size_t column = 0; column < p.width; column += kWide) {
        const T* const w = p.packed + column / kWide * panel_of(p.depth) + d.from / kLines * 2 * kTile;
        const std::size_t left = p.width - column;
        const auto direct = [&](const Lines<T>& lines) {
            return left >= kWide && lines.each == nullptr && (rows == 1 || lines.distance >= 0);
        };
        const auto there = [&](const Lines<T>& lines) {
            return Sums{lines[first] + column, static_cast<std::size_t>(lines.distance) * sizeof(T)};
        };
        const Sums own{aside, kWide * sizeof(T)};
        // What lies otherwise, or is less than a panel, is copied.
        if (zero || direct(start)) {
            begin<BOTH>(zero, zero ? own : there(start));
        } else {
            for (std::size_t m = 0; m < rows; ++m)
                for (std::size_t n = 0; n < kWide; n += kLane)
                    store(aside + m * kWide + n, n < left ? load_some(start[first + m] + column + n, left - n) : Floats{});
            begin<BOTH>(false, own);
        }
        add<BOTH>(rounded, w, blocks_of(d.to - d.from));
        if (direct(p.out)) {
            finish<BOTH>(there(p.out));
            continue;
        }
        finish<BOTH>(own);
        for (std::size_t m = 0; m < rows; ++m)
            for (std::size_t n = 0; n < kWide && n < left; n += kLane)
                store_some(p.out[first + m] + column + n, load(aside + m * kWide + n), left - n);
    }
}

RECURRA_INLINE void multiply(const Product<T>& p, std::size_t first, std::size_t rows, Depth d, const char* rounded) {
    rows > 16 ? multiply<true>(p, first, rows, d, rounded) : multiply<false>(p, first, rows, d, rounded);
}

// Rows of x, rounded, with zeros behind them to a whole block.
RECURRA_INLINE void round_row(const T* from, std::size_t count, char* to) {
    for (std::size_t k = 0; k < count; k += kLines, to += kTileRow) {
        const std::size_t left = count - k;
        const Floats a = load_some(from + k, left);
        const Floats b = left > kLane ? load_some(from + k + kLane, left - kLane) : Floats{};
        _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a));
    }
}

void product(const Product<T>& p) {
    alignas(64) char block[kRows * kRow];
    std::size_t shaped = 0;
    for (std::size_t first = 0; first < p.rows; first += kRows) {
        const std::size_t rows = p.rows - first < kRows ? p.rows - first : kRows;
        if (rows != shaped) shape(shaped = rows);
        for (Depth d{0, 0}; d.to < p.depth;) {
            d = part_of(p.depth, d.to);
            for (std::size_t m = 0; m < rows; ++m) round_row(p.x[first + m] + d.from, d.to - d.from, block + m * kRow);
            multiply(p, first, rows, d, block);
        }
    }
    _tile_release();
}

// 16 x 16 numbers of 32 bits, turned: `line` k holds pair k of 16 rows, and row m gets its 16 pairs.
RECURRA_INLINE void turn(const __m512i (&line)[16], char* to) {
    __m512i a[16], b[16];
    RECURRA_UNROLL
    for (std::size_t i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(line[i], line[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(line[i], line[i + 1]);
    }
    RECURRA_UNROLL
    for (std::size_t i = 0; i < 16; i += 4) {
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    // b[4 q + s] holds rows s, 4 + s, 8 + s, 12 + s of pairs 4 q to 4 q + 3, each in 128 bits.
    RECURRA_UNROLL
    for (std::size_t s = 0; s < 4; ++s) {
        const __m512i low = _mm512_shuffle_i32x4(b[s], b[4 + s], 0x44), high = _mm512_shuffle_i32x4(b[s], b[4 + s], 0xee);
        const __m512i low2 = _mm512_shuffle_i32x4(b[8 + s], b[12 + s], 0x44);
        const __m512i high2 = _mm512_shuffle_i32x4(b[8 + s], b[12 + s], 0xee);
        _mm512_storeu_si512(to + s * kRow, _mm512_shuffle_i32x4(low, low2, 0x88));
        _mm512_storeu_si512(to + (4 + s) * kRow, _mm512_shuffle_i32x4(low, low2, 0xdd));
        _mm512_storeu_si512(to + (8 + s) * kRow, _mm512_shuffle_i32x4(high, high2, 0x88));
        _mm512_storeu_si512(to + (12 + s) * kRow, _mm512_shuffle_i32x4(high, high2, 0xdd));
    }
}

void turned_product(const Product<T>& p) {
    alignas(64) char block[kRows * kRow];
    std::size_t shaped = 0;
    for (Depth d{0, 0}; d.to < p.depth;) {
        d = part_of(p.depth, d.to);
        for (std::size_t first = 0; first < p.rows; first += kRows) {
            const std::size_t rows = p.rows - first < kRows ? p.rows - first : kRows;
            if (rows != shaped) shape(shaped = rows);
            for (std::size_t row = 0; row < rows; row += kLane)
                for (std::size_t k = d.from; k < d.to; k += kLines) {
                    __m512i line[16];
                    for (std::size_t pair = 0; pair < 16; ++pair) {
                        const std::size_t at = k + 2 * pair, left = rows - row;
                        const Floats a = at < d.to ? load_some(p.x[at] + first + row, left) : Floats{};
                        const Floats b = at + 1 < d.to ? load_some(p.x[at + 1] + first + row, left) : Floats{};
                        line[pair] = paired(b, a);
                    }
                    turn(line, block + row * kRow + (k - d.from) * 2);
                }
            multiply(p, first, rows, d, block);
        }
    }
    _tile_release();
}

}  // namespace

namespace amx_bf16 {

extern const Products<float> products;
const Products<float> products = {panel_of, product, turned_product, pack, pack_rows};

}  // namespace amx_bf16

}  // namespace recurra
