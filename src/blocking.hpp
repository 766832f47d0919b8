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
    ec.assign(result < 0 ? static_cast<int>(-result) : 0, std::generic_category());
    return result < 0 ? -1 : result;
}

/// An interruptible system call with these arguments.
template <class... Arguments>
long enter(std::error_code& ec, source_location where, long number, Arguments... arguments)
{
    return to_result(
        ec, tocsin::detail::interruptible(where, [&] { return sys::enter(number, detail::argument(arguments)...); }));
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
