// The kernels of one instruction set. Compiled once for each, with that set's flags and RECURRA_LEVEL its name.
#include "table.h"

#include "activations.h"
#include "elementwise.h"

namespace recurra {
namespace {

#define RECURRA_OP(name, arity, shape, meaning)                                          \
    static_assert(arity_of(kernels::name) == arity, #name ": ops.def has another arity"); \
    void run_##name(const float* const* inputs, float* output, std::size_t count) {      \
        for_each_element(kernels::name, inputs, output, count);                          \
    }
#include "../ops.def"
#undef RECURRA_OP

}  // namespace

namespace RECURRA_LEVEL {

const KernelTable table = {{
#define RECURRA_OP(name, arity, shape, meaning) run_##name,
#include "../ops.def"
#undef RECURRA_OP
}};

}  // namespace RECURRA_LEVEL
}  // namespace recurra
