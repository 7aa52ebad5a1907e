// The instructions of a slice: each for all rows and steps of a window.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "operands.h"

namespace recurra {

template <class T>
class Instructions : protected Operands<T> {
protected:
    using Operands<T>::Operands;
    using Operands<T>::c_;
    using Operands<T>::rows_in;
    using Operands<T>::stretches;
    using Operands<T>::lines;
    using Operands<T>::view;

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
        c_.products.product(p);
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
        scratch_.resize((width + panel - 1) / panel * c_.products.panel(depth));
        c_.products.pack_rows({depth, width, lines(out_, ins.in[1], ins.outer, w), scratch_.data()});
        const Lines<T> to{nullptr, view(ins.out, 0).at, static_cast<Stride>(ins.out.outer_stride)};
        c_.products.turned_product({height, depth, width, lines(x_, ins.in[0], ins.outer, w), to, to, true, scratch_.data()});
    }

    std::vector<T*> x_, add_, out_;
    std::vector<T> scratch_;
};

}  // namespace recurra
