#include "run.h"

#include <cstdint>
#include <stdexcept>
#include <string>

#include "isa.h"

namespace recurra {
namespace {

// Compared as integers: the order of pointers into different arrays is unspecified.
bool overlap_in_part(const float* input, const float* output, std::size_t count) {
    const auto a = reinterpret_cast<std::uintptr_t>(input);
    const auto b = reinterpret_cast<std::uintptr_t>(output);
    return a != b && (a < b ? b - a : a - b) < count * sizeof(float);
}

}  // namespace

void run(Op op, const float* const* inputs, float* output, std::size_t count) {
    const auto number = static_cast<std::size_t>(op);
    for (int i = 0; i < kRows[number].arity; ++i)
        if (overlap_in_part(inputs[i], output, count))
            throw std::invalid_argument(std::string(kRows[number].name) +
                                        ": the output overlaps an input in part: pass the input itself "
                                        "or memory of its own");
    level().table->kernels[number](inputs, output, count);
}

}  // namespace recurra
