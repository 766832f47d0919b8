#pragma once

// fork() and what timer queues share with other threads: one of them may hold a queue's mutex at that moment, and is not
// there in the child.

namespace tocsin::detail {

/// Before fork(): takes the mutexes of all queues. Afterwards the parent and the child let go of them; in the child, which has
/// counted the fork, nobody waits for an answer, and the queues have descriptors of their own.
void lock_queues() noexcept;
void unlock_queues() noexcept;
void unlock_queues_in_child() noexcept;

} // namespace tocsin::detail
