// The machine on a program of two products and a tanh: h = tanh(x W + h U), on one thread and several.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "../native/program.h"

namespace {

using namespace recurra;

constexpr std::int64_t kTime = 7, kBatch = 5, kInputs = 3, kHidden = 6;
enum Number : int { x, w, u, begin, end, before, after, sums, scaled };

Program made() {
    Program p;
    p.arguments = 7;
    p.buffers = {{Place::argument, kInputs, 0, -1},
                 {Place::argument, kInputs * kHidden, 0, -1},
                 {Place::argument, kHidden * kHidden, 0, -1},
                 {Place::argument, kHidden, 0, -1},
                 {Place::argument, kHidden, 0, -1},
                 {Place::argument, kHidden, 0, -1},
                 {Place::argument, kHidden, 0, -1},
                 {Place::chunk, kHidden, 0, -1},
                 {Place::step, kHidden, 0, -1}};
    p.sizes[static_cast<int>(Place::chunk)] = p.sizes[static_cast<int>(Place::step)] = kHidden;
    p.matrices = {{w, 0, kInputs, kHidden, kHidden, 1}, {u, 0, kHidden, kHidden, kHidden, 1}};
    p.carries = {{begin, before, after, end, kHidden}};
    p.sections[kBefore] = {{Op::linear, 1, kHidden, kInputs, 0, {sums}, {{x}, {}, {}}}};
    p.sections[kThrough] = {{Op::linear, 1, kHidden, kHidden, 1, {scaled}, {{before}, {}, {sums}}},
                            {Op::tanh, 1, kHidden, 0, -1, {after}, {{scaled}, {}, {}}}};
    verify(p);
    return p;
}

std::vector<float> wave(std::int64_t count, double speed) {
    std::vector<float> all(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(std::sin(speed * double(i + 1)));
    return all;
}

// `size` steps at a time; all at once if that is all of them.
std::vector<float> states(std::size_t threads, std::int64_t size = kTime) {
    std::vector<float> inputs = wave(kTime * kBatch * kInputs, 0.7), from = wave(kBatch * kHidden, 1.3);
    std::vector<float> in = wave(kInputs * kHidden, 0.3), back = wave(kHidden * kHidden, 0.9), to(from.size());
    std::vector<float> all(static_cast<std::size_t>((kTime + 1) * kBatch * kHidden));
    const std::int64_t step = kBatch * kHidden;
    const auto window = [&](std::int64_t start) {
        Call call{std::min(size, kTime - start), kBatch, nullptr, nullptr, false, threads, 3, 2, Arithmetic::full, {}};
        float* const here = all.data() + start * step;
        call.arguments = {{inputs.data() + start * kBatch * kInputs, kBatch * kInputs, kInputs, 0, false, false},
                          {in.data(), 0, 0, 0, false, false},
                          {back.data(), 0, 0, 0, false, false},
                          {start == 0 ? from.data() : to.data(), 0, kHidden, 0, false, false},
                          {to.data(), 0, kHidden, 0, false, false},
                          {here, step, kHidden, 0, false, false},
                          {here, step, kHidden, 1, false, false}};
        return call;
    };
    const Program program = made();
    if (size == kTime) {
        run<float>(program, window(0));
    } else {
        const auto windows = make_windows(program, false, window(0));
        in.assign(in.size(), 0);  // packed by now
        for (std::int64_t start = 0; start < kTime; start += size) windows->run(window(start));
        windows->end();
    }
    all.insert(all.end(), to.begin(), to.end());
    return all;
}

// The same in doubles, as on paper.
bool right(const std::vector<float>& got) {
    const std::vector<float> inputs = wave(kTime * kBatch * kInputs, 0.7), from = wave(kBatch * kHidden, 1.3);
    const std::vector<float> in = wave(kInputs * kHidden, 0.3), back = wave(kHidden * kHidden, 0.9);
    const auto at = [](const std::vector<float>& all, std::int64_t i) { return double(all[static_cast<std::size_t>(i)]); };
    for (std::int64_t t = 0; t < kTime; ++t)
        for (std::int64_t b = 0; b < kBatch; ++b)
            for (std::int64_t j = 0; j < kHidden; ++j) {
                double sum = 0;
                for (std::int64_t i = 0; i < kInputs; ++i)
                    sum += at(inputs, (t * kBatch + b) * kInputs + i) * at(in, i * kHidden + j);
                for (std::int64_t i = 0; i < kHidden; ++i)
                    sum += at(got, (t * kBatch + b) * kHidden + i) * at(back, i * kHidden + j);
                const std::int64_t place = ((t + 1) * kBatch + b) * kHidden + j;
                if (!(std::fabs(at(got, place) - std::tanh(sum)) < 2e-6)) return false;
                if (t + 1 == kTime && at(got, place) != at(got, place + kBatch * kHidden)) return false;
            }
    return at(got, 0) == at(from, 0);
}

// Numbers below the normal ones are zero while a program runs, all of it or a step of a stream, and numbers again when
// it is over.
bool flushes(Section section) {
    Program p;
    p.arguments = 2;
    p.buffers = {{Place::argument, 1, 0, -1}, {Place::argument, 1, 0, -1}};
    p.sections[section] = {{Op::mul, 1, 1, 0, -1, {1}, {{0}, {0}, {}}}};
    verify(p);
    float root = 1e-20f, square = 1;
    Call call{1, 1, nullptr, nullptr, false, 1, 1, 1, Arithmetic::full, {}};
    call.arguments = {{&root, 0, 0, 0, false, false}, {&square, 0, 0, 0, false, false}};
    const auto flushed = [&] {
        volatile float again = root;
        return square == 0 && again * again > 0;
    };
    run<float>(p, call);
    bool all = flushed();
    square = 1;
    const auto windows = make_windows(p, false, call);
    windows->run(call);
    windows->end();
    all &= flushed();
    if (section == kHeld || section == kThrough || section == kShared) {
        square = 1;
        const auto stepper = make_stepper(p, false, call, 1);
        stepper->step();
        all &= flushed();
        if (section != kShared) square = 1;  // which is computed once
        stepper->place(call);
        stepper->step();
        all &= flushed();
    }
    return all;
}

}  // namespace

// How much of the machine is wrong.
int check_machine() {
    int failures = 0;
    const std::vector<float> one = states(1);
    failures += !right(one);
    for (std::size_t threads : {2, 3, 5, 8}) failures += states(threads) != one;
    for (std::size_t threads : {1, 3, 8})
        for (std::int64_t size : {1, 2, 5}) failures += states(threads, size) != one;
    for (Section section : {kShared, kHeld, kBefore, kThrough, kFinal}) failures += !flushes(section);
    std::printf("machine: %s\n", failures == 0 ? "right on 1 to 8 threads" : "FAILED");
    return failures;
}
