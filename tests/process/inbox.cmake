# Inboxes and subscriptions, by what their headers promise.
tocsin_test(tocsin_process_inbox SOURCES inbox.cpp LABELS process)
# The core under them at its edges: what other code does to dispositions, rings of one cell, nested callbacks.
tocsin_test(tocsin_process_inbox_core SOURCES inbox_core.cpp LABELS process)
