// What the machine runs: instructions on buffers, in sections.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ops.h"

namespace recurra {

// Where a buffer lives, and what there is one of in it.
enum class Place : int {
    argument,  // the caller's memory: strides of step and row are given with the call
    shared,    // one for all rows, computed once a call
    held,      // one for each row
    chunk,     // one for each row and step of a chunk
    step,      // one for each row and step of a window: gone when the section is over
    total,     // sums over rows: each thread has its own; added up at the end into the argument `target`
    held_total // sums over steps, for each row
};
constexpr int kPlaces = 7;

struct Buffer {
    Place place;
    std::int64_t size;    // numbers of one
    std::int64_t offset;  // where it begins among the others of its place, in numbers of one row
    int target;           // of a total: the argument that gets it; else -1
};

// A part of a buffer: [outer, n] numbers, `single` where one number stands for all n.
struct Operand {
    int buffer = -1;
    std::int64_t offset = 0, outer_stride = 0;
    bool single = false;
};

struct Instruction {
    Op op;
    std::int64_t outer, n;  // of the result
    std::int64_t count;     // reduction: numbers that become one; products and outer: the depth; lookup, scatter: rows
    std::int64_t step;      // reduction: their distance; product: which packed matrix; lookup: distance of rows;
                            // copy and batched: which row of `moves`
    Operand out, in[3];
};

// A matrix that is packed at every call: a part of a buffer that all rows share.
struct Matrix {
    int buffer;
    std::int64_t offset, depth, width, depth_stride, width_stride;
};

// Numbers that are moved any way: a copy whose strides no other instruction can read. Of a product of two matrices of
// each row, [m, k] and [k, n]: sizes m, k, n, 1, strides of its result (m, n) and of the first (m, k), and in
// `in_stride` of the second (k, n). Of lines that are added up where they overlap: sizes lines, numbers of a line, 1, 1;
// of the result how far lines lie apart, where the first is and how many numbers there are; how far those lie apart that
// are read.
struct Moving {
    std::int64_t sizes[4], out_stride[4], in_stride[4];
};

// What one step leaves to the next one: rows begin with a copy of `from`, and leave `to` when they end.
struct Carry {
    int from, in, out, to;  // buffers; `to` may be -1
    std::int64_t size;
};

enum Section { kShared, kHeld, kBefore, kThrough, kAfter, kSums, kHeldAfter, kFinal, kSections };

struct Program {
    std::vector<Buffer> buffers;
    std::vector<Instruction> sections[kSections];
    std::vector<Matrix> matrices;
    std::vector<Moving> moves;
    std::vector<Carry> carries;
    std::vector<int> padded;  // arguments with zeros at steps behind the end of a row
    int arguments = 0;        // the first buffers are the arguments, in order
    // Numbers that each place takes for one of its rows.
    std::int64_t sizes[kPlaces] = {};
    // By argument, told by verify(): whether it is reached for several steps at once, so that it must keep all.
    std::vector<bool> whole;
};

// Throws std::invalid_argument: an instruction that reads or writes outside of a buffer, or is none.
void verify(Program& program);

// An argument of a call: where it is, and how far steps and rows lie apart, in numbers. `shift` is added to a
// step's number; of a `ring` only two steps are kept. Rows of a `mapped` one are where the call's order says.
struct Argument {
    void* data;
    std::int64_t step, row;
    int shift;
    bool ring, mapped;
};

// Of float32, how products are computed, in the order that callers number it by: in full; what they multiply is rounded
// to bfloat16, where bfloat16_products() are; one step alone: of matrices that are kept in bfloat16, or in 8 bits.
enum class Arithmetic { full, rounded, bfloat16, int8 };

struct Call {
    std::int64_t time, batch;
    const std::int64_t* lengths;  // [batch], falling within the rows of each thread; null: all rows are whole
    const std::int64_t* order;    // [batch] where each row of the call is; null: in their own order
    bool descending;              // steps are run from last to first
    std::size_t threads;
    std::int64_t chunk, window;  // steps
    Arithmetic arithmetic;
    std::vector<Argument> arguments;
};

// Where a part of a range begins, of those for all threads: their sizes differ by one, the last are the larger.
inline std::int64_t cut(std::int64_t from, std::int64_t to, std::size_t part, std::size_t parts) {
    const std::int64_t p = static_cast<std::int64_t>(part), all = static_cast<std::int64_t>(parts);
    const std::int64_t size = (to - from) / all, smaller = all - (to - from) % all;
    return from + size * p + (p > smaller ? p - smaller : 0);
}

// Throws std::invalid_argument: a call that this verified program cannot be run for. Of its arguments only the
// addresses of what they hold are taken on trust.
void check(const Program& program, const Call& call);

// Checks a call, and runs a verified program. Throws std::invalid_argument for a call that does not fit, std::bad_alloc,
// and std::out_of_range for a number that is no row of the table that it is looked up in.
template <class T>
void run(const Program& program, const Call& call);

// A call that comes in windows of steps: what all rows share is computed and matrices are packed once, and sums over
// rows go on from window to window. What all rows share must stay where it is, and as it is, until the end.
class Windows {
public:
    virtual ~Windows() = default;
    virtual void run(const Call& call) = 0;  // the next window; throws as run() does
    virtual void end() = 0;                  // the sums are told
};

// Throws as run() does. The call is that of the first window; all have as many rows and threads. The program has to
// live as long.
std::unique_ptr<Windows> make_windows(const Program& program, bool doubles, const Call& call);

// A verified program without carries, ready to run one step again and again on the same memory: what all rows
// share is computed and matrices are packed once, so weights that change later are not seen.
class Stepper {
public:
    virtual ~Stepper() = default;
    virtual void begin() = 0;  // what each row holds has changed
    virtual void step() = 0;
    // Other rows, in memory of their own; what all rows share lies where it was. Throws as make_stepper does; where
    // memory was missing there is no next step.
    virtual void place(const Call& call) = 0;
};

// Throws as run does. `threads` share its products with large matrices.
std::unique_ptr<Stepper> make_stepper(const Program& program, bool doubles, const Call& call, std::size_t threads);

}  // namespace recurra
