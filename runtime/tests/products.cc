// Products of matrices, as they are and in fewer bits, against plain loops in long double.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "expect.h"

namespace recurra {
namespace {

template <class T>
std::vector<T> packed(const Kernels<T>& kernels, const std::vector<T>& w, std::size_t depth, std::size_t width, int way) {
    const std::size_t panels = (width + kernels.panel_width - 1) / kernels.panel_width;
    std::vector<T> to(panels * kernels.panel_width * depth, T(99)), turned(w.size());
    const auto d = static_cast<std::ptrdiff_t>(depth), n = static_cast<std::ptrdiff_t>(width);
    T* const from = const_cast<T*>(w.data());
    if (way == 0) kernels.products.pack({depth, width, from, n, 1, to.data()});
    if (way == 1) kernels.products.pack_rows({depth, width, {nullptr, from, n}, to.data()});
    if (way == 2) {
        for (std::size_t i = 0; i < w.size(); ++i) turned[i % width * depth + i / width] = w[i];
        kernels.products.pack({depth, width, turned.data(), 1, d, to.data()});
    }
    return to;
}

template <class T>
void products(const Kernels<T>& kernels) {
    Random random(9);
    for (std::size_t width : {1, 2, 3, 5, 8, 16, 17, 31, 32, 33, 64, 65, 100, 130})
        for (std::size_t depth : {1, 2, 17, 40}) {
            const std::vector<T> w = drawn<T>(depth * width, random);
            const std::vector<T> panels = packed(kernels, w, depth, width, 0);
            for (int way : {1, 2})
                EXPECT(packed(kernels, w, depth, width, way) == panels, "packing %zu x %zu, way %d", depth, width, way);
            for (std::size_t rows = 1; rows < 20; ++rows) {
                std::vector<T> x = drawn<T>(rows * (depth + 1), random), add = drawn<T>(rows * width, random);
                std::vector<T> out(rows * (width + 1) + 1, T(-77)), alone(width);
                std::vector<T*> lines;
                for (std::size_t m = 0; m < rows; ++m) lines.push_back(out.data() + 1 + m * (width + 1));
                const bool adds = rows % 2 == 0;
                const Lines<T> from{nullptr, x.data(), static_cast<std::ptrdiff_t>(depth + 1)};
                const Lines<T> more{nullptr, add.data(), static_cast<std::ptrdiff_t>(width)};
                kernels.products.product({rows, depth, width, from, more, {lines.data(), nullptr, 0}, adds, panels.data()});
                std::vector<T> turned(rows * depth), same_out(rows * width);
                for (std::size_t m = 0; m < rows; ++m)
                    for (std::size_t k = 0; k < depth; ++k) turned[k * rows + m] = from[m][k];
                kernels.products.turned_product({rows, depth, width, {nullptr, turned.data(), static_cast<std::ptrdiff_t>(rows)},
                                        more, {nullptr, same_out.data(), static_cast<std::ptrdiff_t>(width)}, adds,
                                        panels.data()});
                for (std::size_t m = 0; m < rows; ++m)
                    for (std::size_t n = 0; n < width; ++n)
                        EXPECT(same(same_out[m * width + n], lines[m][n]), "a turned product %zu x %zu x %zu", rows, depth,
                               width);
                for (std::size_t m = 0; m < rows; ++m) {
                    const Lines<T> one{nullptr, from[m], 0}, its{nullptr, more[m], 0}, to{nullptr, alone.data(), 0};
                    kernels.products.product({1, depth, width, one, its, to, adds, panels.data()});
                    EXPECT(lines[m][-1] == T(-77) && lines[m][width] == T(-77), "beside a product of width %zu", width);
                    for (std::size_t n = 0; n < width; ++n) {
                        Real sum = adds ? add[m * width + n] : 0, size = std::fabs(sum);
                        for (std::size_t k = 0; k < depth; ++k) {
                            const Real part = static_cast<Real>(from[m][k]) * w[k * width + n];
                            sum += part;
                            size += std::fabs(part);
                        }
                        EXPECT(near(lines[m][n], {sum, size}, 0.5 * double(depth + 2)), "product %zu x %zu x %zu", rows,
                               depth, width);
                        EXPECT(same(lines[m][n], alone[n]), "row %zu of %zu hangs on the others", m, rows);
                    }
                }
            }
        }
}

// Whole numbers up to `largest`, and what they are to be multiplied by, of numbers that lie so far apart.
float whole_numbers(const float* from, std::size_t apart, std::size_t count, float largest, std::vector<long long>& to) {
    float top = 1e-30f;
    for (std::size_t k = 0; k < count; ++k) top = std::fmax(top, std::fabs(from[k * apart]));
    const float inverse = largest / top;
    to.resize(count);
    for (std::size_t k = 0; k < count; ++k) to[k] = std::llrint(from[k * apart] * inverse);
    return top / largest;
}

// Matrices that are kept in 8 bits: by their definition, in whole numbers.
void in_8_bits(const Products<float>& int8, std::size_t wide, const char* name) {
    Random random(21);
    for (std::size_t width : {1, 5, 16, 33, 64, 100, 131})
        for (std::size_t depth : {3, 15, 16, 17, 40, 511, 512, 513, 1100}) {
            std::vector<float> w = drawn<float>(depth * width, random);
            if (width > 4) for (std::size_t k = 0; k < depth; ++k) w[k * width + 3] = 0;
            std::vector<float> panels((width + wide - 1) / wide * int8.panel(depth) + 1, -77.0f);
            int8.pack({depth, width, w.data(), static_cast<std::ptrdiff_t>(width), 1, panels.data()});
            EXPECT(panels.back() == -77.0f, "%s: packing %zu x %zu writes behind its memory", name, depth, width);
            for (std::size_t rows = 1; rows < 8; ++rows) {
                std::vector<float> x = drawn<float>(rows * depth, random), add = drawn<float>(rows * width, random);
                if (rows == 5) std::fill_n(x.begin(), depth, 0.0f);
                std::vector<float> out(rows * (width + 1) + 1, -77.0f);
                const bool adds = rows % 2 == 0;
                const Lines<float> from{nullptr, x.data(), static_cast<std::ptrdiff_t>(depth)};
                const Lines<float> more{nullptr, add.data(), static_cast<std::ptrdiff_t>(width)};
                const Lines<float> to{nullptr, out.data() + 1, static_cast<std::ptrdiff_t>(width + 1)};
                int8.product({rows, depth, width, from, more, to, adds, panels.data()});
                for (std::size_t m = 0; m < rows; ++m)
                    for (std::size_t n = 0; n < width; ++n) {
                        Real wanted = adds ? add[m * width + n] : 0, size = std::fabs(wanted);
                        std::vector<long long> a, b;
                        for (std::size_t k = 0, lines; k < depth; k += lines) {
                            lines = depth < 16 ? 1 : std::min<std::size_t>(depth - k, 512);
                            const float* const of_w = w.data() + k * width + n;
                            Real scale = 1, sum = 0;
                            if (depth < 16) {
                                sum = static_cast<Real>(from[m][k]) * *of_w;
                            } else {
                                scale = static_cast<Real>(whole_numbers(from[m] + k, 1, lines, 32767, a));
                                scale *= whole_numbers(of_w, width, lines, 127, b);
                                long long exact = 0;
                                for (std::size_t i = 0; i < lines; ++i) exact += a[i] * b[i];
                                sum = static_cast<Real>(exact);
                            }
                            wanted += sum * scale;
                            size += std::fabs(sum * scale);
                        }
                        EXPECT(near(to[m][n], {wanted, size}, depth < 16 ? 0.5 * double(depth + 2) : 8),
                               "%s: %zu x %zu x %zu: %.9g, not %.9Lg", name, rows, depth, width, double(to[m][n]), wanted);
                    }
                for (std::size_t m = 0; m < rows; ++m) {
                    std::vector<float> alone(width);
                    int8.product({1, depth, width, {nullptr, from[m], 0}, {nullptr, adds ? more[m] : nullptr, 0},
                                  {nullptr, alone.data(), 0}, adds, panels.data()});
                    for (std::size_t n = 0; n < width; ++n)
                        EXPECT(same(alone[n], to[m][n]), "%s: row %zu of %zu hangs on the others", name, m, rows);
                    EXPECT(to[m][-1] == -77.0f && to[m][width] == -77.0f, "%s: beside a product of width %zu", name, width);
                }
            }
        }
}

// What is no number makes NaN of its row, or of its column, alone.
void no_numbers_in_8_bits(const Products<float>& int8, std::size_t wide, const char* name) {
    const std::size_t depth = 20, width = 9;
    for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
        for (bool in_w : {false, true}) {
            std::vector<float> w(depth * width, 0.5f), x(2 * depth, 0.25f), out(2 * width);
            (in_w ? w[7 * width + 4] : x[depth + 19]) = bad;
            std::vector<float> panels((width + wide - 1) / wide * int8.panel(depth));
            int8.pack({depth, width, w.data(), width, 1, panels.data()});
            int8.product({2, depth, width, {nullptr, x.data(), depth}, {}, {nullptr, out.data(), width}, false, panels.data()});
            for (std::size_t i = 0; i < out.size(); ++i) {
                const bool gone = in_w ? i % width == 4 : i >= width;
                EXPECT(gone ? out[i] != out[i] : std::fabs(out[i] - 2.5f) < 1e-4f, "%s: %g at %zu", name, double(out[i]), i);
            }
        }
}

// The nearest bfloat16, the even one of two.
float in_bfloat16(float value) {
    std::uint32_t all;
    std::memcpy(&all, &value, sizeof all);
    const std::uint32_t rest = all & 0xffffu, even = all >> 16 & 1u;
    all = (all & 0xffff0000u) + (rest > 0x8000u || (rest == 0x8000u && even == 1) ? 0x10000u : 0u);
    std::memcpy(&value, &all, sizeof value);
    return value;
}

// Products of rounded numbers: near their exact sums, each row and column by itself, whatever lies beside them.
void of_rounded(const Products<float>& rounded, std::size_t wide) {
    Random random(25);
    for (std::size_t width : {1, 15, 16, 17, 32, 40, 64, 97})
        for (std::size_t depth : {1, 2, 3, 31, 32, 33, 64, 100, 255, 257, 600})
            for (std::size_t rows : {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 50}) {
                const std::vector<float> w = drawn<float>(depth * width, random), x = drawn<float>(rows * depth, random);
                const std::vector<float> add = drawn<float>(rows * width, random);
                const bool adds = rows % 2 == 1, apart = width % 2 == 1;
                const auto d = static_cast<std::ptrdiff_t>(depth), n = static_cast<std::ptrdiff_t>(width);
                const std::size_t size = (width + wide - 1) / wide * rounded.panel(depth);
                std::vector<float> panels(size + 1, -77.0f), again(size + 1, -77.0f), turned(depth * rows);
                rounded.pack({depth, width, w.data(), n, 1, panels.data()});
                rounded.pack_rows({depth, width, {nullptr, const_cast<float*>(w.data()), n}, again.data()});
                EXPECT(std::memcmp(panels.data(), again.data(), panels.size() * sizeof(float)) == 0 && panels.back() == -77.0f,
                       "rounded: packing %zu x %zu", depth, width);
                for (std::size_t i = 0; i < x.size(); ++i) turned[i % depth * rows + i / depth] = x[i];
                std::vector<float> out(rows * (width + 2) + 1, -77.0f), alone(width), other(rows * width);
                std::vector<float*> lines;
                for (std::size_t m = 0; m < rows; ++m) lines.push_back(out.data() + 1 + m * (width + 2));
                const Lines<float> from{nullptr, const_cast<float*>(x.data()), d}, more{nullptr, const_cast<float*>(add.data()), n};
                const Lines<float> to{apart ? lines.data() : nullptr, lines[0], static_cast<std::ptrdiff_t>(width + 2)};
                rounded.product({rows, depth, width, from, more, to, adds, panels.data()});
                rounded.turned_product({rows, depth, width, {nullptr, turned.data(), static_cast<std::ptrdiff_t>(rows)}, more,
                                        {nullptr, other.data(), n}, adds, panels.data()});
                for (std::size_t m = 0; m < rows; ++m) {
                    rounded.product({1, depth, width, {nullptr, from[m], 0}, {nullptr, more[m], 0}, {nullptr, alone.data(), 0},
                                     adds, panels.data()});
                    EXPECT(lines[m][-1] == -77.0f && lines[m][width] == -77.0f, "rounded: beside a product of width %zu", width);
                    for (std::size_t c = 0; c < width; ++c) {
                        Real sum = adds ? add[m * width + c] : 0, most = std::fabs(sum);
                        for (std::size_t i = 0; i < depth; ++i) {
                            const Real part = static_cast<Real>(in_bfloat16(from[m][i])) * in_bfloat16(w[i * width + c]);
                            sum += part;
                            most += std::fabs(part);
                        }
                        EXPECT(near(lines[m][c], {sum, most}, 0.5 * double(depth + 2)), "rounded: %zu x %zu x %zu: %g, not %Lg",
                               rows, depth, width, double(lines[m][c]), sum);
                        EXPECT(same(lines[m][c], alone[c]) && same(lines[m][c], other[m * width + c]),
                               "rounded: row %zu of %zu hangs on the others, or on how it lies", m, rows);
                    }
                }
            }
}

// Matrices that are kept in bfloat16: the bits of a product with the rounded matrix.
void kept_in_bfloat16(const Products<float>& kept, const Kernels<float>& kernels) {
    Random random(23);
    for (std::size_t width : {1, 5, 16, 33, 64, 100, 131})
        for (std::size_t depth : {1, 2, 7, 40, 333}) {
            std::vector<float> w = drawn<float>(depth * width, random), round = w;
            w[0] = round[0] = 1.00390625f;  // in the middle of two: the even one
            for (float& each : round) each = in_bfloat16(each);
            const std::size_t wide = kernels.panel_width, panels = (width + wide - 1) / wide;
            std::vector<float> narrow(panels * kept.panel(depth) + 1, -77.0f);
            kept.pack({depth, width, w.data(), static_cast<std::ptrdiff_t>(width), 1, narrow.data()});
            EXPECT(narrow.back() == -77.0f, "bfloat16: packing %zu x %zu writes behind its memory", depth, width);
            const std::vector<float> full = packed(kernels, round, depth, width, 0);
            for (std::size_t rows = 1; rows < 8; ++rows) {
                std::vector<float> x = drawn<float>(rows * depth, random), add = drawn<float>(rows * width, random);
                std::vector<float> got(rows * width), wanted(rows * width);
                const auto d = static_cast<std::ptrdiff_t>(depth), n = static_cast<std::ptrdiff_t>(width);
                kept.product({rows, depth, width, {nullptr, x.data(), d}, {nullptr, add.data(), n},
                              {nullptr, got.data(), n}, rows % 2 == 0, narrow.data()});
                kernels.products.product({rows, depth, width, {nullptr, x.data(), d}, {nullptr, add.data(), n},
                                          {nullptr, wanted.data(), n}, rows % 2 == 0, full.data()});
                for (std::size_t i = 0; i < got.size(); ++i)
                    EXPECT(same(got[i], wanted[i]), "bfloat16: %zu x %zu x %zu", rows, depth, width);
            }
        }
}

}  // namespace

template <class T>
void check_products(const Kernels<T>& kernels) {
    products(kernels);
}

template void check_products(const Kernels<float>& kernels);
template void check_products(const Kernels<double>& kernels);

void check_narrow_products(const Level& level) {
    const std::size_t wide = level.table->floats.panel_width;
    kept_in_bfloat16(level.table->bfloat16_weights, level.table->floats);
    for (const auto* rounded : {&level.table->rounded, bfloat16_products().products})
        if (rounded != nullptr) of_rounded(*rounded, wide);
    for (const auto* int8 : {&level.table->int8_weights, &int8_products()}) {
        const char* const name = int8 == &level.table->int8_weights ? "int8" : "int8 in the CPU's own instructions";
        in_8_bits(*int8, wide, name);
        no_numbers_in_8_bits(*int8, wide, name);
    }
}

}  // namespace recurra
