// Every kernel of one instruction set against plain loops in long double; without Python, so that it runs where a
// cross compiler and an emulator are all there is. scripts/kernels builds and runs it.
//
//     kernels --levels    prints the levels of this build that this CPU has
//     kernels             checks the level in use, which RECURRA_ISA may name
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "../native/isa.h"

namespace recurra {
namespace {

using Real = long double;

int failures = 0;

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

Exact of(Real value) { return {value, std::fabs(value)}; }

Exact exact(Op op, Real a, Real b, Real c) {
    switch (op) {
        case Op::copy: return of(a);
        case Op::neg: return of(-a);
        case Op::abs: return of(std::fabs(a));
        case Op::sign: return of(a > 0 ? 1 : a < 0 ? -1 : 0);
        case Op::floor: return of(std::floor(a));
        case Op::trunc: return of(std::trunc(a));
        case Op::round: return of(std::nearbyint(a));
        case Op::sqrt: return of(std::sqrt(a));
        case Op::exp: return of(std::exp(a));
        case Op::expm1: return of(std::expm1(a));
        case Op::log: return of(std::log(a));
        case Op::log1p: return of(std::log1p(a));
        case Op::exp2: return of(std::exp2(a));
        case Op::log2: return of(std::log2(a));
        case Op::log10: return of(std::log10(a));
        case Op::tanh: return of(std::tanh(a));
        case Op::sigmoid: return of(a < 0 ? std::exp(a) / (1 + std::exp(a)) : 1 / (1 + std::exp(-a)));
        case Op::relu: return of(a < 0 ? 0 : a);
        case Op::erf: return of(std::erf(a));
        case Op::sin: return of(std::sin(a));
        case Op::cos: return of(std::cos(a));
        case Op::tan: return of(std::tan(a));
        case Op::asin: return of(std::asin(a));
        case Op::acos: return of(std::acos(a));
        case Op::atan: return of(std::atan(a));
        case Op::sinh: return of(std::sinh(a));
        case Op::cosh: return of(std::cosh(a));
        case Op::asinh: return of(std::asinh(a));
        case Op::acosh: return of(std::acosh(a));
        case Op::atanh: return of(std::atanh(a));
        case Op::erfc: return of(std::erfc(a));
        case Op::add: return of(a + b);
        case Op::sub: return of(a - b);
        case Op::mul: return of(a * b);
        case Op::div: return of(a / b);
        case Op::maximum: return of(a != a || a > b ? a : b);
        case Op::minimum: return of(a != a || a < b ? a : b);
        case Op::pow: return of(std::pow(a, b));
        case Op::fmod: return of(std::fmod(a, b));
        case Op::hypot: return of(std::hypot(a, b));
        case Op::atan2: return of(std::atan2(a, b));
        case Op::gt: return of(a > b);
        case Op::ge: return of(a >= b);
        case Op::eq: return of(a == b);
        case Op::sigmoid_gradient: return {a * b * (1 - b), std::fabs(a * b) * (1 + std::fabs(b))};
        case Op::tanh_gradient: return {a * (1 - b * b), std::fabs(a) * (1 + b * b)};
        case Op::where: return of(a != 0 ? b : c);
        case Op::fma: return {a * b + c, std::fabs(a * b) + std::fabs(c)};
        default: return of(std::numeric_limits<Real>::quiet_NaN());
    }
}

// Units in the last place that an instruction may err by; half of one is a correctly rounded result.
double bound(Op op) {
    switch (op) {
        case Op::sinh:
        case Op::cosh:
        case Op::asinh:
        case Op::acosh:
        case Op::atanh:
        case Op::tanh:
        case Op::sigmoid:
        case Op::exp:
        case Op::expm1:
        case Op::log:
        case Op::log1p:
        case Op::sigmoid_gradient:
        case Op::tanh_gradient: return 2.5;
        case Op::erf:
        case Op::erfc:
        case Op::exp2:
        case Op::log2:
        case Op::log10:
        case Op::tan:
        case Op::asin:
        case Op::acos:
        case Op::atan:
        case Op::hypot:
        case Op::atan2:
        case Op::sin:
        case Op::cos:
        case Op::pow: return 1.5;  // libm's
        case Op::fma: return 1;
        default: return 0.5;
    }
}

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

// Where an instruction is wanted, and what may break it.
template <class T>
std::vector<T> inputs(Op op, int operand, std::size_t count, Random& random) {
    const bool positive = op == Op::log || op == Op::sqrt || (op == Op::pow && operand == 0);
    std::vector<T> all;
    const T inf = std::numeric_limits<T>::infinity(), tiny = std::numeric_limits<T>::min();
    const T edges[] = {T(0), T(-0.0), T(1), T(-1), inf, -inf, std::numeric_limits<T>::quiet_NaN(), tiny, -tiny,
                       tiny / 8, -tiny / 8, T(1e-6), T(-1e-6), T(88), T(-88), T(104), T(-104), T(0.5), T(20), T(-20)};
    const std::size_t known = sizeof edges / sizeof *edges;
    for (std::size_t i = 0; i < count; ++i) {
        const double wide = op == Op::exp || op == Op::sigmoid || op == Op::expm1 ? 90 : 8;
        if (i % 3 == 0)
            all.push_back(edges[(i / 3 * (operand == 0 ? 1 : 7) + static_cast<std::size_t>(operand)) % known]);
        else
            all.push_back(static_cast<T>(random.uniform(positive ? 0 : i % 3 == 1 ? -1 : -wide, i % 3 == 1 ? 1 : wide)));
        if (op == Op::pow && operand == 0 && all.back() < 0) all.back() = -all.back();
    }
    return all;
}

// A whole line, and lines of every length in nests with gaps, one number for all, and in place: the same bits.
template <class T>
void elementwise(const Kernels<T>& kernels, Op op) {
    const Row& row = row_of(op);
    const auto run = kernels.elementwise[static_cast<std::size_t>(op)];
    Random random(static_cast<std::uint64_t>(op) + 1);
    constexpr std::size_t count = 6000;
    std::vector<T> in[3], out(count);
    for (int k = 0; k < 3; ++k) in[k] = inputs<T>(op, k, count, random);
    run({1, 1, count, out.data(), {in[0].data(), in[1].data(), in[2].data()}, {}, {}, {}});
    for (std::size_t i = 0; i < count; ++i) {
        const Exact wanted = exact(op, in[0][i], in[1][i], in[2][i]);
        EXPECT(near(out[i], wanted, bound(op)), "%s(%.9g, %.9g, %.9g) = %.17g, not %.17Lg", row.name, double(in[0][i]),
               double(in[1][i]), double(in[2][i]), double(out[i]), wanted.value);
    }
    const T canary = T(12345.5);
    for (std::size_t n = 1; n < 40; ++n)
        for (int single = 0; single < 1 << row.arity; ++single) {
            constexpr std::size_t rows = 2, outer = 3;
            const auto line = static_cast<std::ptrdiff_t>(n + 2);
            std::vector<T> to(rows * outer * (n + 2) + 1, canary);
            Loop<T> loop{rows, outer, n, to.data() + 1, {}, {3 * line, line}, {}, {}};
            for (int k = 0; k < row.arity; ++k) {
                loop.in[k] = in[k].data() + 5 * n;
                loop.single[k] = (single >> k & 1) != 0;
                loop.in_stride[k][0] = 3 * line + k;
                loop.in_stride[k][1] = line + 1;
            }
            run(loop);
            for (std::size_t r = 0; r < rows; ++r)
                for (std::size_t o = 0; o < outer; ++o) {
                    T part[3] = {}, wanted;
                    const T* const got = to.data() + 1 + static_cast<std::ptrdiff_t>(r) * 3 * line +
                                         static_cast<std::ptrdiff_t>(o) * line;
                    for (std::size_t i = 0; i < n; ++i) {
                        for (int k = 0; k < row.arity; ++k)
                            part[k] = loop.in[k][static_cast<std::ptrdiff_t>(r) * loop.in_stride[k][0] +
                                                 static_cast<std::ptrdiff_t>(o) * loop.in_stride[k][1] +
                                                 static_cast<std::ptrdiff_t>(loop.single[k] ? 0 : i)];
                        run({1, 1, 1, &wanted, {part, part + 1, part + 2}, {}, {}, {}});
                        EXPECT(same(got[i], wanted), "%s: number %zu of %zu hangs on its place", row.name, i, n);
                    }
                    EXPECT(got[-1] == canary && got[n] == canary, "%s: beside a line of %zu", row.name, n);
                }
        }
    std::vector<T> place = in[0];
    run({1, 1, count, place.data(), {place.data(), in[1].data(), in[2].data()}, {}, {}, {}});
    for (std::size_t i = 0; i < count; ++i) EXPECT(same(place[i], out[i]), "%s: in place", row.name);
}

template <class T>
void reductions(const Kernels<T>& kernels) {
    Random random(5);
    const std::vector<T> in = drawn<T>(20000, random);
    for (std::size_t n : {1, 2, 3, 7, 16, 33})
        for (std::size_t count = 1; count < 40; ++count)
            for (std::size_t gap : {0, 1}) {
                const auto step = static_cast<std::ptrdiff_t>(n + gap);
                const auto far = static_cast<std::ptrdiff_t>(count) * step;
                std::vector<T> sums(6 * n + 2, T(-77)), most(6 * n + 2, T(-77));
                const auto line = static_cast<std::ptrdiff_t>(n);
                Reduction<T> red{2, 3, count, n, sums.data() + 1, in.data(), {3 * line, line}, {3 * far, far}, step};
                kernels.sum(red);
                red.out = most.data() + 1;
                kernels.max(red);
                for (std::size_t m = 0; m < 6; ++m)
                    for (std::size_t i = 0; i < n; ++i) {
                        Real sum = 0, size = 0;
                        T largest = in[static_cast<std::size_t>(far) * m + i];
                        for (std::size_t c = 0; c < count; ++c) {
                            const T x = in[static_cast<std::size_t>(far) * m + c * (n + gap) + i];
                            sum += x;
                            size += std::fabs(x);
                            largest = x > largest ? x : largest;
                        }
                        EXPECT(near(sums[1 + m * n + i], {sum, size}, 0.5 * double(count)), "sum of %zu", count);
                        EXPECT(most[1 + m * n + i] == largest, "max of %zu", count);
                    }
                for (const auto* all : {&sums, &most})
                    EXPECT(all->front() == T(-77) && all->back() == T(-77), "beside a reduction of %zu", n);
            }
    for (std::size_t at = 0; at < 19; ++at) {
        std::vector<T> one(19, T(1));
        one[at] = std::numeric_limits<T>::quiet_NaN();
        T got = 0;
        kernels.max({1, 1, 19, 1, &got, one.data(), {}, {}, 1});
        EXPECT(got != got, "max without the NaN at %zu", at);
    }
}

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

template <class T>
void gathers(const Kernels<T>& kernels) {
    Random random(3);
    const std::vector<T> in = drawn<T>(500, random);
    std::vector<T> out(500, T(-77));
    kernels.gather({2, {2, 3, 2, 5}, out.data(), in.data(), 100, 60, {50, 15, 5, 1}, {1, 2, 30, 6}});
    std::size_t written = 0;
    for (T x : out) written += x != T(-77);
    EXPECT(written == 120, "gather wrote %zu numbers", written);
    for (std::size_t r = 0; r < 2; ++r)
        for (std::size_t i = 0; i < 60; ++i) {
            const std::size_t a = i / 30, b = i / 10 % 3, c = i / 5 % 2, d = i % 5;
            EXPECT(out[r * 100 + a * 50 + b * 15 + c * 5 + d] == in[r * 60 + a + b * 2 + c * 30 + d * 6], "gather");
        }
}

template <class T>
void all(const Kernels<T>& kernels) {
    for (std::size_t op = 0; op < kOpCount; ++op)
        if (kernels.elementwise[op] != nullptr) elementwise(kernels, static_cast<Op>(op));
    reductions(kernels);
    products(kernels);
    gathers(kernels);
}

}  // namespace

int check_kernels() {
    const Level& level = recurra::level();
    all(level.table->floats);
    all(level.table->doubles);
    kept_in_bfloat16(level.table->bfloat16_weights, level.table->floats);
    if (const auto* rounded = bfloat16_products().products) of_rounded(*rounded, level.table->floats.panel_width);
    for (const auto* int8 : {&level.table->int8_weights, &int8_products()}) {
        const char* const name = int8 == &level.table->int8_weights ? "int8" : "int8 in the CPU's own instructions";
        in_8_bits(*int8, level.table->floats.panel_width, name);
        no_numbers_in_8_bits(*int8, level.table->floats.panel_width, name);
    }
    std::printf("%s: %s\n", level.name, failures == 0 ? "all kernels are right" : "FAILED");
    return failures;
}

}  // namespace recurra

int check_machine();

int main(int count, char** words) {
    if (count > 1 && std::string(words[1]) == "--levels") {
        for (const std::string& name : recurra::isa_levels()) std::puts(name.c_str());
        return 0;
    }
    return recurra::check_kernels() + check_machine() == 0 ? 0 : 1;
}
