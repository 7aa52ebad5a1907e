// A slice of a call's rows, run by one thread from the first step to the last.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "threads.h"
#include "views.h"
#include "workspace.h"

namespace recurra {

// Numbers of a value that instructions hand to each other: some of them fit the nearest cache.
constexpr std::int64_t kTile = 4096;

// Bytes of a matrix from which on a second thread reads its part sooner than one reads the whole: a thread of the pool,
// and one that stands by.
constexpr std::size_t kLargeMatrix = std::size_t{1} << 18, kSharedMatrix = std::size_t{1} << 16;

template <class T>
class Slice {
public:
    // Rows [first, first + rows) of a call, with the sums of a thread and memory for the steps of a chunk.
    Slice(const Shared<T>& shared, std::size_t thread, std::int64_t first, std::int64_t rows, T* chunk)
        : c_(shared),
          thread_(thread),
          first_(first),
          rows_(rows),
          chunk_(std::min(shared.call.chunk, shared.call.time)),
          window_(std::min(shared.call.window, chunk_)),
          chunk_data_(chunk) {
        const std::int64_t* const lengths = c_.call.lengths;
        longest_ = rows == 0 ? 0 : lengths == nullptr ? c_.call.time : lengths[first];
        alive_ = rows;
        live_.assign(static_cast<std::size_t>(longest_), rows);
        if (lengths != nullptr && rows > 0) {
            const std::int64_t* const mine = lengths + first;
            alive_ = std::lower_bound(mine, mine + rows, 0, std::greater<std::int64_t>()) - mine;
            std::int64_t left = alive_;
            for (Steps t = 0; t < longest_; ++t) {
                while (mine[left - 1] <= t) --left;
                live_[static_cast<std::size_t>(t)] = left;
            }
        }
        step_block_ = Block<T>(size_of(Place::step) * static_cast<std::size_t>(window_ * rows_));
    }

    Steps longest() const { return longest_; }

    // So many threads share the products with large matrices inside of a step: those of a crew, or of the pool.
    void share(std::size_t threads, Crew* crew = nullptr) {
        sharing_ = threads;
        crew_ = crew;
    }

    // Is there something to share?
    static bool shares(const Program& program) {
        const auto& list = program.sections[kThrough];
        return std::any_of(list.begin(), list.end(), [](const Instruction& ins) {
            return row_of(ins.op).kind == Kind::product &&
                   static_cast<std::size_t>(ins.count * ins.n) * sizeof(T) >= kSharedMatrix;
        });
    }

    // What is done once: rows without steps, zeros behind the ends of rows, what each row holds.
    void begin() {
        if (rows_ == 0) return;
        zero_padding();
        for (const Carry& carry : c_.program.carries)
            if (carry.to >= 0) pass(carry, carry.from, 0, carry.to, 0, alive_, rows_);
        if (longest_ == 0) return;
        section(kHeld, {0, 1, &alive_});
        prepare();
    }

    void end() {
        if (longest_ > 0) section(kHeldAfter, {0, 1, &alive_});
    }

    // The three phases of a chunk. The first and the last may be divided among threads by steps.
    void before(Steps from, Steps to) { windows(kBefore, from, to); }

    void through(Steps from, Steps to) {
        if (ready_.empty() && c_.program.carries.empty()) return;
        for (Steps k = from; k < to; ++k) {
            const Steps t = c_.call.descending ? from + to - 1 - k : k;
            begin_rows(t);
            step(t);
            end_rows(t);
        }
    }

    void after(Steps from, Steps to) {
        windows(kAfter, from, to);
        if (from < to) section(kSums, window(from, to));
    }

    // A chunk begins: its first step. Chunks of a call come in the order of its direction.
    void chunk(Steps from) { chunk_from_ = from; }

    // The sections of what all rows share, for a slice without rows.
    void alone(Section which) {
        static const std::int64_t one = 1;
        section(which, {0, 1, &one});
    }

private:
    // An instruction of the section `through` with all but the addresses of a step worked out.
    struct Ready {
        const Instruction* instruction;
        bool plain;            // else it is run like those of other sections
        std::size_t joined;    // numbers that each row adds to one long line; 0: rows are lines
        Loop<T> loop;
        Reduction<T> reduction;
        Product<T> product;
        int count;             // operands, the result first
        View<T> views[4];
        Steps shift[4];        // of a step's number
        bool ring[4], chunked[4];
    };

    std::size_t size_of(Place place) const {
        return static_cast<std::size_t>(c_.program.sizes[static_cast<int>(place)]);
    }

    Window window(Steps from, Steps to) const { return {from, to, live_.data() + from}; }

    std::int64_t live(Steps t) const { return t < longest_ ? live_[static_cast<std::size_t>(t)] : 0; }

    void windows(Section which, Steps from, Steps to) {
        if (c_.program.sections[which].empty()) return;
        for (Steps t = from; t < to; t += window_) section(which, window(t, std::min(t + window_, to)));
    }

    // Instructions in order. Neighbors that read a row to write a row are run for a few rows at a time, so that
    // what one leaves is in the cache when the next one reads it; products are better off with many rows.
    void section(Section which, const Window& w) {
        const std::vector<Instruction>& list = c_.program.sections[which];
        window_from_ = w.from;
        for (std::size_t first = 0, last; first < list.size(); first = last) {
            std::int64_t widest = 1;
            for (last = first; last < list.size() && by_rows(list[last]); ++last)
                widest = std::max(widest, list[last].outer * list[last].n);
            if (last - first < 2) {
                last = first + 1;
                run(list[first], w);
                continue;
            }
            const Steps part = std::max<Steps>(kTile / (widest * std::max<std::int64_t>(rows_, 1)), 1);
            for (Steps t = w.from; t < w.to; t += part) {
                const Window some{t, std::min(t + part, w.to), w.live + (t - w.from)};
                for (std::size_t k = first; k < last; ++k) run(list[k], some);
            }
        }
    }

    static bool by_rows(const Instruction& instruction) {
        const Kind kind = row_of(instruction.op).kind;
        return kind != Kind::product && kind != Kind::sum;
    }

    void run(const Instruction& instruction, const Window& w) {
        switch (row_of(instruction.op).kind) {
            case Kind::elementwise: return elementwise(instruction, w);
            case Kind::reduction: return reduction(instruction, w);
            case Kind::product: return product(instruction, w);
            case Kind::sum: return sum(instruction, w);
            case Kind::lookup: return lookup(instruction, w);
            case Kind::batched: return batched(instruction, w);
        }
    }

    // ---- rows that begin and end ----

    void begin_rows(Steps t) {
        if (!c_.call.descending && t > 0) return;
        const std::int64_t from = c_.call.descending ? live(t + 1) : 0;
        if (from == live(t)) return;
        for (const Carry& carry : c_.program.carries) pass(carry, carry.from, 0, carry.in, t, from, live(t));
    }

    void end_rows(Steps t) {
        if (c_.call.descending && t > 0) return;
        const std::int64_t from = c_.call.descending ? 0 : live(t + 1);
        if (from == live(t)) return;
        for (const Carry& carry : c_.program.carries)
            if (carry.to >= 0) pass(carry, carry.out, t, carry.to, 0, from, live(t));
    }

    void pass(const Carry& carry, int from, Steps at, int to, Steps then, std::int64_t first, std::int64_t last) {
        const View<T> source = view(Operand{from, 0, 0, false}, at), target = view(Operand{to, 0, 0, false}, then);
        for (std::int64_t i = first; i < last; ++i)
            std::memcpy(target.line(0, i), source.line(0, i), static_cast<std::size_t>(carry.size) * sizeof(T));
    }

    void zero_padding() {
        if (c_.call.lengths == nullptr) return;
        for (int number : c_.program.padded) {
            const View<T> all = view(Operand{number, 0, 0, false}, 0);
            const auto size = static_cast<std::size_t>(c_.program.buffers[static_cast<std::size_t>(number)].size);
            for (std::int64_t i = 0; i < rows_; ++i)
                for (Steps t = c_.call.lengths[first_ + i]; t < c_.call.time; ++t)
                    std::memset(all.line(t, i), 0, size * sizeof(T));
        }
    }

    // ---- where operands are ----

    View<T> view(const Operand& operand, Steps t) const {
        const auto index = static_cast<std::size_t>(operand.buffer);
        const Buffer& buffer = c_.program.buffers[index];
        const Stride size = buffer.size, offset = operand.offset;
        switch (buffer.place) {
            case Place::argument: {
                const Argument& argument = c_.call.arguments[index];
                const Steps at = argument.ring ? (t + argument.shift) & 1 : t + argument.shift;
                T* const first = static_cast<T*>(argument.data) + at * argument.step + offset;
                if (argument.mapped && c_.call.order != nullptr)
                    return {first, argument.step, argument.row, c_.call.order + first_};
                return {first + first_ * argument.row, argument.step, argument.row, nullptr};
            }
            case Place::shared: return {c_.shared + buffer.offset + offset, 0, 0, nullptr};
            case Place::held:
                return {c_.held + buffer.offset * c_.call.batch + first_ * size + offset, 0, size, nullptr};
            case Place::held_total:
                return {c_.held_total + buffer.offset * c_.call.batch + first_ * size + offset, 0, size, nullptr};
            case Place::chunk:
                return {chunk_data_ + buffer.offset * chunk_ * rows_ + (t - chunk_from_) * rows_ * size + offset,
                        rows_ * size, size, nullptr};
            case Place::step:
                return {step_block_.data() + buffer.offset * window_ * rows_ + (t - window_from_) * rows_ * size + offset,
                        rows_ * size, size, nullptr};
            case Place::total: return {c_.totals[thread_][index] + offset, 0, 0, nullptr};
        }
        return {nullptr, 0, 0, nullptr};
    }

    // Calls run(t, first row, rows) for stretches of rows that lie at even distances in all views; those of
    // several steps are one stretch where they can be.
    template <class F>
    void stretches(const Window& w, const View<T>* views, int count, F run) const {
        bool mapped = false, flat = w.even();
        for (int v = 0; v < count; ++v) {
            mapped |= views[v].map != nullptr;
            flat &= views[v].step == views[v].row * w.live[0];
        }
        if (mapped) {
            for (Steps t = 0; t < w.steps(); ++t)
                for (std::int64_t i = 0; i < w.live[t]; ++i) run(t, i, std::int64_t{1});
        } else if (flat || w.steps() == 1) {
            run(Steps{0}, std::int64_t{0}, w.live[0] * w.steps());
        } else {
            for (Steps t = 0; t < w.steps(); ++t) run(t, std::int64_t{0}, w.live[t]);
        }
    }

    // Lines of an operand for all rows and steps of a window: at one distance where they are.
    Lines<T> lines(std::vector<T*>& each, const Operand& operand, std::int64_t outer, const Window& w) const {
        const View<T> v = view(operand, w.from);
        const bool near = v.map == nullptr && (outer == 1 || v.row == outer * operand.outer_stride);
        const Stride distance = outer == 1 ? v.row : static_cast<Stride>(operand.outer_stride);
        if (near && (w.steps() == 1 || (w.even() && v.step == v.row * w.live[0]))) return {nullptr, v.at, distance};
        if (near && rows_ == 1 && outer == 1) return {nullptr, v.at, v.step};
        each.clear();
        for (Steps t = 0; t < w.steps(); ++t)
            for (std::int64_t i = 0; i < w.live[t]; ++i) {
                T* const line = v.line(t, i);
                for (std::int64_t o = 0; o < outer; ++o) each.push_back(line + o * operand.outer_stride);
            }
        return {each.data(), nullptr, 0};
    }

    static std::size_t rows_in(const Window& w) {
        std::int64_t total = 0;
        for (Steps t = 0; t < w.steps(); ++t) total += w.live[t];
        return static_cast<std::size_t>(total);
    }

    // ---- instructions ----

    void elementwise(const Instruction& ins, const Window& w) {
        const int arity = row_of(ins.op).arity;
        View<T> views[4] = {view(ins.out, w.from)};
        for (int k = 0; k < arity; ++k) views[k + 1] = view(ins.in[k], w.from);
        stretches(w, views, arity + 1, [&](Steps t, std::int64_t i, std::int64_t rows) {
            if (ins.step >= 0) return gather(ins, views[0].line(t, i), views[1].line(t, i), views, rows);
            Loop<T> loop = nest(ins, views, rows);
            loop.out = views[0].line(t, i);
            for (int k = 0; k < arity; ++k) loop.in[k] = views[k + 1].line(t, i);
            join(loop, arity);
            c_.kernel.elementwise[static_cast<std::size_t>(ins.op)](loop);
        });
    }

    // The loops of an instruction, without addresses.
    static Loop<T> nest(const Instruction& ins, const View<T>* views, std::int64_t rows) {
        Loop<T> loop{static_cast<std::size_t>(rows), static_cast<std::size_t>(ins.outer), static_cast<std::size_t>(ins.n),
                     nullptr, {}, {views[0].row, static_cast<Stride>(ins.out.outer_stride)}, {}, {}};
        for (int k = 0; k < row_of(ins.op).arity; ++k) {
            loop.in_stride[k][0] = views[k + 1].row;
            loop.in_stride[k][1] = static_cast<Stride>(ins.in[k].outer_stride);
            loop.single[k] = ins.in[k].single;
        }
        return loop;
    }

    // Makes one long line of what lies side by side; whether rows became part of it.
    static bool join(Loop<T>& loop, int arity) {
        const auto joins = [&](int axis) {
            const auto n = static_cast<Stride>(loop.n);
            bool yes = loop.out_stride[axis] == n;
            for (int k = 0; k < arity; ++k) yes &= loop.in_stride[k][axis] == (loop.single[k] ? 0 : n);
            return yes;
        };
        if (loop.outer > 1) {
            if (!joins(1)) return false;
            loop.n *= loop.outer;
            loop.outer = 1;
        }
        if (!joins(0)) return false;
        loop.n *= loop.rows;
        loop.rows = 1;
        return true;
    }

    void gather(const Instruction& ins, T* out, const T* in, const View<T>* views, std::int64_t rows) const {
        const Moving& m = c_.program.moves[static_cast<std::size_t>(ins.step)];
        Gather<T> g{static_cast<std::size_t>(rows), {}, out, in, views[0].row, views[1].row, {}, {}};
        for (int a = 0; a < 4; ++a) {
            g.sizes[a] = static_cast<std::size_t>(m.sizes[a]);
            g.out_stride[a] = m.out_stride[a];
            g.in_stride[a] = m.in_stride[a];
        }
        c_.kernel.gather(g);
    }

    static Reduction<T> folding(const Instruction& ins, const View<T>* views, std::int64_t rows) {
        return {static_cast<std::size_t>(rows), static_cast<std::size_t>(ins.outer), static_cast<std::size_t>(ins.count),
                static_cast<std::size_t>(ins.n), nullptr, nullptr,
                {views[0].row, static_cast<Stride>(ins.out.outer_stride)},
                {views[1].row, static_cast<Stride>(ins.in[0].outer_stride)}, static_cast<Stride>(ins.step)};
    }

    void fold(const Instruction& ins, const Reduction<T>& reduction) const {
        (ins.op == Op::sum ? c_.kernel.sum : c_.kernel.max)(reduction);
    }

    void reduction(const Instruction& ins, const Window& w) {
        const View<T> views[2] = {view(ins.out, w.from), view(ins.in[0], w.from)};
        stretches(w, views, 2, [&](Steps t, std::int64_t i, std::int64_t rows) {
            Reduction<T> reduction = folding(ins, views, rows);
            reduction.out = views[0].line(t, i);
            reduction.in = views[1].line(t, i);
            fold(ins, reduction);
        });
    }

    Product<T> shaped(const Instruction& ins, std::size_t rows) const {
        return {rows, static_cast<std::size_t>(ins.count), static_cast<std::size_t>(ins.n), {}, {}, {},
                ins.in[2].buffer >= 0, c_.packed[static_cast<std::size_t>(ins.step)]};
    }

    void product(const Instruction& ins, const Window& w) {
        Product<T> p = shaped(ins, rows_in(w) * static_cast<std::size_t>(ins.outer));
        p.x = lines(x_, ins.in[0], ins.outer, w);
        p.out = lines(out_, ins.out, ins.outer, w);
        if (p.adds) p.add = lines(add_, ins.in[2], ins.outer, w);
        c_.kernel.product(p);
    }

    void sum(const Instruction& ins, const Window& w) {
        if (ins.op == Op::outer) return outer(ins, w);
        if (ins.op == Op::scatter) return scatter(ins, w);
        const View<T> from = view(ins.in[0], w.from), to = view(ins.out, 0);
        const auto n = static_cast<std::size_t>(ins.n);
        const auto add = c_.kernel.elementwise[static_cast<std::size_t>(Op::add)];
        if (ins.op == Op::time_sum) {
            const View<T> views[2] = {to, from};
            for (Steps t = 0; t < w.steps(); ++t)
                stretches({0, 1, w.live + t}, views, 2, [&](Steps, std::int64_t i, std::int64_t rows) {
                    T* const out = to.line(0, i);
                    Loop<T> loop{static_cast<std::size_t>(rows), 1, n, out, {out, from.line(t, i)}, {to.row, 0},
                                 {{to.row, 0}, {from.row, 0}}, {}};
                    join(loop, 2);
                    add(loop);
                });
            return;
        }
        scratch_.resize(n);
        stretches(w, &from, 1, [&](Steps t, std::int64_t i, std::int64_t rows) {
            c_.kernel.sum({1, 1, static_cast<std::size_t>(rows), n, scratch_.data(), from.line(t, i), {}, {}, from.row});
            add({1, 1, n, to.at, {to.at, scratch_.data()}, {}, {}, {}});
        });
    }

    void lookup(const Instruction& ins, const Window& w) {
        const View<T> views[2] = {view(ins.out, w.from), view(ins.in[0], w.from)};
        const T* const table = view(ins.in[1], 0).at;
        const auto n = static_cast<std::size_t>(ins.n);
        stretches(w, views, 2, [&](Steps t, std::int64_t i, std::int64_t rows) {
            for (std::int64_t m = 0; m < rows * ins.outer; ++m) {
                const Stride row = m / ins.outer, o = m % ins.outer;
                const T number = views[1].line(t, i)[row * views[1].row + o * ins.in[0].outer_stride];
                T* const out = views[0].line(t, i) + row * views[0].row + o * ins.out.outer_stride;
                if (!(number >= T(0) && number < static_cast<T>(ins.count)))
                    throw std::out_of_range("index " + shown(number) + " is out of range: it is looked up in a table of " +
                                            std::to_string(ins.count) + " rows");
                std::copy_n(table + static_cast<Stride>(number) * ins.step, n, out);
            }
        });
    }

    static std::string shown(T number) {
        if (number != number) return "NaN";
        const auto whole = static_cast<long long>(std::max(std::min(number, T(1e15)), T(-1e15)));
        return number == static_cast<T>(whole) ? std::to_string(whole) : std::to_string(number);
    }

    void scatter(const Instruction& ins, const Window& w) {
        const View<T> views[2] = {view(ins.in[0], w.from), view(ins.in[1], w.from)};
        T* const table = view(ins.out, 0).at;
        const auto n = static_cast<std::size_t>(ins.n);
        const auto add = c_.kernel.elementwise[static_cast<std::size_t>(Op::add)];
        stretches(w, views, 2, [&](Steps t, std::int64_t i, std::int64_t rows) {
            for (std::int64_t m = 0; m < rows * ins.outer; ++m) {
                const Stride row = m / ins.outer, o = m % ins.outer;
                const T number = views[0].line(t, i)[row * views[0].row + o * ins.in[0].outer_stride];
                const T* const from = views[1].line(t, i) + row * views[1].row + o * ins.in[1].outer_stride;
                if (!(number >= T(0) && number < static_cast<T>(ins.count))) continue;
                T* const to = table + static_cast<Stride>(number) * ins.out.outer_stride;
                add({1, 1, n, to, {to, from}, {}, {}, {}});
            }
        });
    }

    void fold(const Instruction& ins, const Window& w) {
        const View<T> views[2] = {view(ins.out, w.from), view(ins.in[0], w.from)};
        const Moving& m = c_.program.moves[static_cast<std::size_t>(ins.step)];
        stretches(w, views, 2, [&](Steps t, std::int64_t i, std::int64_t rows) {
            c_.kernel.fold({static_cast<std::size_t>(rows), static_cast<std::size_t>(m.sizes[0]),
                            static_cast<std::size_t>(m.sizes[1]), static_cast<std::size_t>(m.out_stride[2]),
                            views[0].line(t, i), views[1].line(t, i), m.out_stride[1], views[0].row, views[1].row,
                            m.out_stride[0], m.in_stride[0]});
        });
    }

    void batched(const Instruction& ins, const Window& w) {
        if (ins.op == Op::fold) return fold(ins, w);
        const View<T> views[3] = {view(ins.out, w.from), view(ins.in[0], w.from), view(ins.in[1], w.from)};
        const Moving& m = c_.program.moves[static_cast<std::size_t>(ins.step)];
        stretches(w, views, 3, [&](Steps t, std::int64_t i, std::int64_t rows) {
            c_.kernel.batched({static_cast<std::size_t>(rows), static_cast<std::size_t>(m.sizes[0]),
                               static_cast<std::size_t>(m.sizes[1]), static_cast<std::size_t>(m.sizes[2]),
                               views[0].line(t, i), views[1].line(t, i), views[2].line(t, i), views[0].row, views[1].row,
                               views[2].row, m.out_stride[0], m.out_stride[1], m.out_stride[2], m.out_stride[3],
                               m.in_stride[0], m.in_stride[1]});
        });
    }

    // x^T g is a product too: of x turned, with g packed.
    void outer(const Instruction& ins, const Window& w) {
        const std::size_t depth = rows_in(w) * static_cast<std::size_t>(ins.outer);
        const auto height = static_cast<std::size_t>(ins.count), width = static_cast<std::size_t>(ins.n);
        const std::size_t panel = c_.kernel.panel_width;
        scratch_.resize(depth * ((width + panel - 1) / panel * panel));
        c_.kernel.pack_rows({depth, width, lines(out_, ins.in[1], ins.outer, w), scratch_.data()});
        const Lines<T> to{nullptr, view(ins.out, 0).at, static_cast<Stride>(ins.out.outer_stride)};
        c_.kernel.turned_product({height, depth, width, lines(x_, ins.in[0], ins.outer, w), to, to, true, scratch_.data()});
    }

    // ---- the section `through` ----

    void prepare() {
        ready_.clear();
        window_from_ = 0;
        for (const Instruction& ins : c_.program.sections[kThrough]) {
            Ready r{};
            r.instruction = &ins;
            const Kind kind = row_of(ins.op).kind;
            const Operand* operands[4] = {&ins.out, &ins.in[0], &ins.in[1], &ins.in[2]};
            if (kind == Kind::product) operands[2] = &ins.in[2];
            r.count = kind == Kind::product ? 2 + (ins.in[2].buffer >= 0) : 1 + row_of(ins.op).arity;
            r.plain = kind == Kind::product || kind == Kind::reduction || (kind == Kind::elementwise && ins.step < 0);
            for (int k = 0; k < r.count && r.plain; ++k) {
                r.views[k] = view(*operands[k], 0);
                r.plain = r.views[k].map == nullptr;
                const auto index = static_cast<std::size_t>(operands[k]->buffer);
                const Place place = c_.program.buffers[index].place;
                if (place == Place::argument) {
                    const Argument& argument = c_.call.arguments[index];
                    r.ring[k] = argument.ring;
                    r.shift[k] = argument.shift;
                    // The view is of step 0; addresses are counted from the first of the buffer.
                    r.views[k].at -= (argument.ring ? argument.shift & 1 : argument.shift) * argument.step;
                } else if (place == Place::chunk) {
                    r.chunked[k] = true;
                    r.views[k].at += chunk_from_ * r.views[k].step;
                } else {
                    r.views[k].step = 0;
                }
                if (kind == Kind::product)
                    r.plain &= ins.outer == 1 || r.views[k].row == ins.outer * operands[k]->outer_stride;
            }
            if (r.plain && kind == Kind::elementwise) {
                r.loop = nest(ins, r.views, 1);
                if (join(r.loop, r.count - 1)) r.joined = r.loop.n;
            } else if (r.plain && kind == Kind::reduction) {
                r.reduction = folding(ins, r.views, 1);
            } else if (r.plain) {
                r.product = shaped(ins, 0);
                Lines<T>* const all[3] = {&r.product.out, &r.product.x, &r.product.add};
                for (int k = 0; k < r.count; ++k)
                    all[k]->distance = ins.outer == 1 ? r.views[k].row : static_cast<Stride>(operands[k]->outer_stride);
            }
            ready_.push_back(r);
        }
    }

    void step(Steps t) {
        const Window now = window(t, t + 1);
        const auto rows = static_cast<std::size_t>(now.live[0]);
        window_from_ = t;
        for (Ready& r : ready_) {
            const Instruction& ins = *r.instruction;
            if (!r.plain) {
                run(ins, now);
                continue;
            }
            T* at[4];
            for (int k = 0; k < r.count; ++k) {
                const Steps index = r.ring[k] ? (t + r.shift[k]) & 1 : r.chunked[k] ? t - chunk_from_ : t + r.shift[k];
                at[k] = r.views[k].at + index * r.views[k].step;
            }
            switch (row_of(ins.op).kind) {
                case Kind::elementwise:
                    r.loop.out = at[0];
                    for (int k = 1; k < r.count; ++k) r.loop.in[k - 1] = at[k];
                    if (r.joined > 0)
                        r.loop.n = r.joined * rows;
                    else
                        r.loop.rows = rows;
                    c_.kernel.elementwise[static_cast<std::size_t>(ins.op)](r.loop);
                    break;
                case Kind::reduction:
                    r.reduction.rows = rows;
                    r.reduction.out = at[0];
                    r.reduction.in = at[1];
                    fold(ins, r.reduction);
                    break;
                default:
                    r.product.rows = rows * static_cast<std::size_t>(ins.outer);
                    r.product.out.first = at[0];
                    r.product.x.first = at[1];
                    if (r.count > 2) r.product.add.first = at[2];
                    multiply(r.product);
            }
        }
    }

    // Columns of a large matrix, a part for each thread: it is the matrix that has to be read.
    void multiply(const Product<T>& p) const {
        if (sharing_ < 2 || p.depth * p.width * sizeof(T) < (crew_ != nullptr ? kSharedMatrix : kLargeMatrix))
            return c_.kernel.product(p);
        const std::size_t panel = c_.kernel.panel_width, panels = (p.width + panel - 1) / panel;
        const auto part_of = [&](std::size_t part) {
            const std::size_t first = panels * part / sharing_ * panel;
            const std::size_t last = std::min(panels * (part + 1) / sharing_ * panel, p.width);
            if (first >= last) return;
            Product<T> some = p;
            some.width = last - first;
            some.packed += first * p.depth;
            some.out.first += first;
            if (p.adds) some.add.first += first;
            c_.kernel.product(some);
        };
        using Parts = decltype(part_of);
        const auto call = [](void* task, std::size_t part) { (*static_cast<const Parts*>(task))(part); };
        void* const data = const_cast<void*>(static_cast<const void*>(&part_of));
        crew_ != nullptr ? crew_->run(call, data) : run_parts_soon(sharing_, call, data);
    }

    const Shared<T>& c_;
    std::size_t thread_, sharing_ = 1;
    Crew* crew_ = nullptr;
    std::int64_t first_, rows_;
    Steps chunk_, window_;
    Steps longest_ = 0, chunk_from_ = 0, window_from_ = 0;
    std::int64_t alive_ = 0;
    std::vector<std::int64_t> live_;
    T* chunk_data_;
    Block<T> step_block_;
    std::vector<Ready> ready_;
    std::vector<T*> x_, add_, out_;
    std::vector<T> scratch_;
};

}  // namespace recurra
