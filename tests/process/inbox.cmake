# Inboxes and subscriptions, by what their headers promise.
tocsin_test(tocsin_process_inbox SOURCES inbox.cpp LABELS process)
# The core under them at its edges: what other code does to dispositions, rings of one cell, nested callbacks.
tocsin_test(tocsin_process_inbox_core SOURCES inbox_core.cpp LABELS process)
# Subscriptions where their beginnings and ends meet what is pending, forks and callbacks that run.
tocsin_test(tocsin_process_inbox_corners SOURCES inbox_corners.cpp LABELS process)
