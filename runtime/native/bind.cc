// The Python module recurra_runtime._native. The only file that sees Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "isa.h"
#include "ops.h"
#include "run.h"

namespace nb = nanobind;

namespace {

// Any shape, C-contiguous, owned by Python and kept alive by the call.
using Input = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

template <std::size_t>
using InputAt = Input;

// Below this many elements a call is over sooner than another thread could use the lock.
constexpr std::size_t kReleaseLockFrom = 16384;

template <recurra::Op op, std::size_t... I>
void call(InputAt<I>... inputs, Output output) {
    const std::size_t count = output.size();
    if (((inputs.size() != count) || ...))
        throw std::invalid_argument("the inputs and the output must have the same number of elements");
    const float* const pointers[] = {inputs.data()...};
    if (count < kReleaseLockFrom) return recurra::run(op, pointers, output.data(), count);
    nb::gil_scoped_release release;
    recurra::run(op, pointers, output.data(), count);
}

// noconvert: an array of another kind is refused, never copied in silence.
template <recurra::Op op, std::size_t... I>
void bind(nb::module_& module, std::index_sequence<I...>) {
    const recurra::Row& row = recurra::kRows[static_cast<std::size_t>(op)];
    module.def(row.name, &call<op, I...>, ((void)I, nb::arg().noconvert())..., nb::arg().noconvert(), row.meaning);
}

nb::list rows() {
    nb::list all;
    for (const recurra::Row& row : recurra::kRows)
        all.append(nb::make_tuple(row.name, row.arity, row.shape_name, row.meaning));
    return all;
}

}  // namespace

NB_MODULE(_native, module) {
    module.doc() = "Kernels of recurra_runtime; call them through the package, which checks their arguments.";
    module.def("rows", &rows, "The instruction table: (name, arity, shape rule, meaning) of each row.");
    module.def("isa", [] { return std::string(recurra::level().name); }, "The level in use.");
    module.def("isa_levels", &recurra::isa_levels, "The levels of this build that this CPU has, lowest first.");
#define RECURRA_OP(name, arity, shape, meaning) \
    bind<recurra::Op::name>(module, std::make_index_sequence<arity>{});
#include "ops.def"
#undef RECURRA_OP
}
