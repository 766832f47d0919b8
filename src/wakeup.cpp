#include <tocsin/wakeup.hpp>

#include <fcntl.h>

#include <mutex>
#include <stdexcept>
#include <string>

#include "fail.hpp"
#include "process.hpp"
#include "registry.hpp"
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
    detail::claim_process(); // so that a forked child turns it off, whatever is set up first
    const std::lock_guard hold(detail::registry::instance()); // quiesce()
    detail::slot& main = detail::slots[detail::main_slot];
    const auto before = detail::wake_target::unpack(main.wake.load(std::memory_order_relaxed)); // only written here
    const detail::wake_target target{fd, options.warn_on_full_buffer};
    main.wake.store(target.pack(), std::memory_order_seq_cst); // pairs with the load in wake()
    // Another thread may be about to write to the old descriptor, which the caller may close next.
    detail::quiesce(main);
    return before.fd;
}

} // namespace tocsin
