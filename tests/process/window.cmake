# No window between the last look for signals and the kernel (G2, G3). Bound at start-up, so that few instructions are
# stepped through.
if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    tocsin_test(
        tocsin_process_window
        SOURCES window.cpp window_deadline.cpp
        LABELS process
        TIMEOUT 180)
    target_link_options(tocsin_process_window PRIVATE -Wl,-z,now)
endif()
