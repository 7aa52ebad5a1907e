// What a program may do: looked at once, before it runs.
#include <initializer_list>
#include <stdexcept>
#include <string>

#include "program.h"

namespace recurra {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 40;     // sizes whose sums cannot overflow
constexpr std::int64_t kLargest = std::int64_t{1} << 32;  // numbers of one value, and so what a loop may take
constexpr std::int64_t kPanel = 64;                       // columns that packing adds at most

class Verifier {
public:
    explicit Verifier(Program& program) : p_(program) {}

    void run() {
        const auto count = static_cast<int>(p_.buffers.size());
        expect(p_.arguments >= 0 && p_.arguments <= count, "the number of arguments");
        for (std::int64_t size : p_.sizes) expect(size >= 0 && size < kMost, "the size of a place");
        for (int b = 0; b < count; ++b) {
            where_ = "buffer " + std::to_string(b);
            const Buffer& buffer = p_.buffers[static_cast<std::size_t>(b)];
            const int place = static_cast<int>(buffer.place);
            expect(place >= 0 && place < kPlaces, "its place");
            expect((buffer.place == Place::argument) == (b < p_.arguments), "arguments come first, and only they");
            expect(buffer.size >= 0 && buffer.size < kMost, "its size");
            if (buffer.place == Place::argument) continue;
            expect(buffer.offset >= 0 && buffer.offset <= p_.sizes[place] - buffer.size, "where it lies");
            expect(buffer.target >= -1 && buffer.target < p_.arguments, "its target");
            if (buffer.target < 0) continue;
            expect(buffer.place == Place::total, "only a total has a target");
            expect(size_of(buffer.target) >= buffer.size, "the size of its target");
        }
        p_.whole.assign(static_cast<std::size_t>(p_.arguments), false);
        std::int64_t packed = 0;
        for (const Matrix& m : p_.matrices) {
            where_ = "matrix " + std::to_string(&m - p_.matrices.data());
            buffer_in(m.buffer);
            const Place place = p_.buffers[static_cast<std::size_t>(m.buffer)].place;
            expect(place == Place::argument || place == Place::shared, "its buffer");
            bounded(m.offset), positive(m.depth), positive(m.width), bounded(m.depth_stride), bounded(m.width_stride);
            const std::int64_t last =
                m.offset + (m.depth - 1) * m.depth_stride + (m.width - 1) * m.width_stride;
            expect(last < size_of(m.buffer), "that it ends outside of its buffer");
            packed += m.depth * (m.width + kPanel);
            expect(packed < kMost, "the size of all matrices");
        }
        for (const Moving& m : p_.moves) {
            where_ = "copy " + std::to_string(&m - p_.moves.data());
            for (int a = 0; a < 4; ++a) positive(m.sizes[a]), bounded(m.out_stride[a]), bounded(m.in_stride[a]);
            numbers({m.sizes[0], m.sizes[1], m.sizes[2], m.sizes[3]});
        }
        for (int number : p_.padded) {
            where_ = "padding";
            argument(number);
            p_.whole[static_cast<std::size_t>(number)] = true;
        }
        for (const Carry& carry : p_.carries) {
            where_ = "carry " + std::to_string(&carry - p_.carries.data());
            positive(carry.size);
            const int numbers[] = {carry.from, carry.in, carry.out, carry.to};
            for (int k = 0; k < (carry.to == -1 ? 3 : 4); ++k) {
                argument(numbers[k]);
                expect(size_of(numbers[k]) >= carry.size, "its size");
            }
            expect(carry.from != carry.in && carry.from != carry.to && carry.out != carry.to, "a copy to itself");
        }
        for (int section = 0; section < kSections; ++section)
            for (const Instruction& ins : p_.sections[section]) {
                where_ = "section " + std::to_string(section) + ", instruction " +
                         std::to_string(&ins - p_.sections[section].data());
                instruction(ins, section);
            }
    }

private:
    void expect(bool good, const std::string& what) const {
        if (!good) throw std::invalid_argument("program: " + where_ + ": " + what + " cannot be");
    }
    void positive(std::int64_t n) const { expect(n > 0 && n < (1 << 30), "a size"); }
    void bounded(std::int64_t n) const { expect(n >= 0 && n < (1 << 30), "an offset or stride"); }
    void buffer_in(int number) const {
        expect(number >= 0 && number < static_cast<int>(p_.buffers.size()), "the number of a buffer");
    }
    void argument(int number) const { expect(number >= 0 && number < p_.arguments, "the number of an argument"); }
    // How many numbers axes have.
    std::int64_t numbers(std::initializer_list<std::int64_t> sizes) const {
        std::int64_t all = 1;
        for (std::int64_t size : sizes) {
            expect(size <= kLargest / all, "so many numbers");
            all *= size;
        }
        return all;
    }
    std::int64_t size_of(int number) const { return p_.buffers[static_cast<std::size_t>(number)].size; }
    Place place_of(const Operand& o) const {
        buffer_in(o.buffer);
        return p_.buffers[static_cast<std::size_t>(o.buffer)].place;
    }

    void operand(const Operand& o, std::int64_t outer, std::int64_t n) const {
        buffer_in(o.buffer);
        bounded(o.offset), bounded(o.outer_stride);
        const std::int64_t last = o.offset + (outer - 1) * o.outer_stride + (o.single ? 0 : n - 1);
        expect(last < size_of(o.buffer), "an operand that ends outside of its buffer");
    }

    // One whose numbers are all there.
    void line(const Operand& o, std::int64_t outer, std::int64_t n) const {
        expect(!o.single, "one number for all here");
        operand(o, outer, n);
    }

    void moved(const Operand& o, const std::int64_t* sizes, const std::int64_t* strides) const {
        buffer_in(o.buffer);
        bounded(o.offset);
        std::int64_t last = o.offset;
        for (int a = 0; a < 4; ++a) last += (sizes[a] - 1) * strides[a];
        expect(last < size_of(o.buffer), "a copy that ends outside of its buffer");
    }

    void matrix(const Operand& o, std::int64_t height, std::int64_t width, std::int64_t down, std::int64_t along) const {
        buffer_in(o.buffer);
        bounded(o.offset);
        expect(o.offset + (height - 1) * down + (width - 1) * along < size_of(o.buffer),
               "a matrix that ends outside of its buffer");
    }

    void instruction(const Instruction& ins, int section) {
        expect(static_cast<std::size_t>(ins.op) < kOpCount, "its number");
        const Row& row = row_of(ins.op);
        positive(ins.outer), positive(ins.n);
        numbers({ins.outer, ins.n});
        const bool alone = section == kShared || section == kFinal;
        const bool held = section == kHeld || section == kHeldAfter;
        for (const Operand* o : {&ins.out, &ins.in[0], &ins.in[1], &ins.in[2]}) {
            if (o->buffer < 0) continue;
            const Place place = place_of(*o);
            if (alone)
                expect(place == Place::argument || place == Place::shared || place == Place::total,
                       "an operand that has rows");
            if (held) expect(place != Place::chunk && place != Place::step, "an operand that has steps");
            // Sums go over all steps of a chunk, of which a window is a part.
            if (section == kSums) expect(place != Place::step, "an operand that is gone");
            if (place == Place::argument && (section == kBefore || section == kAfter || section == kSums))
                p_.whole[static_cast<std::size_t>(o->buffer)] = true;
        }
        switch (row.kind) {
            case Kind::elementwise:
                if (ins.step >= 0) {
                    expect(ins.op == Op::copy && ins.step < static_cast<std::int64_t>(p_.moves.size()),
                           "what it moves");
                    const Moving& m = p_.moves[static_cast<std::size_t>(ins.step)];
                    moved(ins.out, m.sizes, m.out_stride);
                    moved(ins.in[0], m.sizes, m.in_stride);
                    break;
                }
                line(ins.out, ins.outer, ins.n);
                for (int k = 0; k < row.arity; ++k) operand(ins.in[k], ins.outer, ins.n);
                break;
            case Kind::reduction:
                positive(ins.count), bounded(ins.step);
                numbers({ins.outer, ins.count, ins.n});
                line(ins.out, ins.outer, ins.n);
                line(ins.in[0], ins.outer, ins.n + (ins.count - 1) * ins.step);
                break;
            case Kind::product: {
                positive(ins.count);
                expect(section != kShared, "a product before matrices are packed");
                expect(ins.step >= 0 && ins.step < static_cast<std::int64_t>(p_.matrices.size()), "its matrix");
                const Matrix& m = p_.matrices[static_cast<std::size_t>(ins.step)];
                expect(m.depth == ins.count && m.width == ins.n, "the sizes of its matrix");
                numbers({ins.outer, ins.count});
                line(ins.out, ins.outer, ins.n);
                line(ins.in[0], ins.outer, ins.count);
                if (ins.in[2].buffer >= 0) line(ins.in[2], ins.outer, ins.n);
                break;
            }
            case Kind::lookup:
                positive(ins.count), bounded(ins.step);
                expect(place_of(ins.in[1]) == Place::argument || place_of(ins.in[1]) == Place::shared, "its table");
                operand(ins.out, ins.outer, ins.n);
                operand(ins.in[0], ins.outer, 1);
                operand(ins.in[1], 1, (ins.count - 1) * ins.step + ins.n);
                break;
            case Kind::batched: {
                expect(ins.step >= 0 && ins.step < static_cast<std::int64_t>(p_.moves.size()), "its strides");
                const Moving& m = p_.moves[static_cast<std::size_t>(ins.step)];
                if (ins.op == Op::fold) {
                    matrix(ins.out, 1, m.out_stride[2], 0, 1);
                    expect(m.out_stride[1] + (m.sizes[0] - 1) * m.out_stride[0] + m.sizes[1] <= m.out_stride[2],
                           "a line that ends behind the others");
                    matrix(ins.in[0], m.sizes[0], m.sizes[1], m.in_stride[0], 1);
                    break;
                }
                matrix(ins.out, m.sizes[0], m.sizes[2], m.out_stride[0], m.out_stride[1]);
                matrix(ins.in[0], m.sizes[0], m.sizes[1], m.out_stride[2], m.out_stride[3]);
                matrix(ins.in[1], m.sizes[1], m.sizes[2], m.in_stride[0], m.in_stride[1]);
                break;
            }
            case Kind::sum:
                if (ins.op == Op::scatter) {
                    positive(ins.count);
                    operand(ins.in[0], ins.outer, 1);
                    line(ins.in[1], ins.outer, ins.n);
                    expect(place_of(ins.out) == Place::total, "its result");
                    line(ins.out, ins.count, ins.n);
                } else if (ins.op == Op::outer) {
                    positive(ins.count);
                    numbers({ins.outer, ins.count});
                    line(ins.in[0], ins.outer, ins.count);
                    line(ins.in[1], ins.outer, ins.n);
                    expect(place_of(ins.out) == Place::total, "its result");
                    line(ins.out, ins.count, ins.n);
                } else {
                    expect(place_of(ins.out) == (ins.op == Op::row_sum ? Place::total : Place::held_total),
                           "its result");
                    // Steps of other sections may be divided among threads.
                    expect(ins.op == Op::row_sum || held || section == kSums, "a sum for each row here");
                    line(ins.out, 1, ins.n);
                    line(ins.in[0], 1, ins.n);
                }
                break;
        }
    }

    Program& p_;
    std::string where_ = "its head";
};

}  // namespace

void verify(Program& program) { Verifier(program).run(); }

}  // namespace recurra
