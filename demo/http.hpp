#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace demo {

/// The end of a request's head: nothing we answer has a body.
inline constexpr std::string_view end_of_head = "\r\n\r\n";
inline constexpr std::size_t longest_head = 8192;

/// As much of a request as this server wants to know.
struct request {
    std::string_view method;
    std::string_view path;
    std::string_view query; ///< what follows '?'
};

/// From the first line. Empty fields when it is not HTTP. Refers to `head`.
[[nodiscard]] request parse_request(std::string_view head) noexcept;

/// The number after "name=" in a query, limited to [low, high]; `otherwise` when there is none.
[[nodiscard]] int query_number(std::string_view query, std::string_view name, int otherwise, int low, int high);

/// "HTTP/1.1 200 OK" and the fields, up to where the body of `length` bytes begins. The connection closes after it.
[[nodiscard]] std::string response_head(std::string_view status, std::size_t length);
[[nodiscard]] std::string response(std::string_view status, std::string_view body);

} // namespace demo
