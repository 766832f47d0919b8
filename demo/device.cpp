#include "device.hpp"

#include <array>
#include <fcntl.h>

#include <tocsin/tocsin.hpp>

#include "unique_fd.hpp"

namespace demo {
namespace {

/// Sets a flag while it lives, with the alarm that goes with it.
class armed_alarm {
public:
    armed_alarm(bool& flag, std::chrono::milliseconds limit)
        : flag_(flag)
    {
        flag_ = true;
        tocsin::alarm(limit);
    }
    ~armed_alarm()
    {
        flag_ = false;
        tocsin::alarm(0);
    }
    armed_alarm(const armed_alarm&) = delete;
    armed_alarm& operator=(const armed_alarm&) = delete;

private:
    bool& flag_;
};

} // namespace

void device::limit_with_alarm()
{
    tocsin::signal(SIGALRM, [this] {
        // The alarm may go off after the last blocking call and before it is disarmed: its handler then runs at a safe
        // point that has nothing to do with the device, and must not throw there.
        if (waiting_)
            throw time_is_up();
    });
}

std::optional<std::string> device::read(const std::string& path, std::chrono::milliseconds limit)
{
    try {
        const armed_alarm alarm(waiting_, limit);
        const unique_fd fd(tocsin::blocking::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        std::array<char, 4096> buffer{};
        const auto size = tocsin::blocking::read(fd.get(), buffer.data(), buffer.size());
        return std::string(buffer.data(), static_cast<std::size_t>(size));
    } catch (const time_is_up&) {
        return std::nullopt;
    }
}

} // namespace demo
