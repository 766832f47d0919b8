#pragma once

// What the fuzz targets share: reading the input as a program, and saying what went wrong. The targets run under libFuzzer
// (TOCSIN_FUZZ) and, over the kept corpus, as ordinary tests (replay.cpp).

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);

namespace fuzz {

/// What replay.cpp is at, for messages.
inline std::string name_of_input; // NOLINT(cert-err58-cpp)

/// Takes values off the front of the input; zeroes when it is used up, so that every input means something.
class input {
public:
    input(const std::uint8_t* data, std::size_t size) noexcept
        : at_(data)
        , end_(data + size)
    {}
    [[nodiscard]] bool empty() const noexcept { return at_ == end_; }
    [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
    [[nodiscard]] const char* rest() const noexcept { return reinterpret_cast<const char*>(at_); }
    std::uint8_t byte() noexcept { return empty() ? std::uint8_t{0} : *at_++; }
    template <class T>
    T take() noexcept
    {
        T value{};
        const std::size_t count = std::min(left(), sizeof value);
        if (count != 0) // memcpy takes no null, not even for nothing
            std::memcpy(&value, at_, count);
        at_ += count;
        return value;
    }

private:
    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

[[noreturn]] inline void fail(const std::string& what)
{
    std::fprintf(stderr, "fuzz: %s%s%s\n", what.c_str(),
                 name_of_input.empty() ? "" : "\ninput: ", name_of_input.c_str());
    std::abort();
}

template <class... Values>
void require(bool holds, const char* what, const Values&... values)
{
    if (holds)
        return;
    std::ostringstream text;
    text << what;
    ((text << ' ' << values), ...);
    fail(text.str());
}

/// The kind of error `f` throws.
enum class outcome { fine, invalid_argument, overflow, out_of_range, system, other };

inline const char* name(outcome what)
{
    constexpr std::array names = {"fine",         "invalid_argument", "overflow_error",
                                  "out_of_range", "system_error",     "other"};
    return names[static_cast<std::size_t>(what)];
}

} // namespace fuzz
