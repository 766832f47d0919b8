#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <stdexcept>

#include <tocsin/signum.hpp>

namespace tocsin {

/// A set of signal numbers 1 to nsig - 1: a 64-bit value, copyable, usable at compile time.
/// Iterates in ascending order.
/// Errors: std::out_of_range where a number outside the range is put in.
class signal_set {
public:
    class const_iterator {
    public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = signum;
        using difference_type = std::ptrdiff_t;
        using pointer = const signum*;
        using reference = signum;

        constexpr const_iterator() noexcept = default;
        constexpr explicit const_iterator(std::uint64_t rest) noexcept
            : rest_(rest)
        {}
        constexpr signum operator*() const noexcept { return {std::countr_zero(rest_) + 1}; }
        constexpr const_iterator& operator++() noexcept
        {
            rest_ &= rest_ - 1;
            return *this;
        }
        constexpr const_iterator operator++(int) noexcept
        {
            const const_iterator before = *this;
            ++*this;
            return before;
        }
        constexpr bool operator==(const const_iterator&) const noexcept = default;

    private:
        std::uint64_t rest_ = 0;
    };
    using iterator = const_iterator;
    using value_type = signum;
    using size_type = std::size_t;

    constexpr signal_set() noexcept = default;
    constexpr signal_set(std::initializer_list<signum> members)
    {
        for (const signum sig : members)
            insert(sig);
    }
    /// The members of a C signal set that valid_signals() knows.
    TOCSIN_API explicit signal_set(const sigset_t& native) noexcept;

    /// From the bit pattern to_bits() returns: bit n - 1 stands for signal n.
    [[nodiscard]] static constexpr signal_set from_bits(std::uint64_t bits) noexcept
    {
        signal_set result;
        result.bits_ = bits;
        return result;
    }
    [[nodiscard]] constexpr std::uint64_t to_bits() const noexcept { return bits_; }
    /// The same set for a C function. Errors: std::invalid_argument for a member the C library reserves (32, 33).
    [[nodiscard]] TOCSIN_API sigset_t native() const;

    constexpr void insert(signum sig) { bits_ |= bit(sig); }
    constexpr void erase(signum sig) { bits_ &= ~bit(sig); }
    constexpr void clear() noexcept { bits_ = 0; }
    /// False for numbers outside the range.
    [[nodiscard]] constexpr bool contains(signum sig) const noexcept
    {
        return sig.in_range() && ((bits_ >> (int{sig} - 1)) & 1U) != 0;
    }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return static_cast<std::size_t>(std::popcount(bits_)); }
    [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
    [[nodiscard]] constexpr const_iterator begin() const noexcept { return const_iterator{bits_}; }
    [[nodiscard]] constexpr const_iterator end() const noexcept { return const_iterator{}; }

    friend constexpr signal_set operator|(signal_set a, signal_set b) noexcept { return from_bits(a.bits_ | b.bits_); }
    friend constexpr signal_set operator&(signal_set a, signal_set b) noexcept { return from_bits(a.bits_ & b.bits_); }
    friend constexpr signal_set operator-(signal_set a, signal_set b) noexcept { return from_bits(a.bits_ & ~b.bits_); }
    constexpr signal_set& operator|=(signal_set other) noexcept { return *this = *this | other; }
    constexpr signal_set& operator&=(signal_set other) noexcept { return *this = *this & other; }
    constexpr signal_set& operator-=(signal_set other) noexcept { return *this = *this - other; }
    constexpr bool operator==(const signal_set&) const noexcept = default;

private:
    [[noreturn]] TOCSIN_API static void refuse(signum sig);
    static constexpr std::uint64_t bit(signum sig)
    {
        if (!sig.in_range())
            refuse(sig);
        return std::uint64_t{1} << (int{sig} - 1);
    }

    std::uint64_t bits_ = 0;
};

/// Every signal number a program may use here: 1 to nsig - 1 without those the C library keeps for itself (32 and 33
/// with glibc).
/// Context: any thread. Source: sigfillset(3).
[[nodiscard]] TOCSIN_API signal_set valid_signals() noexcept;

/// "{SIGINT, SIGTERM}"
[[nodiscard]] TOCSIN_API std::string to_string(const signal_set& set);
TOCSIN_API std::ostream& operator<<(std::ostream& out, const signal_set& set);

} // namespace tocsin
