#include <tocsin/wakeup.hpp>

#include <fcntl.h>

#include <stdexcept>
#include <string>

#include "fail.hpp"
#include "process.hpp"
#include "slot.hpp"
#include "sys/sys.hpp"

namespace tocsin {

int set_wakeup_fd(int fd, wakeup_options options)
{
    detail::require_main_thread("set_wakeup_fd");
    if (fd != -1) {
        const int flags = sys::status_flags(fd);
        if (flags < 0)
            detail::fail(-flags, "set_wakeup_fd: descriptor " + std::to_string(fd));
        if ((flags & O_NONBLOCK) == 0)
            throw std::invalid_argument("set_wakeup_fd: the fd " + std::to_string(fd) +
                                        " must be in non-blocking mode");
    }
    const detail::wake_target target{fd, options.warn_on_full_buffer};
    // seq_cst pairs with the load in wake().
    const auto before = detail::slots[detail::main_slot].wake.exchange(target.pack(), std::memory_order_seq_cst);
    return detail::wake_target::unpack(before).fd;
}

} // namespace tocsin
