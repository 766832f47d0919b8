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
/// must be able to use the library built by another.
class source_location {
public:
    constexpr source_location() noexcept = default;

#if defined(__cpp_lib_source_location)
    static constexpr source_location current(std::source_location here = std::source_location::current()) noexcept
    {
        return {here};
    }
    constexpr source_location(std::source_location here) noexcept // NOLINT(google-explicit-constructor)
        : standard_(std::bit_cast<standard>(here))
        , file_(here.file_name())
        , function_(here.function_name())
        , line_(here.line())
        , column_(here.column())
    {}
    // Without the standard form (made by another compiler) the result is a default-constructed one.
    operator std::source_location() const noexcept
    {
        return std::bit_cast<std::source_location>(standard_);
    } // NOLINT(google-explicit-constructor)
#else
    static constexpr source_location current(const char* file = __builtin_FILE(),
                                             const char* function = __builtin_FUNCTION(),
                                             std::uint_least32_t line = __builtin_LINE(),
                                             std::uint_least32_t column = __builtin_COLUMN()) noexcept
    {
        source_location here;
        here.file_ = file;
        here.function_ = function;
        here.line_ = line;
        here.column_ = column;
        return here;
    }
#endif

    [[nodiscard]] constexpr const char* file_name() const noexcept { return file_; }
    [[nodiscard]] constexpr const char* function_name() const noexcept { return function_; }
    [[nodiscard]] constexpr std::uint_least32_t line() const noexcept { return line_; }
    [[nodiscard]] constexpr std::uint_least32_t column() const noexcept { return column_; }

private:
    struct standard {
        const void* bits = nullptr; // std::source_location is one pointer in every standard library on Linux
    };
    standard standard_;
    const char* file_ = "";
    const char* function_ = "";
    std::uint_least32_t line_ = 0;
    std::uint_least32_t column_ = 0;
};

} // namespace tocsin
