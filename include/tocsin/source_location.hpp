#pragma once

#include <bit>
#include <cstdint>
#include <version>

#if defined(__cpp_lib_source_location)
#include <source_location>
#endif

namespace tocsin {

/// A place in the program's source, with the members of std::source_location, to and from which it converts where the
/// standard library has it. A type of its own because compilers differ (clang 14 has none), and a program built by one
/// must be able to use the library built by another. Two words, so that a call passes it in registers: every safe point
/// and every blocking call takes one.
class source_location {
public:
    constexpr source_location() noexcept = default;

#if defined(__cpp_lib_source_location)
    static constexpr source_location current(std::source_location here = std::source_location::current()) noexcept
    {
        return {here};
    }
    constexpr source_location(std::source_location here) noexcept // NOLINT(google-explicit-constructor)
        : place_(std::bit_cast<const void*>(here))
        , line_(0)
    {}
    // Without the standard form (made by another compiler) the result is a default-constructed one.
    operator std::source_location() const noexcept // NOLINT(google-explicit-constructor)
    {
        return std::bit_cast<std::source_location>(line_ == 0 ? place_ : nullptr);
    }
#else
    static constexpr source_location current(const char* file = __builtin_FILE(),
                                             std::uint_least32_t line = __builtin_LINE(),
                                             std::uint_least32_t column = __builtin_COLUMN()) noexcept
    {
        source_location here;
        here.place_ = file;
        here.line_ = line;
        here.column_ = column;
        return here;
    }
#endif

    [[nodiscard]] constexpr const char* file_name() const noexcept
    {
        if (line_ != 0)
            return static_cast<const char*>(place_);
        return place_ != nullptr ? standard()->file : "";
    }
    /// Empty when the program's compiler has no std::source_location.
    [[nodiscard]] constexpr const char* function_name() const noexcept
    {
        return line_ == 0 && place_ != nullptr ? standard()->function : "";
    }
    [[nodiscard]] constexpr std::uint_least32_t line() const noexcept
    {
        return line_ == 0 && place_ != nullptr ? standard()->line : line_;
    }
    [[nodiscard]] constexpr std::uint_least32_t column() const noexcept
    {
        return line_ == 0 && place_ != nullptr ? standard()->column : column_;
    }

private:
    // What std::source_location points to in every standard library on Linux: the layout is the compiler's
    // (__builtin_source_location).
    struct standard_record {
        const char* file;
        const char* function;
        std::uint_least32_t line;
        std::uint_least32_t column;
    };
    [[nodiscard]] const standard_record* standard() const noexcept
    {
        return static_cast<const standard_record*>(place_);
    }

    const void* place_ = nullptr; // line_ 0: a standard_record or null; else the file's name
    std::uint_least32_t line_ = 0;
    std::uint_least32_t column_ = 0;
};

} // namespace tocsin
