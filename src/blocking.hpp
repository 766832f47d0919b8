#pragma once

// What the files of tocsin::blocking share.

#include <system_error>
#include <type_traits>

#include <tocsin/blocking.hpp>

#include "fail.hpp"
#include "interruptible.hpp"

namespace tocsin::blocking {

/// A pointer as a system call takes it.
inline long address(const void* pointer) noexcept { return reinterpret_cast<long>(pointer); }

/// Turns a result or a negated errno into what callers see: the result and no error, or -1 and the error.
inline long to_result(std::error_code& ec, long result) noexcept
{
    if (result < 0) [[unlikely]] {
        ec.assign(static_cast<int>(-result), std::generic_category());
        return -1;
    }
    if (ec.value() != 0)
        ec.clear();
    return result;
}

/// The same for the throwing forms, given the name of the call.
inline long to_result(const char* name, long result)
{
    if (result < 0) [[unlikely]]
        tocsin::detail::fail(static_cast<int>(-result), name);
    return result;
}

/// An interruptible system call with these arguments; `errors` is what to_result() takes. Always inlined: the fewer
/// calls deep the kernel is entered, the fewer returns are mispredicted (sys/syscall.hpp).
template <class Errors, class... Arguments>
[[gnu::always_inline]] inline long enter(Errors& errors, source_location where, long number, Arguments... arguments)
{
    return to_result(errors, tocsin::detail::interruptible(where, [&] {
                         return tocsin::detail::kernel_call(number, detail::argument(arguments)...);
                     }));
}

/// The throwing form of a call: runs the other form and throws what it reports.
template <class Call>
auto throwing(const char* name, Call call)
{
    std::error_code ec;
    const auto throw_error = [&] {
        if (ec)
            tocsin::detail::fail(ec.value(), name);
    };
    if constexpr (std::is_void_v<std::invoke_result_t<Call, std::error_code&>>) {
        call(ec);
        throw_error();
    } else {
        const auto result = call(ec);
        throw_error();
        return result;
    }
}

} // namespace tocsin::blocking
