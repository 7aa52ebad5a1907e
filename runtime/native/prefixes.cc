#include "prefixes.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace recurra {
namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();
constexpr double kLogOfTwo = 0.693147180559945309417232121458176568;
constexpr std::int64_t kBlock = 16;
constexpr std::size_t kFewest = 16;
constexpr std::size_t kAtFirst = 32;  // room for texts, so that a short search asks for memory rarely

std::size_t at(std::int64_t number) { return static_cast<std::size_t>(number); }

// As NumPy's logaddexp, to the bit.
double log_add(double a, double b) {
    if (a == b) return a + kLogOfTwo;
    const double apart = a - b;
    if (apart > 0) return a + std::log1p(std::exp(-apart));
    return apart <= 0 ? b + std::log1p(std::exp(apart)) : apart;
}

}  // namespace

TextTree::TextTree(std::int64_t size) : size_(size), slots_(2 * kAtFirst, -1) {
    texts_.reserve(kAtFirst);
    texts_.push_back({-1, -1, -1});
}

std::size_t TextTree::place(std::int64_t text, std::int64_t symbol) const {
    const std::size_t mask = slots_.size() - 1;
    std::uint64_t key = static_cast<std::uint64_t>(text) * static_cast<std::uint64_t>(size_) + static_cast<std::uint64_t>(symbol);
    key *= 0x9E3779B97F4A7C15u;  // spreads neighbors
    for (std::size_t slot = (key >> 32) & mask;; slot = (slot + 1) & mask) {
        const std::int64_t held = slots_[slot];
        if (held < 0 || (texts_[at(held)].parent == text && texts_[at(held)].last == symbol)) return slot;
    }
}

std::int64_t TextTree::longer(std::int64_t text, std::int64_t symbol) {
    const std::size_t slot = place(text, symbol);
    if (slots_[slot] >= 0) return slots_[slot];
    const auto made = static_cast<std::int64_t>(texts_.size());
    texts_.push_back({text, symbol, -1});
    slots_[slot] = made;
    if (2 * texts_.size() > slots_.size()) rehash();
    return made;
}

void TextTree::rehash() {
    slots_.assign(2 * slots_.size(), -1);
    for (std::size_t text = 1; text < texts_.size(); ++text)
        slots_[place(texts_[text].parent, texts_[text].last)] = static_cast<std::int64_t>(text);
}

std::vector<std::int64_t> TextTree::symbols(std::int64_t text) const {
    std::vector<std::int64_t> found;
    for (; text > 0; text = texts_[at(text)].parent) found.push_back(texts_[at(text)].last);
    std::reverse(found.begin(), found.end());
    return found;
}

Best::Best(std::size_t width) : width_(width), full_(width + std::max(width, kFewest)) {
    found_.reserve(std::min(full_, kAtFirst));
}

void Best::clear() {
    found_.clear();
    cut_ = kNothing;
}

void Best::settle(double threshold) {
    double least = std::numeric_limits<double>::infinity(), most = kNothing;
    for (const Candidate& one : found_) least = std::min(least, one.score), most = std::max(most, one.score);
    if (found_.size() >= width_) cut_ = std::max(cut_, least);
    cut_ = std::max(cut_, std::nextafter(most - threshold, kNothing));  // what is as far behind as that stays
}

void Best::shrink() {
    const auto last = found_.begin() + static_cast<std::ptrdiff_t>(width_ - 1);
    std::nth_element(found_.begin(), last, found_.end(), [](const Candidate& a, const Candidate& b) {
        return a.score > b.score || (a.score == b.score && a.number < b.number);
    });
    cut_ = last->score;  // later ones that are as good lose
    found_.resize(width_);
}

const std::vector<Best::Candidate>& Best::finish(double threshold) {
    if (found_.size() > width_) shrink();
    double most = kNothing;
    for (const Candidate& one : found_) most = std::max(most, one.score);
    const double lowest = most - threshold;
    const auto behind = [lowest](const Candidate& one) { return one.score < lowest; };
    found_.erase(std::remove_if(found_.begin(), found_.end(), behind), found_.end());
    std::sort(found_.begin(), found_.end(),
              [](const Candidate& a, const Candidate& b) { return a.number < b.number; });
    return found_;
}

PrefixSearch::PrefixSearch(std::int64_t size, std::int64_t blank, std::int64_t width, double threshold, double least,
                           Favored hot)
    : size_(size), blank_(blank), threshold_(threshold), least_(least), hot_(hot), tree_(size), best_(at(width)) {
    constexpr std::int64_t most = std::int64_t{1} << 40;
    if (blank < 0 || blank >= size || size > most || width < 1 || width > most)
        throw std::invalid_argument("prefix search: expected a blank below the size, and a width of at least 1");
    if (hot.states != 0 && hot.size < size && (hot.size < size - 1 || blank != size - 1))
        throw std::invalid_argument("prefix search: expected hot words of all symbols");
    open_.push_back({0, -1, -1, 0.0, kNothing, 0.0, 0.0, 0});
    places_.resize(at(size));
    symbols_.reserve(at(size)), offered_.reserve(at(size));
}

bool PrefixSearch::push(const double* steps, std::int64_t time) {
    for (std::int64_t i = 0; i < time * size_; ++i)
        if (steps[i] != steps[i]) return false;
    for (std::int64_t t = 0; t < time; ++t) advance(steps + t * size_);
    return true;
}

std::vector<FoundText> PrefixSearch::best(std::int64_t keep) const {
    std::vector<std::pair<double, const Open*>> ranked;
    for (const Open& one : open_) {
        const double score = one.total + one.more - (hot_.states ? hot_.begun[one.hot] : 0.0);
        if (score > kNothing) ranked.emplace_back(score, &one);
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    if (ranked.size() > at(keep)) ranked.resize(at(keep));
    std::vector<FoundText> found;
    for (const auto& [score, one] : ranked) found.push_back({tree_.symbols(one->text), one->total, score});
    return found;
}

void PrefixSearch::advance(const double* step) {
    read_offer(step);
    stay(step);
    best_.clear();
    const auto rows = static_cast<std::int64_t>(open_.size());
    for (std::int64_t row = 0; row < rows; ++row) best_.offer(stays_[at(row)].total + open_[at(row)].more, row);
    best_.settle(threshold_);
    for (std::int64_t row = 0; row < rows; ++row) grow(row);
    choose(step);
}

// What may begin at this step, and bounds of it.
void PrefixSearch::read_offer(const double* step) {
    symbols_.clear(), offered_.clear(), tops_.clear();
    for (std::int64_t symbol = 0; symbol < size_; ++symbol) {
        const bool may = symbol != blank_ && step[symbol] >= least_;
        places_[at(symbol)] = may ? static_cast<std::int64_t>(symbols_.size()) : -1;
        if (!may) continue;
        symbols_.push_back(symbol), offered_.push_back(step[symbol]);
    }
    top_ = kNothing;
    for (std::size_t from = 0; from < offered_.size(); from += kBlock) {
        const auto to = offered_.begin() + static_cast<std::ptrdiff_t>(std::min(offered_.size(), from + kBlock));
        tops_.push_back(*std::max_element(offered_.begin() + static_cast<std::ptrdiff_t>(from), to));
        top_ = std::max(top_, tops_.back());
    }
}

// Texts that stay as they are, with what comes from those without their last symbol.
void PrefixSearch::stay(const double* step) {
    stays_.resize(open_.size());
    for (std::size_t row = 0; row < open_.size(); ++row) {
        const Open& one = open_[row];
        tree_.row(one.text) = static_cast<std::int64_t>(row);
        const double of_last = one.last >= 0 ? step[one.last] : kNothing;
        stays_[row] = {one.total + step[blank_], one.symbol + of_last, 0.0, -1, -1};
    }
    for (std::size_t row = 0; row < open_.size(); ++row) {
        const Open& one = open_[row];
        const std::int64_t above = one.parent >= 0 ? tree_.row(one.parent) : -1;
        Stays& own = stays_[row];
        if (above >= 0) {
            const Open& from = open_[at(above)];
            own.symbol = log_add(own.symbol, (from.last == one.last ? from.blank : from.total) + step[one.last]);
            own.next_child = stays_[at(above)].first_child;
            stays_[at(above)].first_child = static_cast<std::int64_t>(row);
        }
        own.total = log_add(own.blank, own.symbol);
    }
}

// Offer the texts that are this one with a symbol more, unless they are open themselves.
void PrefixSearch::grow(std::int64_t row) {
    const Open& one = open_[at(row)];
    // Sums round alike: none of a text can be above that of the most probable symbol.
    if (hot_.states == 0 && one.total + top_ + one.more <= best_.cut()) return;
    hidden_.clear();
    for (std::int64_t child = stays_[at(row)].first_child; child >= 0; child = stays_[at(child)].next_child) {
        const std::int64_t place = places_[at(open_[at(child)].last)];
        if (place < 0) continue;
        hidden_.push_back(offered_[at(place)]);
        offered_[at(place)] = kNothing;
    }
    const auto count = static_cast<std::int64_t>(symbols_.size());
    const std::int64_t own = one.last >= 0 ? places_[at(one.last)] : -1;
    scan(row, 0, own >= 0 ? own : count);
    if (own >= 0) {  // twice needs a blank between
        const double added = hot_.states ? bonus(one.hot, one.last) : 0.0;
        best_.offer(one.blank + offered_[at(own)] + one.more + added,
                    static_cast<std::int64_t>(open_.size()) + row * count + own);
        scan(row, own + 1, count);
    }
    std::size_t back = 0;
    for (std::int64_t child = stays_[at(row)].first_child; child >= 0; child = stays_[at(child)].next_child) {
        const std::int64_t place = places_[at(open_[at(child)].last)];
        if (place >= 0) offered_[at(place)] = hidden_[back++];
    }
}

void PrefixSearch::scan(std::int64_t row, std::int64_t from, std::int64_t to) {
    const Open& one = open_[at(row)];
    const double total = one.total, more = one.more;
    const std::int64_t number = static_cast<std::int64_t>(open_.size()) + row * static_cast<std::int64_t>(symbols_.size());
    if (hot_.states) {
        for (std::int64_t k = from; k < to; ++k)
            best_.offer(total + offered_[at(k)] + more + bonus(one.hot, symbols_[at(k)]), number + k);
        return;
    }
    while (from < to) {
        const std::int64_t end = std::min(to, (from / kBlock + 1) * kBlock);
        if (!(total + tops_[at(from / kBlock)] + more <= best_.cut()))
            for (std::int64_t k = from; k < end; ++k) best_.offer(total + offered_[at(k)] + more, number + k);
        from = end;
    }
}

// The best of all of them become the open ones.
void PrefixSearch::choose(const double* step) {
    const auto rows = static_cast<std::int64_t>(open_.size());
    const auto count = static_cast<std::int64_t>(symbols_.size());
    next_.clear();
    for (const Best::Candidate& one : best_.finish(threshold_)) {
        if (one.number >= rows) {
            const std::int64_t row = (one.number - rows) / count;
            next_.push_back(grown(step, row, symbols_[at(one.number - rows - row * count)]));
            continue;
        }
        const Stays& now = stays_[at(one.number)];
        next_.push_back(open_[at(one.number)]);
        next_.back().blank = now.blank, next_.back().symbol = now.symbol, next_.back().total = now.total;
    }
    for (const Open& one : open_) tree_.row(one.text) = -1;
    open_.swap(next_);
}

PrefixSearch::Open PrefixSearch::grown(const double* step, std::int64_t row, std::int64_t symbol) {
    const Open from = open_[at(row)];
    const double sum = (from.last == symbol ? from.blank : from.total) + step[symbol];
    Open made{tree_.longer(from.text, symbol), from.text, symbol, kNothing, sum, sum, from.more, from.hot};
    if (hot_.states) {
        made.more += bonus(from.hot, symbol);
        made.hot = hot_.next[from.hot * hot_.size + symbol];
        if (made.hot < 0 || made.hot >= hot_.states) throw std::out_of_range("prefix search: hot words were changed");
    }
    return made;
}

double PrefixSearch::bonus(std::int64_t state, std::int64_t symbol) const {
    return hot_.bonus[state * hot_.size + symbol];
}

}  // namespace recurra
