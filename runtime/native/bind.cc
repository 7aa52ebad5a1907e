// The Python module recurra_runtime._native. The only file that sees Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "isa.h"
#include "ops.h"
#include "prefixes.h"
#include "program.h"
#include "threads.h"
#include "workspace.h"

namespace nb = nanobind;

namespace {

using recurra::Call;
using recurra::Kernels;
using recurra::Loop;
using recurra::Op;
using recurra::Operand;
using recurra::Program;
using Numbers = std::vector<std::int64_t>;
using Rows = std::vector<Numbers>;

// Any shape, C-contiguous, owned by Python and kept alive by the call.
using Input = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

// Below this many elements a call is over sooner than another thread could use the lock.
constexpr std::size_t kReleaseLockFrom = 16384;

bool overlap_in_part(const float* input, const float* output, std::size_t count) {
    // Compared as integers: the order of pointers into different arrays is unspecified.
    const auto a = reinterpret_cast<std::uintptr_t>(input), b = reinterpret_cast<std::uintptr_t>(output);
    return a != b && (a < b ? b - a : a - b) < count * sizeof(float);
}

// One elementwise instruction over whole arrays.
void apply(std::size_t number, const std::vector<Input>& inputs, Output output) {
    if (number >= recurra::kOpCount || recurra::kRows[number].kind != recurra::Kind::elementwise)
        throw std::invalid_argument("no elementwise instruction has this number");
    const recurra::Row& row = recurra::kRows[number];
    const std::size_t count = output.size();
    if (static_cast<std::size_t>(row.arity) != inputs.size())
        throw std::invalid_argument(std::string(row.name) + " takes " + std::to_string(row.arity) + " inputs");
    Loop<float> loop{1, 1, count, output.data(), {}, {}, {}, {}};
    for (std::size_t k = 0; k < inputs.size(); ++k) {
        if (inputs[k].size() != count)
            throw std::invalid_argument("the inputs and the output must have the same number of elements");
        if (overlap_in_part(inputs[k].data(), output.data(), count))
            throw std::invalid_argument(std::string(row.name) +
                                        ": the output overlaps an input in part: pass the input itself "
                                        "or memory of its own");
        loop.in[k] = inputs[k].data();
    }
    const auto kernel = recurra::level().table->floats.elementwise[number];
    if (count < kReleaseLockFrom) return kernel(loop);
    nb::gil_scoped_release release;
    kernel(loop);
}

nb::list rows() {
    nb::list all;
    for (const recurra::Row& row : recurra::kRows)
        all.append(nb::make_tuple(row.name, row.arity, row.kind_name, row.meaning));
    return all;
}

const Numbers& sized(const Numbers& row, std::size_t size, const char* what) {
    if (row.size() != size) throw std::invalid_argument(std::string("program: ") + what + " of another size");
    return row;
}

Operand operand(const Numbers& row, std::size_t at) {
    return {static_cast<int>(row[at]), row[at + 1], row[at + 2], row[at + 3] != 0};
}

Program make(const Rows& buffers, const std::vector<Rows>& sections, const Rows& matrices, const Rows& moves,
             const Rows& carries, const Numbers& padded, int arguments, const Numbers& sizes) {
    Program p;
    for (const Numbers& b : buffers) {
        sized(b, 4, "a buffer");
        p.buffers.push_back({static_cast<recurra::Place>(b[0]), b[1], b[2], static_cast<int>(b[3])});
    }
    if (sections.size() != recurra::kSections) throw std::invalid_argument("program: another number of sections");
    for (std::size_t s = 0; s < sections.size(); ++s)
        for (const Numbers& i : sections[s]) {
            sized(i, 21, "an instruction");
            p.sections[s].push_back({static_cast<Op>(i[0]), i[1], i[2], i[3], i[4], operand(i, 5),
                                     {operand(i, 9), operand(i, 13), operand(i, 17)}});
        }
    for (const Numbers& m : matrices) {
        sized(m, 6, "a matrix");
        p.matrices.push_back({static_cast<int>(m[0]), m[1], m[2], m[3], m[4], m[5]});
    }
    for (const Numbers& m : moves) {
        sized(m, 12, "a copy");
        recurra::Moving moving;
        for (std::size_t a = 0; a < 4; ++a) {
            moving.sizes[a] = m[a];
            moving.out_stride[a] = m[4 + a];
            moving.in_stride[a] = m[8 + a];
        }
        p.moves.push_back(moving);
    }
    for (const Numbers& c : carries) {
        sized(c, 5, "a carry");
        p.carries.push_back({static_cast<int>(c[0]), static_cast<int>(c[1]), static_cast<int>(c[2]),
                             static_cast<int>(c[3]), c[4]});
    }
    for (std::int64_t number : padded) p.padded.push_back(static_cast<int>(number));
    p.arguments = arguments;
    sized(sizes, recurra::kPlaces, "the places");
    for (std::size_t place = 0; place < sizes.size(); ++place) p.sizes[place] = sizes[place];
    recurra::verify(p);
    return p;
}

// Memory that an array holds, and that goes back to the workspace when nobody holds the array any more.
nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>> keep(std::size_t count) {
    auto block = std::make_unique<recurra::Block<char>>(count);
    auto* const data = reinterpret_cast<std::uint8_t*>(block->data());
    nb::capsule owner(block.get(), [](void* p) noexcept { delete static_cast<recurra::Block<char>*>(p); });
    block.release();
    return nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>>(data, {count}, owner);
}

recurra::Arithmetic arithmetic_of(std::int64_t number) {
    if (number < 0 || number > static_cast<std::int64_t>(recurra::Arithmetic::int8))
        throw std::invalid_argument("program: no such weights");
    return static_cast<recurra::Arithmetic>(number);
}

// The arguments of a call: six numbers for each, as the members of an Argument.
struct Arguments {
    std::vector<recurra::Argument> all;

    explicit Arguments(const Numbers& told) {
        constexpr std::size_t each = 6;
        if (told.size() % each != 0) throw std::invalid_argument("program: expected six numbers for each argument");
        all.reserve(told.size() / each);
        for (auto a = told.begin(); a != told.end(); a += each)
            all.push_back({reinterpret_cast<void*>(a[0]), a[1], a[2], static_cast<int>(a[3]), a[4] != 0, a[5] != 0});
    }
};

// The arguments of all calls of one size. What a call owns lies as it always does; what it is given, tensors, says
// itself where it is and how far its steps and rows lie apart.
class ArgumentTable {
public:
    // `blank`: six numbers for each argument. `owned`: argument, which of the addresses, bytes behind it. `given`: which
    // argument each tensor is, and how many of its axes are steps and rows. `bytes`: of a number. Functions of a tensor:
    // `start_of` tells where its memory starts, `offset_of` how many numbers behind that it does (None: it does not), and
    // `strides_of` how far apart its axes are, a tuple.
    ArgumentTable(const Numbers& blank, const Rows& owned, const Rows& given, std::int64_t bytes, nb::object start_of,
                  nb::object offset_of, nb::object strides_of)
        : blank_(blank),
          owned_(owned),
          given_(given),
          bytes_(bytes),
          start_of_(std::move(start_of)),
          offset_of_(std::move(offset_of)),
          strides_of_(std::move(strides_of)) {
        const auto known = [&](const Numbers& row) {
            if (row[0] < 0 || static_cast<std::size_t>(row[0]) >= blank_.all.size())
                throw std::invalid_argument("program: no such argument");
        };
        for (const Numbers& row : owned_) known(sized(row, 3, "an argument"));
        for (const Numbers& row : given_) known(sized(row, 2, "an argument"));
    }

    // A tensor that is None leaves the argument as `blank` has it. `start` is the step of the others that the call begins
    // with.
    Arguments fill(const Numbers& addresses, const nb::list& tensors, std::int64_t start) const {
        Arguments filled = blank_;
        for (const Numbers& row : owned_) {
            if (row[1] < 0 || static_cast<std::size_t>(row[1]) >= addresses.size())
                throw std::invalid_argument("program: another number of addresses");
            filled.all[row[0]].data = reinterpret_cast<void*>(addresses[row[1]] + row[2]);
        }
        if (tensors.size() != given_.size()) throw std::invalid_argument("program: another number of tensors");
        for (std::size_t k = 0; k < given_.size(); ++k)
            if (const nb::handle tensor = tensors[k]; !tensor.is_none())
                place(filled.all[given_[k][0]], tensor, given_[k][1], start);
        return filled;
    }

private:
    void place(recurra::Argument& argument, nb::handle tensor, std::int64_t lead, std::int64_t start) const {
        std::int64_t address = nb::cast<std::int64_t>(start_of_(tensor));
        if (!offset_of_.is_none()) address += bytes_ * nb::cast<std::int64_t>(offset_of_(tensor));
        if (lead > 0) {
            const auto strides = nb::cast<nb::tuple>(strides_of_(tensor));
            if (strides.size() < static_cast<std::size_t>(lead)) throw std::invalid_argument("program: a tensor of few axes");
            argument.row = nb::cast<std::int64_t>(strides[lead - 1]);
            if (lead == 2) {
                argument.step = nb::cast<std::int64_t>(strides[0]);
                address += bytes_ * start * argument.step;
            }
        }
        argument.data = reinterpret_cast<void*>(address);
    }

    Arguments blank_;
    Rows owned_, given_;
    std::int64_t bytes_;
    nb::object start_of_, offset_of_, strides_of_;
};

// A call as Python tells it: steps, rows, addresses of lengths and order, whether steps descend, threads, steps of a
// chunk and of a window, how products are computed; and its arguments.
Call call_of(const Program& program, const Numbers& told, const Arguments& arguments) {
    if (arguments.all.size() != static_cast<std::size_t>(program.arguments))
        throw std::invalid_argument("program: another number of arguments");
    sized(told, 9, "a call");
    return {told[0], told[1], reinterpret_cast<const std::int64_t*>(told[2]),
            reinterpret_cast<const std::int64_t*>(told[3]), told[4] != 0, static_cast<std::size_t>(told[5]), told[6],
            told[7], arithmetic_of(told[8]), arguments.all};
}

void run(const Program& program, bool doubles, const Numbers& told, const Arguments& arguments) {
    const Call call = call_of(program, told, arguments);
    nb::gil_scoped_release release;
    doubles ? recurra::run<double>(program, call) : recurra::run<float>(program, call);
}

// A call in windows, from Python.
class PythonWindows {
public:
    PythonWindows(const Program& program, bool doubles, const Numbers& told, const Arguments& first) : program_(program) {
        const Call call = call_of(program, told, first);
        nb::gil_scoped_release release;
        windows_ = recurra::make_windows(program, doubles, call);
    }

    void run(const Numbers& told, const Arguments& arguments) {
        const Call call = call_of(program_, told, arguments);
        nb::gil_scoped_release release;
        windows_->run(call);
    }

    void end() {
        nb::gil_scoped_release release;
        windows_->end();
    }

private:
    const Program program_;
    std::unique_ptr<recurra::Windows> windows_;
};

// A step from Python: fixed memory, and what is copied in and out of it.
class PythonStepper {
public:
    // `arguments`: address and stride of a row for each; `inputs` and `output`: address, bytes, how many whole
    // numbers from 0 it may hold (0: any number), and its shape; `copies`: (from, to, bytes).
    PythonStepper(const Program& program, bool doubles, std::int64_t batch, const Rows& arguments, const Rows& inputs,
                  const Numbers& output, const Rows& copies, std::size_t threads, std::int64_t weights)
        : format_(doubles ? 'd' : 'f'), arithmetic_(arithmetic_of(weights)) {
        stepper_ = recurra::make_stepper(program, doubles, call_of(batch, arguments), threads);
        keep(inputs, output, copies);
    }

    void begin() { stepper_->begin(); }

    // Other rows, told as to the constructor.
    void place(std::int64_t batch, const Rows& arguments, const Rows& inputs, const Numbers& output, const Rows& copies) {
        stepper_->place(call_of(batch, arguments));
        keep(inputs, output, copies);
    }

    // Inputs, then the memory of the result: contiguous arrays of the right type and size, or TypeError.
    void step(nb::args arrays) {
        if (arrays.size() != inputs_.size() + 1) throw nb::type_error("step: another number of arrays");
        for (std::size_t k = 0; k < inputs_.size(); ++k) {
            const Held from(arrays[k].ptr(), false, format_, inputs_[k]);
            if (inputs_[k][2] > 0)
                format_ == 'd' ? from.expect_whole<double>(inputs_[k][2]) : from.expect_whole<float>(inputs_[k][2]);
            std::memcpy(reinterpret_cast<void*>(inputs_[k][0]), from.view.buf, static_cast<std::size_t>(inputs_[k][1]));
        }
        const Held to(arrays[inputs_.size()].ptr(), true, format_, output_);
        stepper_->step();
        std::memcpy(to.view.buf, reinterpret_cast<void*>(output_[0]), static_cast<std::size_t>(output_[1]));
        for (const Numbers& copy : copies_)
            std::memcpy(reinterpret_cast<void*>(copy[1]), reinterpret_cast<void*>(copy[0]),
                        static_cast<std::size_t>(copy[2]));
    }

private:
    Call call_of(std::int64_t batch, const Rows& arguments) const {
        Call call{1, batch, nullptr, nullptr, false, 1, 1, 1, arithmetic_, {}};
        for (const Numbers& a : arguments)
            call.arguments.push_back(
                {reinterpret_cast<void*>(sized(a, 2, "an argument")[0]), 0, a[1], 0, false, false});
        return call;
    }

    void keep(const Rows& inputs, const Numbers& output, const Rows& copies) {
        for (const Numbers& copy : copies) sized(copy, 3, "a copy");
        inputs_ = inputs, output_ = output, copies_ = copies;
    }

    struct Held {
        Py_buffer view;
        Held(PyObject* object, bool writes, char format, const Numbers& wanted) {
            if (PyObject_GetBuffer(object, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writes ? PyBUF_WRITABLE : 0)) != 0) {
                PyErr_Clear();
                throw nb::type_error("step: expected contiguous arrays");
            }
            bool fits = view.len == wanted[1] && view.format != nullptr && view.format[0] == format && view.format[1] == 0;
            fits &= static_cast<std::size_t>(view.ndim) + 3 == wanted.size();
            for (int axis = 0; fits && axis < view.ndim; ++axis)
                fits = view.shape[axis] == wanted[3 + static_cast<std::size_t>(axis)];
            if (!fits) {
                PyBuffer_Release(&view);
                throw nb::type_error("step: expected arrays of the size and type of the program");
            }
        }
        Held(const Held&) = delete;
        ~Held() { PyBuffer_Release(&view); }

        template <class T>
        void expect_whole(std::int64_t count) const {
            const T* const numbers = static_cast<const T*>(view.buf);
            const std::size_t size = static_cast<std::size_t>(view.len) / sizeof(T);
            for (std::size_t i = 0; i < size; ++i)
                if (!(numbers[i] >= T(0) && numbers[i] < static_cast<T>(count) && numbers[i] == std::floor(numbers[i])))
                    throw nb::type_error("step: expected whole numbers in range");
        }
    };

    char format_;
    recurra::Arithmetic arithmetic_;
    std::vector<Numbers> inputs_, copies_;
    Numbers output_;
    std::unique_ptr<recurra::Stepper> stepper_;
};

// A search from Python, which several threads may ask: one after the other.
class PythonPrefixSearch {
public:
    using Steps = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
    using States = nb::ndarray<const std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
    using Begun = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

    // A state's next and bonus and what it has begun: all of them, or none.
    PythonPrefixSearch(std::int64_t size, std::int64_t blank, std::int64_t width, double threshold, double least,
                       std::optional<States> next, std::optional<Steps> bonus, std::optional<Begun> begun)
        : next_(std::move(next)),
          bonus_(std::move(bonus)),
          begun_(std::move(begun)),
          size_(size),
          search_(size, blank, width, threshold, least, favored()) {}
    PythonPrefixSearch(const PythonPrefixSearch& other) : PythonPrefixSearch(other, std::lock_guard(other.busy_)) {}

    bool push(const Steps& steps) {
        if (static_cast<std::int64_t>(steps.shape(1)) != size_)
            throw std::invalid_argument("prefix search: steps of another size");
        nb::gil_scoped_release release;
        const std::lock_guard lock(busy_);
        return search_.push(steps.data(), static_cast<std::int64_t>(steps.shape(0)));
    }

    // (symbols, log-probability, score) of each.
    nb::list best(std::int64_t keep) {
        std::vector<recurra::FoundText> found;
        {
            nb::gil_scoped_release release;
            const std::lock_guard lock(busy_);
            found = search_.best(keep);
        }
        nb::list all;
        for (const recurra::FoundText& one : found)
            all.append(nb::make_tuple(nb::tuple(nb::cast(one.symbols)), one.log_prob, one.score));
        return all;
    }

private:
    PythonPrefixSearch(const PythonPrefixSearch& other, const std::lock_guard<std::mutex>&)
        : next_(other.next_), bonus_(other.bonus_), begun_(other.begun_), size_(other.size_), search_(other.search_) {}

    recurra::Favored favored() const {
        if (!next_) return {};
        const std::size_t states = next_->shape(0), size = next_->shape(1);
        if (!bonus_ || !begun_ || states == 0 || bonus_->shape(0) != states || bonus_->shape(1) != size ||
            begun_->shape(0) != states)
            throw std::invalid_argument("prefix search: hot words of different sizes");
        return {next_->data(), bonus_->data(), begun_->data(), static_cast<std::int64_t>(states),
                static_cast<std::int64_t>(size)};
    }

    std::optional<States> next_;
    std::optional<Steps> bonus_;
    std::optional<Begun> begun_;
    std::int64_t size_;
    mutable std::mutex busy_;
    recurra::PrefixSearch search_;
};

}  // namespace

NB_MODULE(_native, module) {
    recurra::watch_forks();
    nb::set_leak_warnings(false);  // programs are kept until the process ends
    module.doc() = "The native core of recurra_runtime; call it through the package, which checks its arguments.";
    module.def("rows", &rows, "The instruction table: (name, arity, kind, meaning) of each row.");
    module.def("isa", [] { return std::string(recurra::level().name); }, "The level in use.");
    module.def("isa_levels", &recurra::isa_levels, "The levels of this build that this CPU has, lowest first.");
    module.def("bfloat16_products", [] { return std::string(recurra::bfloat16_products().name); },
               "The instructions for products in bfloat16, if they are quicker here than those in float32; else \"\".");
    // noconvert: an array of another kind is refused, never copied in silence.
    module.def("apply", &apply, nb::arg(), nb::arg().noconvert(), nb::arg().noconvert(),
               "One elementwise instruction over whole arrays.");
    nb::class_<Program>(module, "Program", "A verified program.")
        .def_static("make", &make, "Verify a program.")
        .def("run", &run, "Run it.");
    nb::class_<Arguments>(module, "Arguments", "What a call is on.").def(nb::init<const Numbers&>());
    nb::class_<ArgumentTable>(module, "ArgumentTable", "The arguments of all calls of one size.")
        .def(nb::init<const Numbers&, const Rows&, const Rows&, std::int64_t, nb::object, nb::object, nb::object>(),
             nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg())
        .def("fill", &ArgumentTable::fill, "Those of one.");
    nb::class_<PythonWindows>(module, "Windows", "A call that comes in windows of steps.")
        .def(nb::init<const Program&, bool, const Numbers&, const Arguments&>())
        .def("run", &PythonWindows::run, "The next window.")
        .def("end", &PythonWindows::end, "The sums are told.");
    nb::class_<PythonStepper>(module, "Stepper", "A program, ready to run one step again and again.")
        .def(nb::init<const Program&, bool, std::int64_t, const Rows&, const Rows&, const Numbers&, const Rows&,
                      std::size_t, std::int64_t>())
        .def("begin", &PythonStepper::begin, "What each row holds has changed.")
        .def("place", &PythonStepper::place, "Other rows, in memory of their own.")
        .def("step", &PythonStepper::step, "Read the inputs, run, write the result.");
    nb::class_<PythonPrefixSearch>(module, "PrefixSearch", "The open texts of a prefix beam search.")
        .def(nb::init<std::int64_t, std::int64_t, std::int64_t, double, double, std::optional<PythonPrefixSearch::States>,
                      std::optional<PythonPrefixSearch::Steps>, std::optional<PythonPrefixSearch::Begun>>(),
             nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg().none())
        .def("__deepcopy__", [](const PythonPrefixSearch& own, nb::handle) { return PythonPrefixSearch(own); })
        .def("push", &PythonPrefixSearch::push, nb::arg().noconvert(), "Read further steps; false if one holds NaN.")
        .def("best", &PythonPrefixSearch::best, "The best texts so far.");
    module.def("keep", &keep, "So many bytes of the workspace, as an array.");
    module.def("use_threads_of",
               [](std::uintptr_t parallel) { recurra::use_threads_of(reinterpret_cast<recurra::Parallel>(parallel)); },
               "Use the threads of the OpenMP whose GOMP_parallel is at this address; of an own pool if it is 0.");
    module.def("kept_bytes", &recurra::kept_bytes, "Bytes that wait to be used again.");
    module.def("keep_at_most", &recurra::keep_at_most, "How many bytes may wait.");
}
