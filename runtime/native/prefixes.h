// Prefix beam search over steps that each say a symbol or nothing (CTC). The twin of
// recurra/decoding/prefixes.py, which defines it: every number is the sum of the same numbers in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace recurra {

// Symbols that are expected: tables [states, size] of an automaton, and of each state what is taken back at the end.
// Whoever makes the search keeps them.
struct Favored {
    const std::int64_t* next = nullptr;
    const double* bonus = nullptr;
    const double* begun = nullptr;
    std::int64_t states = 0, size = 0;
};

struct FoundText {
    std::vector<std::int64_t> symbols;
    double log_prob, score;
};

// All texts that were ever open, as a tree: one that left and comes back is the same.
class TextTree {
public:
    explicit TextTree(std::int64_t size);
    // The text that is this one with one symbol more.
    std::int64_t longer(std::int64_t text, std::int64_t symbol);
    std::vector<std::int64_t> symbols(std::int64_t text) const;
    // Where a text stands among the open ones; -1 if it does not.
    std::int64_t& row(std::int64_t text) { return texts_[static_cast<std::size_t>(text)].row; }

private:
    struct Text {
        std::int64_t parent, last, row;
    };

    std::size_t place(std::int64_t text, std::int64_t symbol) const;
    void rehash();

    std::int64_t size_;
    std::vector<Text> texts_;
    std::vector<std::int64_t> slots_;  // open addressing, a power of two, -1 is free
};

// The best `width` of what is offered, of equal scores what came first.
class Best {
public:
    struct Candidate {
        double score;
        std::int64_t number;
    };

    explicit Best(std::size_t width);
    void clear();
    // Numbers must grow. What is not above `cut()` would not stay.
    void offer(double score, std::int64_t number) {
        if (!(score > cut_)) return;  // NaN is none
        found_.push_back({score, number});
        if (found_.size() >= full_) shrink();
    }
    double cut() const { return cut_; }
    // Of what follows, what is above none so far or further behind than `threshold` need not be looked at.
    void settle(double threshold);
    // In the order of their numbers; without those that are further than `threshold` behind the best.
    const std::vector<Candidate>& finish(double threshold);

private:
    void shrink();

    std::size_t width_, full_;
    double cut_ = -std::numeric_limits<double>::infinity();
    std::vector<Candidate> found_;
};

class PrefixSearch {
public:
    // A threshold of infinity and a least of minus infinity leave nothing out.
    PrefixSearch(std::int64_t size, std::int64_t blank, std::int64_t width, double threshold, double least, Favored hot);

    // Read further steps [time, size]; false, and nothing is read, if one holds NaN.
    bool push(const double* steps, std::int64_t time);
    // The best texts so far, best first.
    std::vector<FoundText> best(std::int64_t keep) const;

private:
    // An open text: its number and symbols as of TextTree; sums of its alignments that end with the blank, with its
    // last symbol, and both; what hot words have added, and their state.
    struct Open {
        std::int64_t text, parent, last;
        double blank, symbol, total, more;
        std::int64_t hot;
    };
    // What an open text becomes where it stays, and its longer ones that are open too, as a list.
    struct Stays {
        double blank, symbol, total;
        std::int64_t first_child, next_child;
    };

    void advance(const double* step);
    void read_offer(const double* step);
    void stay(const double* step);
    void grow(std::int64_t row);
    void scan(std::int64_t row, std::int64_t from, std::int64_t to);
    void choose(const double* step);
    Open grown(const double* step, std::int64_t row, std::int64_t symbol);
    double bonus(std::int64_t state, std::int64_t symbol) const;

    std::int64_t size_, blank_;
    double threshold_, least_;
    Favored hot_;
    TextTree tree_;
    Best best_;
    std::vector<Open> open_, next_;
    std::vector<Stays> stays_;
    // Symbols that may begin at this step, their log-probabilities, the largest of each block of them and of all, and
    // of each symbol where it stands among them, -1 if it does not.
    std::vector<std::int64_t> symbols_, places_;
    std::vector<double> offered_, tops_, hidden_;
    double top_ = 0;
};

}  // namespace recurra
