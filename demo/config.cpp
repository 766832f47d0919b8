#include "config.hpp"

#include <charconv>
#include <fstream>
#include <stdexcept>
#include <string_view>

namespace demo {
namespace {

constexpr int longest_limit_ms = 60'000;

std::string_view trim(std::string_view text)
{
    const auto first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::chrono::milliseconds parse_limit(std::string_view text)
{
    int ms = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
    if (error != std::errc{} || end != text.data() + text.size() || ms < 1 || ms > longest_limit_ms)
        throw std::runtime_error("device_limit_ms must be 1 to 60000");
    return std::chrono::milliseconds(ms);
}

void apply(config& into, std::string_view line)
{
    const auto equals = line.find('=');
    if (equals == std::string_view::npos)
        throw std::runtime_error("not \"key = value\"");
    const auto key = trim(line.substr(0, equals));
    const auto value = trim(line.substr(equals + 1));
    if (key == "greeting")
        into.greeting = value;
    else if (key == "device")
        into.device = value;
    else if (key == "device_limit_ms")
        into.device_limit = parse_limit(value);
    else
        throw std::runtime_error("unknown key \"" + std::string(key) + "\"");
}

} // namespace

config load_config(const std::string& path)
{
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error(path + ": cannot be opened");
    config result;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        const auto text = trim(line);
        if (text.empty() || text.front() == '#')
            continue;
        try {
            apply(result, text);
        } catch (const std::runtime_error& error) {
            throw std::runtime_error(path + ":" + std::to_string(number) + ": " + error.what());
        }
    }
    if (file.bad())
        throw std::runtime_error(path + ": cannot be read");
    return result;
}

} // namespace demo
