// What a call may be: looked at before each run, in a time that the run does not notice.
#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "isa.h"
#include "program.h"

namespace recurra {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 40;      // steps or rows
constexpr std::int64_t kMemory = std::int64_t{1} << 58;    // numbers, whose bytes can be counted
constexpr std::int64_t kTogether = std::int64_t{1} << 28;  // rows and steps that one instruction takes
constexpr std::size_t kThreads = 1024;

void expect(bool good, const std::string& what) {
    if (!good) throw std::invalid_argument("program: expected " + what);
}

// Lengths must fall within each thread's rows: how many are alive is counted from their ends.
void check_lengths(const Call& call) {
    const std::size_t parts = call.batch >= static_cast<std::int64_t>(call.threads) ? call.threads : 1;
    for (std::size_t part = 0; part < parts; ++part) {
        const std::int64_t* const first = call.lengths + cut(0, call.batch, part, parts);
        const std::int64_t* const last = call.lengths + cut(0, call.batch, part + 1, parts);
        expect(std::is_sorted(first, last, std::greater<std::int64_t>()), "lengths that fall in each thread's rows");
        expect(*first <= call.time && last[-1] >= 0, "lengths from 0 to the number of steps");
    }
}

void check_order(const Call& call) {
    std::vector<bool> seen(static_cast<std::size_t>(call.batch), false);
    for (std::int64_t i = 0; i < call.batch; ++i) {
        const std::int64_t row = call.order[i];
        expect(row >= 0 && row < call.batch && !seen[static_cast<std::size_t>(row)], "each row once in the order");
        seen[static_cast<std::size_t>(row)] = true;
    }
}

void check_memory(const Program& program, const Call& call) {
    const std::int64_t chunk = std::min(call.chunk, call.time), window = std::min(call.window, chunk);
    const auto threads = static_cast<std::int64_t>(call.threads);
    expect(call.batch <= kTogether / chunk, "fewer rows, or a shorter chunk");
    // In the order of the places; arguments are the caller's.
    const std::int64_t copies[kPlaces] = {1, 1, call.batch, chunk * call.batch, window * call.batch, threads, call.batch};
    for (int place = 0; place < kPlaces; ++place)
        expect(program.sizes[place] <= kMemory / copies[place], "a call that memory can hold");
}

void check_arguments(const Program& program, const Call& call) {
    expect(call.arguments.size() == static_cast<std::size_t>(program.arguments), "another number of arguments");
    for (std::size_t a = 0; a < call.arguments.size(); ++a) {
        const Argument& argument = call.arguments[a];
        const std::string which = "argument " + std::to_string(a);
        expect(argument.data != nullptr || program.buffers[a].size == 0, which + " to be somewhere");
        expect(argument.shift == 0 || argument.shift == 1, which + " shifted by no step or one");
        expect(!argument.ring || !program.whole[a], which + " to keep all steps");
    }
}

}  // namespace

void check(const Program& program, const Call& call) {
    for (std::int64_t size : {call.time, call.batch, call.chunk, call.window})
        expect(size >= 1 && size < kMost, "steps, rows, a chunk and a window of at least one");
    expect(call.arithmetic != Arithmetic::rounded || bfloat16_products().products != nullptr,
           "a CPU with products in bfloat16");
    expect(call.threads >= 1 && call.threads <= kThreads, "1 to " + std::to_string(kThreads) + " threads");
    check_arguments(program, call);
    check_memory(program, call);
    if (call.lengths != nullptr) check_lengths(call);
    if (call.order != nullptr) check_order(call);
}

}  // namespace recurra
