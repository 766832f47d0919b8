#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "log.hpp"

namespace demo {

/// The last thousand durations of a kind, and the longest of all.
class samples {
public:
    void add(clock::duration sample)
    {
        if (recent_.size() < capacity)
            recent_.push_back(sample);
        else
            recent_[count_ % capacity] = sample;
        ++count_;
        max_ = std::max(max_, sample);
    }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] clock::duration max() const noexcept { return max_; }
    [[nodiscard]] clock::duration median() const
    {
        if (recent_.empty())
            return {};
        auto sorted = recent_;
        const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
        std::nth_element(sorted.begin(), middle, sorted.end());
        return *middle;
    }

private:
    static constexpr std::size_t capacity = 1000;

    std::vector<clock::duration> recent_;
    std::size_t count_ = 0;
    clock::duration max_{};
};

} // namespace demo
