// Kernels that compute number by number, add numbers up, or move them, against plain loops in long double.
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "expect.h"

namespace recurra {
namespace {

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

}  // namespace

template <class T>
void check_elementwise(const Kernels<T>& kernels) {
    for (std::size_t op = 0; op < kOpCount; ++op)
        if (kernels.elementwise[op] != nullptr) elementwise(kernels, static_cast<Op>(op));
    reductions(kernels);
    gathers(kernels);
}

template void check_elementwise(const Kernels<float>& kernels);
template void check_elementwise(const Kernels<double>& kernels);

}  // namespace recurra
