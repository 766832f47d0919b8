tocsin_test(tocsin_process_calls SOURCES mask.cpp wait.cpp send.cpp itimer.cpp timer_fd.cpp LABELS process)
tocsin_test(tocsin_process_blocking SOURCES blocking_calls.cpp blocking_errors.cpp blocking_time.cpp blocking_io.cpp
                                            blocking_connect.cpp LABELS process)
# Puts functions of its own in the place of the C library's: an executable of its own.
tocsin_test(tocsin_process_faults SOURCES blocking_faults.cpp LABELS process)
