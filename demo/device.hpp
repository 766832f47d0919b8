#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace demo {

/// Thrown out of the blocking call by the handler of SIGALRM.
struct time_is_up {};

/// Reads from something that may never answer: a FIFO nobody writes to stands for a device that is switched off.
class device {
public:
    /// Gives SIGALRM its handler. Lives until the handlers have been put back.
    void limit_with_alarm();

    /// The first data the device gives, or nothing when the limit is over.
    /// Errors: std::system_error, as open(2) and read(2).
    [[nodiscard]] std::optional<std::string> read(const std::string& path, std::chrono::milliseconds limit);

private:
    bool waiting_ = false;
};

} // namespace demo
