// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>

#include "base/fixed_text.hpp"

namespace mobula::fatal {

/// A signal that ends the process, as its handler found it. The thread that got it is the caller.
struct Event {
    int number = 0;
    const siginfo_t* info = nullptr;
    void* context = nullptr;  ///< the ucontext_t of the interrupted thread

    /// The sentence for stderr, to which hooks add; begins with "signal 11 (Segmentation fault)".
    FixedText text;
    /// A hook says the sentence itself: the handler writes nothing.
    bool said = false;

    /// Whether the processor raised it at an access to `info->si_addr`, not a call of kill().
    [[nodiscard]] bool is_fault() const noexcept { return info != nullptr && info->si_code > 0; }
};

/// Called in the handler, so async-signal-safe only: no allocation, no lock, no stdio.
using Hook = void (*)(Event& event) noexcept;

/// The hook is called for each fatal signal from now on, after those that were added before; at
/// most 4, and one that is there already is not added again. Thread-safe.
void add_hook(Hook hook) noexcept;

/// Takes over SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPIPE and SIGXFSZ: the first thread that
/// gets one calls the hooks, writes the sentence to stderr and leaves the signal to the handler
/// that was there before (Open MPI's, a sanitizer's, or the default, which ends the process); other
/// threads wait for that end. A handler that the program itself has installed is left in place,
/// since it may be one that repairs the fault. Call it after MPI and UCX have started. Not
/// thread-safe.
void install() noexcept;
/// Gives the signals back. Not thread-safe.
void uninstall() noexcept;

/// A stack on which the calling thread handles signals, so that it can do so also when its own
/// stack is full; a thread that has one keeps that. Thread-bound.
class AlternateStack {
public:
    AlternateStack() noexcept;
    ~AlternateStack();
    AlternateStack(const AlternateStack&) = delete;
    AlternateStack& operator=(const AlternateStack&) = delete;

private:
    void* memory_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace mobula::fatal
