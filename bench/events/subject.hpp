#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

/// A way to learn of SIGUSR1 in an event loop. Each is asked in a process of its own, with one subscription.
class subject {
public:
    virtual ~subject() = default;
    /// Runs what is due, without waiting; called again until callbacks has grown.
    virtual void turn() = 0;
    /// Waits for something to happen, and runs it.
    virtual void wait() = 0;

    /// Grows in each callback.
    static inline std::uint64_t callbacks = 0;
};

using make_subject = std::unique_ptr<subject> (*)();

/// All there are, by name.
std::map<std::string, make_subject>& subjects();

template <class Subject>
struct enlist {
    explicit enlist(const char* name)
    {
        subjects()[name] = []() -> std::unique_ptr<subject> { return std::make_unique<Subject>(); };
    }
};
