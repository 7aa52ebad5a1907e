// The kernels of one instruction set. Compiled once for each, with that set's flags and RECURRA_LEVEL its name.
#include "table.h"

#include "activations.h"
#include "batched.h"
#include "elementwise.h"
#include "quantized.h"
#include "products.h"
#include "reductions.h"

namespace recurra {
namespace {

// One for each elementwise instruction: how many operands its function takes is checked by calling it.
template <class T, std::size_t>
using Operand = Vector<T>;

template <int arity>
struct Nest;
template <>
struct Nest<1> {
    template <class T, class F>
    RECURRA_INLINE void run(F f, const Loop<T>& loop) {
        run_nest<T, 0>([f](Vector<T> a) { return f(a); }, loop);
    }
};
template <>
struct Nest<2> {
    template <class T, class F>
    RECURRA_INLINE void run(F f, const Loop<T>& loop) {
        run_nest<T, 0, 1>([f](Vector<T> a, Vector<T> b) { return f(a, b); }, loop);
    }
};
template <>
struct Nest<3> {
    template <class T, class F>
    RECURRA_INLINE void run(F f, const Loop<T>& loop) {
        run_nest<T, 0, 1, 2>([f](Vector<T> a, Vector<T> b, Vector<T> c) { return f(a, b, c); }, loop);
    }
};

#define RECURRA_KERNEL_elementwise(name, arity)                                                                  \
    template <class T>                                                                                           \
    void run_##name(const Loop<T>& loop) {                                                                       \
        Nest<arity>::run([](auto... operands) __attribute__((always_inline)) { return kernels::name(operands...); }, \
                         loop);                                                                                  \
    }
#define RECURRA_KERNEL_reduction(name, arity)
#define RECURRA_KERNEL_product(name, arity)
#define RECURRA_KERNEL_sum(name, arity)
#define RECURRA_KERNEL_lookup(name, arity)
#define RECURRA_KERNEL_batched(name, arity)
#define RECURRA_OP(name, arity, kind, meaning) RECURRA_KERNEL_##kind(name, arity)
#include "../ops.def"
#undef RECURRA_OP

#define RECURRA_ENTRY_elementwise(name) run_##name<T>
#define RECURRA_ENTRY_reduction(name) nullptr
#define RECURRA_ENTRY_product(name) nullptr
#define RECURRA_ENTRY_sum(name) nullptr
#define RECURRA_ENTRY_lookup(name) nullptr
#define RECURRA_ENTRY_batched(name) nullptr

template <class T>
constexpr Kernels<T> kernels_here = {
    kPanel<T>,
    {
#define RECURRA_OP(name, arity, kind, meaning) RECURRA_ENTRY_##kind(name),
#include "../ops.def"
#undef RECURRA_OP
    },
    reduce<Sum, T>,
    reduce<Max, T>,
    gather<T>,
    {panel_of<T>, product<T>, turned_product<T>, pack<T>, pack_rows<T>},
    batched<T>,
    fold<T>,
};

}  // namespace

namespace RECURRA_LEVEL {

const KernelTable table = {kernels_here<float>, kernels_here<double>, kept_as<InBfloat16>, kept_as<InInt8<Pairs>>};

}  // namespace RECURRA_LEVEL
}  // namespace recurra
