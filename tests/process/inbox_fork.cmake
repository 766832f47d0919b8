# What becomes of inboxes in children and in the programs they execute (G6).
tocsin_test(tocsin_process_inbox_fork SOURCES inbox_fork.cpp LABELS process TIMEOUT 120)
