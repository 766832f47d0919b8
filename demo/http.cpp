#include "http.hpp"

#include <algorithm>
#include <charconv>

namespace demo {
namespace {

/// Cuts `text` at the first `separator` and returns what was before it.
std::string_view cut(std::string_view& text, char separator) noexcept
{
    const auto at = std::min(text.find(separator), text.size());
    const auto before = text.substr(0, at);
    text.remove_prefix(std::min(at + 1, text.size()));
    return before;
}

} // namespace

request parse_request(std::string_view head) noexcept
{
    std::string_view line = head.substr(0, head.find("\r\n"));
    const auto method = cut(line, ' ');
    auto target = cut(line, ' ');
    if (!line.starts_with("HTTP/1.") || !target.starts_with('/'))
        return {};
    const auto path = cut(target, '?');
    return {method, path, target};
}

int query_number(std::string_view query, std::string_view name, int otherwise, int low, int high)
{
    while (!query.empty()) {
        auto value = cut(query, '&');
        if (cut(value, '=') != name)
            continue;
        int number = 0;
        if (std::from_chars(value.data(), value.data() + value.size(), number).ec == std::errc{})
            return std::clamp(number, low, high);
    }
    return otherwise;
}

std::string response_head(std::string_view status, std::size_t length)
{
    std::string head = "HTTP/1.1 ";
    head += status;
    head += "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: ";
    head += std::to_string(length);
    head += end_of_head;
    return head;
}

std::string response(std::string_view status, std::string_view body)
{
    return response_head(status, body.size()) + std::string(body);
}

} // namespace demo
