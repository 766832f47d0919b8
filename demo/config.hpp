#pragma once

#include <chrono>
#include <string>

namespace demo {

/// What the configuration file says, as lines "key = value".
struct config {
    std::string greeting;                        ///< what "/" answers
    std::string device;                          ///< the path "/device" opens
    std::chrono::milliseconds device_limit{500}; ///< and how long it may take, at least 1
};

/// Errors: std::runtime_error that names the file and the line.
[[nodiscard]] config load_config(const std::string& path);

} // namespace demo
