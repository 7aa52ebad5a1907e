// A slice of a call's rows, run by one thread from the first step to the last.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "instructions.h"
#include "threads.h"

namespace recurra {

// Numbers of a value that instructions hand to each other: some of them fit the nearest cache.
constexpr std::int64_t kTile = 4096;

// Bytes of a matrix from which on a second thread reads its part sooner than one reads the whole: a thread of the pool,
// and one that stands by.
constexpr std::size_t kLargeMatrix = std::size_t{1} << 18, kSharedMatrix = std::size_t{1} << 16;

template <class T>
class Slice : Instructions<T> {
    using Base = Instructions<T>;
    using Base::alive_;
    using Base::c_;
    using Base::chunk_from_;
    using Base::first_;
    using Base::fold;
    using Base::folding;
    using Base::join;
    using Base::live;
    using Base::longest_;
    using Base::nest;
    using Base::rows_;
    using Base::run;
    using Base::shaped;
    using Base::view;
    using Base::window;
    using Base::window_;
    using Base::window_from_;

public:
    using Base::Base;

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
        if (bound_.empty() && c_.program.carries.empty()) return;
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
    struct Bound {
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

    // ---- the section `through` ----

    void prepare() {
        bound_.clear();
        window_from_ = 0;
        for (const Instruction& ins : c_.program.sections[kThrough]) {
            Bound r{};
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
            bound_.push_back(r);
        }
    }

    void step(Steps t) {
        const Window now = window(t, t + 1);
        const auto rows = static_cast<std::size_t>(now.live[0]);
        window_from_ = t;
        for (Bound& r : bound_) {
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
        if (sharing_ < 2) return c_.products.product(p);
        const std::size_t panel = c_.kernel.panel_width, panels = (p.width + panel - 1) / panel;
        const std::size_t bytes = panels * c_.products.panel(p.depth) * sizeof(T);
        if (bytes < (crew_ != nullptr ? kSharedMatrix : kLargeMatrix)) return c_.products.product(p);
        const auto part_of = [&](std::size_t part) {
            const std::size_t first = panels * part / sharing_ * panel;
            const std::size_t last = std::min(panels * (part + 1) / sharing_ * panel, p.width);
            if (first >= last) return;
            Product<T> some = p;
            some.width = last - first;
            some.packed += first / panel * c_.products.panel(p.depth);
            some.out.first += first;
            if (p.adds) some.add.first += first;
            c_.products.product(some);
        };
        using Parts = decltype(part_of);
        const auto call = [](void* task, std::size_t part) { (*static_cast<const Parts*>(task))(part); };
        void* const data = const_cast<void*>(static_cast<const void*>(&part_of));
        crew_ != nullptr ? crew_->run(call, data) : run_parts_soon(sharing_, call, data);
    }

    std::size_t sharing_ = 1;
    Crew* crew_ = nullptr;
    std::vector<Bound> bound_;
};

}  // namespace recurra
