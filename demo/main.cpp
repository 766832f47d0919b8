#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string_view>

#include <tocsin/tocsin.hpp>

#include "server.hpp"

namespace {

bool parse_port(std::string_view text, std::uint16_t& port)
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc{} && end == text.data() + text.size();
}

} // namespace

int main(int argc, char** argv)
try {
    std::uint16_t port = 0;
    if (argc < 2 || argc > 3 || (argc == 3 && !parse_port(argv[2], port))) {
        std::fputs("usage: demo_server CONFIGURATION [PORT]\n", stderr);
        return 2;
    }
    // Made outside run_main(), so that it outlives the handlers that refer to it.
    demo::server server(argv[1], port);
    return tocsin::run_main([&] { server.run(); });
} catch (const std::exception& error) {
    std::fprintf(stderr, "demo_server: %s\n", error.what());
    return 1;
}
